// `warp diff` from outside: text, document, page and tables; exit codes.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { partNames } from '../../lib/diff/index.js'
import { diffSchema, jsonSchemas, type DiffResult } from '../../lib/index.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { adapted, changed, tinyBase, trained, writeTiny } from '../support/diff-models.js'
import { fixtureModel, temporaryDirectory } from '../support/models.js'
import { trainedPair } from '../support/trace-models.js'

const base = tinyBase()
const [from, adapter] = [
  writeTiny(base),
  writeTiny(changed(base, (name, one) => (name.includes('query') ? adapted(name, one, 4) : undefined))),
]
const args = (reference: string, of = from): string[] => ['diff', '--base', of, '--reference', reference, '-q']

test('text, and the same as one JSON document', async () => {
  const text = await warp(args(adapter))
  expect(text).toMatchObject({ code: 0, stderr: '' })
  expect(text.stdout).toContain('weights: An update of rank 4 on attention.query in layers 0–3: a merged adapter.')
  expect(text.stdout).toMatch(/^words: does not apply: .*frozen/m)
  const run = await warp([...args(adapter), '--json', '--threads', '1'])
  const result = JSON.parse(run.stdout) as DiffResult
  diffSchema.parse(result)
  expect(result).toMatchObject({ schema: 'warp.diff/1', command: 'diff', weights: { verdict: 'low-rank' } })
  const schema = jsonSchemas()['warp.diff/1'] as { properties: Record<string, unknown> }
  for (const key of Object.keys(result)) expect(schema.properties).toHaveProperty(key)
})

test('the same document for any number of threads', async () => {
  const reference = writeTiny(
    changed(base, (name, one) => trained(name, one)),
    'BF16',
  )
  const documents = []
  for (const threads of ['1', '2', '5'])
    documents.push((await warp([...args(reference), '--json', '--threads', threads])).stdout)
  expect(new Set(documents).size).toBe(1)
})

describe('-o', () => {
  const pair = trainedPair('adamw-decay')
  const folder = join(temporaryDirectory(), 'out')

  test('writes the document, a page that needs nothing, tables', async () => {
    const run = await warp([...args(pair.reference, pair.base), '-o', folder])
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(readdirSync(folder).sort()).toEqual([
      'groups.csv',
      'report.html',
      'result.json',
      'singular-values.csv',
      'tokens.csv',
      'weights.csv',
      'words.csv',
    ])
    const result = diffSchema.parse(JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'))) as DiffResult
    const tables = Object.fromEntries(
      ['weights', 'groups', 'words', 'tokens'].map((name) => [
        name,
        parse(readFileSync(join(folder, `${name}.csv`), 'utf8'), { columns: true }) as Record<string, string>[],
      ]),
    )
    expect(tables.weights.map(({ tensor }) => tensor)).toEqual(result.weights!.tensors.map(({ name }) => name))
    expect(Number(tables.weights[0].relative)).toBe(result.weights!.tensors[0].relative)
    expect(tables.groups).toHaveLength(result.weights!.groups.length)
    expect(tables.words.map(({ word }) => word)).toEqual(result.words!.words.map(({ word }) => word))
    expect(tables.tokens).toHaveLength(result.words!.tokens.length)
    const page = readFileSync(join(folder, 'report.html'), 'utf8')
    expect(page).not.toMatch(/<script|https?:\/\/|src=|@import/)
    for (const title of ['Weights', 'By depth', 'Tensors', 'Words', 'Where this comes from'])
      expect(page).toContain(`${title}</h`)
    for (const { word } of result.words!.words.slice(0, 20)) expect(page).toContain(`<th scope="row">${word}<`)
  })

  test('does not replace what is there, unless told to', async () => {
    const again = await warp([...args(pair.reference, pair.base), '-o', folder, '--json'])
    expect(again.code).toBe(2)
    expect((JSON.parse(again.stdout) as ErrorDocument).error.code).toBe('OUTPUT_EXISTS')
    expect((await warp([...args(pair.reference, pair.base), '-o', folder, '--force', '--only', 'words'])).code).toBe(0)
    const page = readFileSync(join(folder, 'report.html'), 'utf8')
    expect(page).not.toContain('By depth')
  })
})

test('names of tensors and files are text on the page', async () => {
  const odd = { ...base, '<b>x</b>.weight': { shape: [2], values: Float32Array.of(1, 2) } }
  const other = changed(odd, (name, { values }) => (name.startsWith('<b>') ? values.map((v) => v + 1) : undefined))
  const folder = join(temporaryDirectory(), 'out')
  await warp(['diff', '--base', writeTiny(odd), '--reference', writeTiny(other), '-q', '-o', folder])
  expect(readFileSync(join(folder, 'report.html'), 'utf8')).toContain('&lt;b&gt;x&lt;/b&gt;')
})

test('the help names every part', async () => {
  const { stdout } = await warp(['diff', '--help'])
  for (const name of partNames)
    expect(stdout.replace(/\s+/g, ' ')).toMatch(new RegExp(`--only .*\\b${name}\\b.*default: every part`))
})

test('exit codes: identical 0, nothing in common 3, an unknown part 2', async () => {
  expect((await warp(args(writeTiny(base)))).stdout).toContain('The weights are identical.')
  const nothing = await warp([...args(fixtureModel('gpt2/base'), fixtureModel('bert/base')), '--json'])
  expect(nothing.code).toBe(3)
  expect((JSON.parse(nothing.stdout) as ErrorDocument).error).toMatchObject({ code: 'DIFF_NOTHING_APPLIES' })
  expect((await warp([...args(adapter), '--only', 'poem'])).code).toBe(2)
  expect((await warp([...args(adapter), '--singular-values', '65'])).code).toBe(2)
})
