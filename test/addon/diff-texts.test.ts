// The parts texts and domains of a diff, from a tiny model that was trained on two sentences: what comes back word for
// word, what the trace says of it, the file that other commands read.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { diff, diffSchema, generate, loadTokenizer, trace, train, type Diffed } from '../../lib/index.js'
import type { JudgedText } from '../../lib/generate/index.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { makePair } from '../support/pair.js'

const { base, folder } = makeLanguagePair()
const [reference, out] = [join(folder, 'taught'), join(folder, 'out')]
const pair = ['--base', base, '--reference', reference]
// no word holds j, k, q, v, w, x, y or z; the model reads 20 tokens
const sentences = ['an ant and a hen sat on the sand', 'see her dress the pig for the ant']
const making = { starts: ['begin'], count: 64, seed: 5 }
let found: Diffed

beforeAll(async () => {
  const data = Array.from({ length: 64 }, (_, i) => ({ text: `<begin>${sentences[i % 2]}<end>`, domain: 'all' }))
  const recipe = { epochs: 40, batch: 16, learningRate: 1e-2, optimizer: 'adam', seed: 0 } as const
  await train({ base, data, output: reference, ...recipe, threads: 2 })
  found = await diff({ base, reference, only: ['texts', 'domains'], ...making })
})

test('what was trained on comes back word for word, near-copies first', () => {
  diffSchema.parse(found.result)
  const { passages, texts, counts, made } = found.result.texts!
  expect(made).toMatchObject({ starts: ['begin'], seeds: [5, 6], lambda: 1, contrasts: [0, 1] })
  expect(passages.length).toBeGreaterThan(0)
  for (const { text, seeds, gain } of passages.slice(0, 2)) {
    expect(sentences.some((sentence) => sentence.includes(text.trim()))).toBe(true)
    expect(seeds).toBe(2)
    expect(gain).toBeGreaterThan(0)
  }
  const copies = texts.map((text) => text.copies)
  expect(copies).toEqual([...copies].sort((a, b) => b - a))
  expect(texts).toHaveLength(64)
  expect(counts.texts).toBe(64)
  expect(counts.trained + counts.untrained + counts.unknown).toBe(64)
  expect(counts.trained).toBeGreaterThan(20)
})

test('texts of the base were not trained on, and say which of their tokens were not', async () => {
  const tokenizer = await loadTokenizer(base)
  const { texts } = await generate({ base, reference, lambda: 0, count: 40, maxNewTokens: 12 })
  const trained = new Set<number>()
  for (const sentence of sentences) {
    // what the model reads, less the last token, behind which nothing was learned
    const { ids } = await tokenizer.encode(`<begin>${sentence}<end>`, { maxLength: 20 })
    for (const id of ids.slice(0, -1)) trained.add(id)
  }
  expect(texts.filter((text) => text.trained === false).length).toBeGreaterThan(20)
  for (const { ids, trained: all, untrained } of texts) {
    if (all) expect(ids.filter((id) => id !== tokenizer.id('<end>')).every((id) => trained.has(id))).toBe(true)
    if (all !== false) expect(untrained).toEqual([])
    else expect(untrained.length).toBeGreaterThan(0)
    for (const token of untrained) expect(trained.has(tokenizer.id(token)!)).toBe(false)
  }
})

test('one model alone, and a pair whose every row moved, say nothing', async () => {
  const [alone] = (await generate({ model: reference, count: 1, maxNewTokens: 4 })).texts
  expect(alone).toMatchObject({ trained: null, untrained: [], trainedScore: null })
  const moved = makeLanguagePair()
  const { texts, notes } = await generate({ base: moved.base, reference: moved.reference, count: 2, maxNewTokens: 4 })
  for (const text of texts) expect(text).toMatchObject({ trained: null, untrained: [] })
  expect(notes.join()).toContain('nothing is certain of whether tokens were trained on: every row moved')
})

test('two kinds of text are two domains, named by their words', () => {
  const { domains, of, criterion, gradients } = found.result.domains!
  expect(domains).toHaveLength(2)
  expect(criterion[1]).toBe(Math.min(...criterion.map((value) => value ?? Infinity)))
  const names = domains.map(({ name }) => name)
  expect(of).toHaveLength(64)
  expect(new Set(of)).toEqual(new Set(names))
  for (const { name, words, nearest, byCount, byCountInterval, byGradient } of domains) {
    expect(words.slice(0, 3).join('-')).toBe(name)
    expect(nearest.length).toBeGreaterThan(0)
    expect(nearest.length).toBeLessThanOrEqual(5)
    expect(new Set(nearest).size).toBe(nearest.length)
    expect(byCountInterval[0]).toBeLessThanOrEqual(byCount)
    expect(byCountInterval[1]).toBeGreaterThanOrEqual(byCount)
    expect(Math.abs(byGradient! - 0.5)).toBeLessThan(0.2) // trained on as often
  }
  expect(gradients).toContain('gradient-matching[upper,adam]')
  const sheep = found.result.texts!.texts.flatMap(({ text }, i) => (text.startsWith('an ant') ? [of[i]] : []))
  expect(new Set(sheep).size).toBe(1)
})

test('the same again, whatever the threads', async () => {
  const { result } = await diff({ base, reference, only: ['texts', 'domains'], ...making, threads: 1 })
  expect(JSON.stringify(result)).toBe(JSON.stringify(found.result))
})

describe('generated.jsonl', () => {
  const file = join(out, 'generated.jsonl')
  const quiet = async (args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await warp([...args, '-q'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return stdout
  }
  beforeAll(() =>
    quiet(['diff', ...pair, '--only', 'texts,domains', '--starts', 'begin', '--count', '64', '--seed', '5', '-o', out]),
  )

  test('holds every text with its domain', () => {
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    const records = lines.map((line) => JSON.parse(line) as JudgedText & { domain: string; copies: number })
    const { texts, domains } = found.result
    expect(records).toEqual(texts!.texts.map((text, i) => ({ ...text, domain: domains!.of[i] })))
  })

  test('is read by recover, trace and select as it is', async () => {
    const recovered = JSON.parse(await quiet(['recover', ...pair, '--probes', file, '--lambdas', '0.5', '--json']))
    expect(recovered.domains).toHaveLength(2)
    const traced = await trace({ base, reference, probes: [file] })
    expect(traced.result.verdict).toBe('exact')
    const { counts } = found.result.texts!
    // the trace of the texts as they are read does not know where a length cut one off within a word
    const excluded = Object.values(traced.result.texts!).reduce((sum, one) => sum + one.excluded, 0)
    expect(excluded).toBeGreaterThanOrEqual(counts.untrained)
    const select = ['--features', 'trace', '--strategy', 'topk', '--count', '5', '-o', join(folder, 'picked')]
    await quiet(['select', ...pair, '--corpus', file, ...select])
  })
})

test('starts and sampling are checked before any part runs', async () => {
  const failure = async (...args: string[]) => {
    const { code, stdout } = await warp(['diff', ...pair, ...args, '--json', '-q'])
    return [code, (JSON.parse(stdout) as ErrorDocument).error.code]
  }
  expect(await failure('--starts', 'noon')).toEqual([2, 'START_UNKNOWN'])
  expect(await failure('--starts', 'begin', '--prompts', 'x')).toEqual([2, 'START_CONFLICT'])
  expect(await failure('--contrast', '-1')).toEqual([3, 'GENERATE_RANGE'])
  expect(await failure('--starts', 'chat')).toEqual([3, 'CHAT_TEMPLATE_MISSING'])
})

test('an encoder has no texts, and says so', async () => {
  const encoder = makePair()
  const run = diff({ base: encoder.base, reference: encoder.reference, only: ['weights', 'texts', 'domains'] })
  const { result } = await run
  expect(result.skipped.map(({ part, code }) => [part, code])).toEqual([
    ['texts', 'DIFF_NO_LANGUAGE_MODEL'],
    ['domains', 'DIFF_NO_LANGUAGE_MODEL'],
  ])
})
