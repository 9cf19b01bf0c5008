import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recover, trace } from '../../lib/index.js'
import { trainedPair } from '../support/trace-models.js'
import { makePair } from '../support/pair.js'
import { failure } from '../support/probes-files.js'

// Whose tokenizer reads the texts, from the options to the notes of the result.
const pair = makePair()
const file = (which: 'base' | 'reference'): string => join(pair[which], 'tokenizer.json')
const original = readFileSync(file('reference'), 'utf8')
afterEach(() => writeFileSync(file('reference'), original))

const change = (edit: (json: Record<string, unknown>) => unknown): void => {
  const json = JSON.parse(original) as Record<string, unknown>
  edit(json)
  writeFileSync(file('reference'), JSON.stringify(json))
}
const { base, reference, probes } = pair
const run = (options = {}) => recover({ base, reference, probes: [probes], points: 2, bootstrap: 20, ...options })

test('the result says who read the texts', async () => {
  expect((await run()).result.notes.join()).toMatch(/tokenised by this package/)
  for (const which of ['base', 'reference'] as const) {
    const json = JSON.parse(readFileSync(file(which), 'utf8')) as Record<string, unknown>
    writeFileSync(
      file(which),
      JSON.stringify({ ...json, normalizer: { type: 'Sequence', normalizers: [json.normalizer] } }),
    )
  }
  const other = (await run()).result
  writeFileSync(file('base'), original)
  writeFileSync(file('reference'), original)
  expect(other.notes.join()).toMatch(/tokenised by the package "tokenizers"/)
  expect(other.mixtures[0].mixture).toEqual((await run()).result.mixtures[0].mixture)
})

test('tokenizers that differ are refused, and taken where one is asked for', async () => {
  change((json) => (json.normalizer = null))
  expect(await failure(run())).toMatchObject({ code: 'PAIR_TOKENIZER', details: { found: 'normalizer' } })
  const chosen = (await run({ tokenizer: 'base' })).result
  expect(chosen.notes.join()).toMatch(/"normalizer" of tokenizer.json differs.*asked for: base/)
  expect(chosen.command.tokenizer).toBe('base')
  expect(await failure(run({ tokenizer: join(pair.base, 'nowhere') }))).toMatchObject({ code: 'TOKENIZER_MISSING' })
})

test("where the reference has none the base's is taken, and said", async () => {
  rmSync(file('reference'))
  const { result } = await run()
  expect(result.notes.join()).toContain(`the tokenizer is that of ${pair.base}`)
})

test('a trace of the tables alone needs no tokenizer that can be read, texts do', async () => {
  const models = trainedPair('adamw-decay')
  const tables = (await trace(models)).result
  for (const dir of [models.base, models.reference]) writeFileSync(join(dir, 'tokenizer.json'), '{"version": "9"}')
  const broken = (await trace(models)).result
  expect([tables.verdict, broken.verdict]).toEqual(['exact', 'exact'])
  expect(broken.trainedTokens).toEqual(tables.trainedTokens)
  expect(broken.notes.join()).toContain('tokens have no spelling')
  expect(await failure(trace({ ...models, probes: [{ text: 'a' }] }))).toMatchObject({ code: 'TOKENIZER_VERSION' })
})

test('texts as records give what their file gives', async () => {
  const records = readFileSync(probes, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object)
  const [given, read] = [await run({ probes: records }), await run()]
  expect(given.result.mixtures).toEqual(read.result.mixtures)
  expect(given.result.command.probes).toEqual(['records'])
  expect(given.alignment).toEqual(read.alignment)
})
