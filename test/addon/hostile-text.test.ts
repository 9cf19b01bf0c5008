// Text from inputs — labels, columns, file and tensor names, options — never reaches a terminal as it is.
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { printable, printableJson, printableName } from '../../lib/printable.js'
import { type CommandRun, warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, pairLabels, pairText } from '../support/pair.js'
import { domainTexts, trainableModel } from '../support/training.js'

/** Title of the window, colour, cursor, line overwritten, eight-bit controls, right to left, zero width, separators. */
const hostile = '\u001b]0;title\u0007\u001b[2J\u001b[31m\rverdict ok\n\u009b31m\u202edevil\u2066\u200b\u2028\ufeff'
const long = 'L'.repeat(2 ** 20)
const forbidden = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u

function expectClean({ stdout, stderr }: CommandRun, json = false): void {
  for (const text of [stdout, stderr]) {
    expect(forbidden.exec(text)).toBeNull()
    expect(text).not.toMatch(/^verdict ok/m)
    if (json && text === stdout) continue
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(3000)
    expect(text.match(/L{201,}/)).toBeNull()
  }
}

function jsonl(rows: object[]): string {
  const file = join(temporaryDirectory(), 'probes.jsonl')
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}

// domains that are hostile, labels that are the model's
const pair = makePair()
const domains = [`a${hostile}`, `b${long}`, `c${hostile}${long}`]
const probes = jsonl(
  Array.from({ length: 30 }, (_, i) => ({
    text: pairText(pairLabels[i % 3], i),
    label: pairLabels[i % 3],
    domain: domains[i % 3],
  })),
)
const models = ['--base', pair.base, '--reference', pair.reference]
const base = trainableModel()
const texts = jsonl(domainTexts(domains, 8))
const odd = join(temporaryDirectory(), `dir${hostile.replaceAll('/', '')}`)
mkdirSync(odd)
cpSync(pair.base, join(odd, 'model'), { recursive: true })
const config = join(odd, 'model', 'config.json')
writeFileSync(
  config,
  JSON.stringify({
    ...JSON.parse(readFileSync(config, 'utf8')),
    [`key${hostile}`]: long,
    model_type: `bert${hostile}`,
  }),
)
const labelled = join(temporaryDirectory(), 'labelled')
cpSync(pair.reference, labelled, { recursive: true })
const own = join(labelled, 'config.json')
writeFileSync(
  own,
  JSON.stringify({
    ...JSON.parse(readFileSync(own, 'utf8')),
    id2label: { 0: domains[0], 1: domains[1], 2: domains[2] },
    label2id: undefined,
  }),
)
symlinkSync('/nowhere', join(odd, `link${hostile.replaceAll('/', '')}`))

const commands: Record<string, string[]> = {
  recover: ['recover', ...models, '--probes', probes, '--points', '2', '--bootstrap', '20'],
  'recover, planned': ['recover', ...models, '--probes', probes, '--points', '2', '-n'],
  footprint: ['footprint', ...models, '--probes', probes, '--points', '2'],
  trace: ['trace', ...models, '--probes', probes, '--calibrate', '20'],
  train: ['train', '--base', base, '--data', texts, '--epochs', '1', '-o', join(odd, 'out')],
  'train, planned': ['train', '--base', base, '--data', texts, '--epochs', '1', '-o', join(odd, 'none'), '-n'],
  'lab plan': [
    'lab',
    'plan',
    '--base',
    base,
    '--data',
    texts,
    '--texts',
    '5',
    '--trials',
    '2',
    '--probes-per-domain',
    '3',
    '-o',
    join(odd, 'lab'),
  ],
  merge: ['merge', ...models, '--lambda', '0.5', '-o', join(odd, 'merged')],
  inspect: ['inspect', labelled],
  'inspect of another architecture': ['inspect', join(odd, 'model')],
  'inspect of nothing': ['inspect', join(odd, 'nothing')],
}

test.each(Object.keys(commands))('%s', async (name) => {
  expectClean(await warp([...commands[name], '-v']))
  const json = await warp([
    ...commands[name],
    ...(name.includes('inspect') ? [] : ['--force']).filter(() => /train$|lab|merge/.test(name)),
    '--json',
  ])
  expectClean(json, true)
  if (name === 'recover')
    expect(JSON.parse(json.stdout).domains.map((domain: { name: string }) => domain.name)).toEqual(domains.sort())
})

const broken = jsonl([
  { text: 'a', label: `x${hostile}${long}` },
  { text: 'b', label: 'animals' },
])
const refusals: Record<string, string[]> = {
  'an unknown label': ['recover', ...models, '--probes', broken],
  'a column that is not there': ['recover', ...models, '--probes', probes, '--label', `col${hostile}`],
  'a file that is not there': ['recover', ...models, '--probes', join(odd, `none${hostile.replaceAll('/', '')}`)],
  'a model that is not there': [
    'recover',
    '--base',
    join(odd, 'none'),
    '--reference',
    pair.reference,
    '--probes',
    probes,
  ],
  'a model of another kind': [
    'recover',
    '--base',
    join(odd, 'model'),
    '--reference',
    pair.reference,
    '--probes',
    probes,
  ],
  'labels of the model': ['recover', '--base', pair.base, '--reference', labelled, '--probes', broken],
  'an unknown option': ['recover', `--${hostile}`],
  'an unknown command': [`x${hostile}`],
  'a value that is no number': ['recover', ...models, '--probes', probes, '--points', `3${hostile}`],
  'an unknown readout': ['recover', ...models, '--probes', probes, '--readout', `r${hostile}`],
  'a glob that matches nothing': [
    'train',
    '--base',
    base,
    '--data',
    texts,
    '--freeze',
    `t${hostile}`,
    '-o',
    join(odd, 'frozen'),
  ],
  'a label map': ['recover', ...models, '--probes', probes, '--label-map', `a=${hostile},b=${'L'.repeat(50_000)}`],
  'a line that is not JSON': ['recover', ...models, '--probes', jsonlText(`{"text": "${hostile}${long}`)],
}

test.each(Object.keys(refusals))('%s', async (name) => {
  const run = await warp([...refusals[name], '-v'])
  expect(run.code).toBeGreaterThan(1)
  expectClean(run)
  expectClean(await warp([...refusals[name], '--json']), true)
})

function jsonlText(text: string): string {
  const file = join(temporaryDirectory(), 'broken.jsonl')
  writeFileSync(file, text)
  return file
}

test('one line, cut; JSON that means the same', () => {
  expect(printable(hostile)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  expect(printableName(long)).toHaveLength(200)
  expect(printable('ä 漢字 😀 ok')).toBe('ä 漢字 😀 ok')
  expect(printable('half \ud800')).toBe('half \ufffd')
  const value = { [hostile]: [hostile, 'ä 😀'] }
  const json = printableJson(JSON.stringify(value, null, 2))
  expect(JSON.parse(json)).toEqual(value)
  expect(forbidden.exec(json)).toBeNull()
})
