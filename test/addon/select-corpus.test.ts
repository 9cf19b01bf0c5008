// Texts stay in the corpus: they are read back from it, it is noticed when it changes, and what cannot be read twice is
// kept with the features.
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { evaluateSelection, mergeSelection, select, selectPart, type SelectOptions } from '../../lib/select/index.js'
import { readCorpus } from '../../lib/select/texts.js'
import { warp } from '../support/command.js'
import { temporaryDirectory as folder } from '../support/models.js'
import { makePair, pairLabels, pairText, type TestPair } from '../support/pair.js'
import { featureDigests } from '../support/select.js'

let pair: TestPair
const texts = Array.from({ length: 60 }, (_, i) => pairText(pairLabels[i % 3], i))
const lines = texts.map((text) => `${JSON.stringify({ text })}\n`).join('')
beforeAll(() => {
  pair = makePair('bert')
})
afterAll(() => rmSync(pair.folder, { recursive: true, force: true }))

const options = (output: string, corpus: string, more: Partial<SelectOptions> = {}): SelectOptions => ({
  ...{ base: pair.base, reference: pair.reference, corpus: [corpus], output, count: 9, window: 16 },
  ...{ features: 'head', strategy: 'topk', lambdas: [0.5], threads: 1, ...more },
})
function corpusOf(text: string | Uint8Array, name = 'corpus.jsonl'): string {
  const file = join(folder(), name)
  writeFileSync(file, text)
  return file
}

test('no text is in the features; the same corpus is not read into tokens again', async () => {
  const corpus = corpusOf(lines)
  const output = folder()
  const first = await select(options(output, corpus))
  const shard = readFileSync(join(output, 'features', 'shard-000000.bin'))
  for (const text of texts) expect(shard.includes(text)).toBe(false)
  for (const { text, from, to, document } of first.documents) expect(text).toBe(texts[document].slice(from, to))
  const times = (): number[] =>
    readdirSync(join(output, 'features')).map((name) => statSync(join(output, 'features', name)).mtimeMs)
  const before = times()
  const phases = new Set<string>()
  const again = await select(options(output, corpus, { onProgress: ({ phase }) => void phases.add(phase) }))
  expect(again.documents).toEqual(first.documents)
  expect(again.result.reused).toBe(1)
  expect(phases.has('windows')).toBe(false)
  expect(times()).toEqual(before)
})

test('a folder of several files is known again too', async () => {
  const corpus = folder()
  const half = lines.length / 2
  const cut = lines.indexOf('\n', half) + 1
  writeFileSync(join(corpus, 'one.jsonl'), lines.slice(0, cut))
  writeFileSync(join(corpus, 'two.jsonl'), lines.slice(cut))
  const output = folder()
  const first = await select(options(output, corpus))
  const phases = new Set<string>()
  const again = await select(options(output, corpus, { onProgress: ({ phase }) => void phases.add(phase) }))
  expect(again.documents).toEqual(first.documents)
  expect(phases.has('windows')).toBe(false)
})

test('another file with the same tokens is taken, and its texts are those that are told', async () => {
  const output = folder()
  const first = await select(options(output, corpusOf(lines)))
  const digests = featureDigests(output, /^shard/)
  const packed = corpusOf(gzipSync(lines.toUpperCase().replaceAll('"TEXT"', '"text"')), 'corpus.jsonl.gz')
  // the numbers of lines and the tokens are the same, the name is not
  await expect(select(options(output, packed))).rejects.toMatchObject({ code: 'FEATURES_OTHER' })
  expect((await readCorpus(join(output, 'features'))).reading.sources).toEqual(first.result.corpus)
  writeFileSync(first.result.corpus[0], lines.toUpperCase().replaceAll('"TEXT"', '"text"'))
  const found = await select(options(output, first.result.corpus[0]))
  expect(found.documents.map(({ text }) => text)).toEqual(first.documents.map(({ text }) => text.toUpperCase()))
  expect(featureDigests(output, /^shard/)).toEqual(digests)
})

test('evaluate and merge notice a corpus that is gone or changed', async () => {
  const corpus = corpusOf(lines)
  const output = folder()
  for (const index of [0, 1]) await selectPart(options(output, corpus), { index, of: 2 })
  const joined = folder()
  const merge = (more: { corpus?: string[] } = {}) =>
    mergeSelection({ parts: [output], output: joined, count: 9, strategy: 'topk', ...more })
  const expected = await merge()
  const moved = join(folder(), 'elsewhere.jsonl')
  renameSync(corpus, moved)
  await expect(merge()).rejects.toMatchObject({ code: 'PROBES_NOT_FOUND' })
  const found = await merge({ corpus: [moved] })
  expect(found.documents.map(({ text }) => text)).toEqual(expected.documents.map(({ text }) => text))
  writeFileSync(join(joined, 'result.json'), JSON.stringify(found.result))
  writeFileSync(join(joined, 'selection.jsonl'), found.documents.map((one) => `${JSON.stringify(one)}\n`).join(''))
  const evaluated = { selection: joined, test: [pair.probes], epochs: 1 }
  const { rows } = await evaluateSelection({ ...evaluated, random: 2 })
  expect(rows.map(({ name, texts: count }) => [name, count])).toEqual([
    ['selected', 9],
    ['random', 9],
    ['reference', 0],
  ])
  writeFileSync(moved, lines.replace(texts[3], texts[4]))
  await expect(evaluateSelection(evaluated)).rejects.toMatchObject({ code: 'CORPUS_CHANGED', exitCode: 3 })
  await expect(merge({ corpus: [moved] })).rejects.toMatchObject({ code: 'CORPUS_CHANGED' })
})

test('what cannot be read twice is kept', async () => {
  const [out, file] = [join(folder(), 'picked'), join(folder(), 'picked')]
  const corpus = corpusOf(lines)
  const args = (from: string, to: string): string[] => [
    ...['select', '--base', pair.base, '--reference', pair.reference, '--corpus', from, '--count', '9', '-o', to],
    ...['--features', 'head', '--strategy', 'topk', '--dedupe', 'exact', '--json'],
  ]
  const said = await warp(args('-', out), { input: lines })
  expect(said.code).toBe(0)
  await warp(args(corpus, file))
  const textsOf = (folderOf: string): string[] =>
    readFileSync(join(folderOf, 'selection.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { text: string }).text)
  expect(textsOf(out)).toEqual(textsOf(file))
  const { rows } = await evaluateSelection({ selection: out, test: [pair.probes], epochs: 1 })
  expect(rows[1]).toMatchObject({ name: 'random', texts: 9 })
})

test('a description that was edited is refused, and --force starts over', async () => {
  const corpus = corpusOf(lines)
  const output = folder()
  await select(options(output, corpus))
  const file = join(output, 'features', 'corpus.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace('"windows":60', '"windows":61'))
  await expect(select(options(output, corpus))).rejects.toMatchObject({ code: 'CORPUS_EDITED' })
  await select(options(output, corpus, { force: true }))
  const copied = folder()
  cpSync(output, copied, { recursive: true })
  rmSync(join(copied, 'features', 'shard-000000.bin'))
  const found = await select(options(copied, corpus))
  expect(found.result.reused).toBe(0)
  expect(existsSync(join(copied, 'features', 'shard-000000.bin'))).toBe(true)
  expect(featureDigests(copied)).toEqual(featureDigests(output))
})

test('a corpus of one text, repeated, and options that select has not, are refused', async () => {
  const repeated = corpusOf(lines.split('\n')[0].concat('\n').repeat(12))
  await expect(select(options(folder(), repeated))).rejects.toMatchObject({ code: 'CORPUS_REPEATED', exitCode: 3 })
  const other = { ...options(folder(), repeated), skipInvalid: true }
  await expect(select(other)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' })
})
