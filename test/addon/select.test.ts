// `select` and `predict` on tiny pairs: gradients against autograd (test/fixtures/select/make.py), the same bytes
// whatever was stopped and however many threads, planted texts, and refusals.
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nativeWeights, networkOf, openPair } from '../../lib/checkpoint/index.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import type { FeatureResult, Handle } from '../../lib/native/types.js'
import { predict, type Prediction } from '../../lib/predict.js'
import { evaluateSelection, type EvaluateResult, select, type SelectOptions } from '../../lib/select/index.js'
import { train } from '../../lib/train/index.js'
import { warp, type ErrorDocument } from '../support/command.js'
import { networkFixture } from '../support/networks.js'
import { bytePairTokenizer, makePair, pairLabels, pairText, type TestPair } from '../support/pair.js'
import { fixtureModel } from '../support/models.js'
import { featureDigests } from '../support/select.js'
import { repositoryRoot } from '../support/shared.js'

interface Golden {
  gram: number[][]
  along: number[]
  loss: number[]
}
type GoldenFile = { texts: number[][]; labels: number[] } & Record<string, Golden>
const golden = JSON.parse(readFileSync(join(repositoryRoot, 'test/fixtures/select/golden.json'), 'utf8')) as GoldenFile

const folders: string[] = []
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'warp-select-'))
  folders.push(made)
  return made
}
afterAll(() => folders.forEach((one) => rmSync(one, { recursive: true, force: true })))

describe('features against autograd', () => {
  async function features(scope: 'head' | 'top', threads: number): Promise<FeatureResult> {
    const pair = await openPair(fixtureModel('bert/base'), fixtureModel('bert/reference'))
    const handles = [nativeWeights(pair.base), nativeWeights(pair.reference)]
    const path = addon().openPath(handles[0], handles[1], { family: 'linear', lambdas: [0.5] })
    const offsets = [0]
    for (const { length } of golden.texts) offsets.push(offsets[offsets.length - 1] + length)
    const ids = Uint32Array.from(golden.texts.flat())
    try {
      return await runTask(
        (report) =>
          addon().selectFeatures(
            {
              path,
              network: networkOf(pair.reference, 'classify'),
              ids,
              typeIds: new Uint8Array(ids.length),
              offsets: Uint32Array.from(offsets),
              label: new Int32Array(golden.texts.length).fill(-1),
              scope,
              atBase: true,
              threads,
              memory: 2 ** 30,
            },
            report,
          ),
        'features',
        'tokens',
      )
    } finally {
      for (const handle of [path, ...handles]) handle.close()
    }
  }

  test.each(['head', 'top'] as const)('%s: products, lengths, the direction, labels and losses', async (scope) => {
    const found = await features(scope, 1)
    expect(Array.from(found.label)).toEqual(golden.labels)
    const n = golden.texts.length
    const [base, middle] = [golden[`${scope}.base`], golden[`${scope}.middle`]]
    const largest = Math.max(...base.gram.flat(), ...middle.gram.flat())
    const candidates: Handle = addon().openFactored(found.pieces)
    addon().appendFactored(candidates, found.rows)
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const expected = base.gram[i][j] + middle.gram[i][j]
        expect(Math.abs(addon().productOf(candidates, i, j) - expected)).toBeLessThan(1e-5 * largest)
      }
      for (const [k, { gram, along }] of [base, middle].entries()) {
        expect(Math.abs(found.norm2[2 * i + k] - gram[i][i])).toBeLessThan(1e-5 * largest)
        expect(Math.abs(found.along[2 * i + k] - along[i])).toBeLessThan(1e-5 * Math.sqrt(largest))
      }
      expect(Math.abs(found.loss[2 * i] - base.loss[i])).toBeLessThan(1e-5)
    }
    candidates.close()
  })

  test('the same bits for any number of threads', async () => {
    const [one, three] = [await features('top', 1), await features('top', 3)]
    expect(three).toEqual(one)
  })
})

describe('a pair and a corpus', () => {
  let pair: TestPair
  let corpus: string
  beforeAll(() => {
    pair = makePair('bert')
    folders.push(pair.folder)
    corpus = join(pair.folder, 'corpus.jsonl')
    const texts = Array.from({ length: 2500 }, (_, i) => ({ text: pairText(pairLabels[i % 3], i) }))
    writeFileSync(corpus, texts.map((one) => `${JSON.stringify(one)}\n`).join(''))
  })
  const options = (output: string, more: Partial<SelectOptions> = {}): SelectOptions => ({
    base: pair.base,
    reference: pair.reference,
    corpus: [corpus],
    output,
    count: 25,
    window: 16,
    features: 'head',
    strategy: 'greedy',
    lambdas: [0.5],
    ...more,
  })
  test('a run that was stopped goes on and ends with the same bytes, whatever the threads', async () => {
    const [whole, stopped] = [folder(), folder()]
    const expected = await select(options(whole, { threads: 1 }))
    const controller = new AbortController()
    const run = select(
      options(stopped, {
        threads: 2,
        signal: controller.signal,
        onProgress: ({ phase, done }) => {
          if (phase === 'windows' && done >= 1024) controller.abort(new Error('stopped'))
        },
      }),
    )
    await expect(run).rejects.toThrow('stopped')
    const before = Object.keys(featureDigests(stopped)).length
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThan(Object.keys(featureDigests(whole)).length)
    const found = await select(options(stopped, { threads: 2 }))
    expect(found.result.reused).toBe(before)
    expect(found.documents).toEqual(expected.documents)
    expect(featureDigests(stopped)).toEqual(featureDigests(whole))
  })

  test('features are reused where only strategy and count change', async () => {
    const output = folder()
    await select(options(output))
    const file = join(output, 'features', 'shard-000000.bin')
    utimesSync(file, 1, 1)
    for (const strategy of [
      'topk',
      'topk-balanced',
      'matching',
      'loss-min',
      'loss-max',
      'bottomk',
      'random',
    ] as const) {
      const { result, documents } = await select(options(output, { strategy, count: 12 }))
      expect(result.reused).toBe(3)
      expect(documents).toHaveLength(12)
      expect(new Set(documents.map(({ document, window }) => `${document}.${window}`)).size).toBe(12)
    }
    expect(statSync(file).mtimeMs).toBe(1000)
    const best = await select(options(output, { strategy: 'topk', count: 40 }))
    const scores = best.documents.map(({ score }) => score)
    expect(scores).toEqual([...scores].sort((a, b) => b - a))
    const balanced = await select(options(output, { strategy: 'topk', balance: true, count: 12 }))
    const counts = Object.values(balanced.result.counts)
    expect(counts.reduce((a, b) => a + b)).toBe(12)
  })

  test('features of another point, or another corpus, are refused; damaged ones too', async () => {
    const output = folder()
    await select(options(output))
    await expect(select(options(output, { lambdas: [0.4] }))).rejects.toMatchObject({ code: 'FEATURES_OTHER' })
    const other = join(pair.folder, 'other.jsonl')
    writeFileSync(other, readFileSync(corpus, 'utf8').replace('{"text":"', '{"text":"old '))
    await expect(select(options(output, { corpus: [other] }))).rejects.toMatchObject({ code: 'FEATURES_OTHER' })
    const file = join(output, 'features', 'shard-000001.bin')
    const bytes = readFileSync(file)
    bytes[bytes.length - 3] ^= 1
    writeFileSync(file, bytes)
    await expect(select(options(output))).rejects.toMatchObject({ code: 'FEATURES_DAMAGED' })
    await select(options(output, { force: true }))
  })

  test('long documents become windows that say where they are; nothing is lost', async () => {
    const long = join(pair.folder, 'long.txt')
    const words = Array.from({ length: 9 }, (_, i) => pairText('animals', i)).join('  ')
    writeFileSync(long, `${words}\n${pairText('plants', 1)}\n\n${pairText('stones', 1)}\n`)
    const { result, documents } = await select(options(folder(), { corpus: [long], count: 4, strategy: 'topk' }))
    expect(result.documents).toBe(3)
    expect(result.truncated).toBe(0)
    const all = await select(options(folder(), { corpus: [long], count: result.windows, strategy: 'topk' }))
    const parts = all.documents.filter(({ document }) => document === 0).sort((a, b) => a.window - b.window)
    expect(parts.length).toBeGreaterThan(3)
    expect(result.split).toBe(parts.length)
    for (const { text, from, to } of parts) expect(words.slice(from, to)).toBe(text)
    expect(
      parts
        .map(({ text }) => text)
        .join(' ')
        .split(/\s+/),
    ).toEqual(words.split(/\s+/))
    expect(documents.map(({ rank }) => rank)).toEqual([1, 2, 3, 4])
    const joined = await select(options(folder(), { corpus: [long], paragraphs: true, count: 4, strategy: 'topk' }))
    expect(joined.result.documents).toBe(2)
  })

  test('repeated documents are left out when asked', async () => {
    const file = join(pair.folder, 'twice.jsonl')
    const texts = Array.from({ length: 12 }, (_, i) => pairText('plants', i))
    const lines = [...texts, ...texts.map((text) => text.toUpperCase())].map((text) => `${JSON.stringify({ text })}\n`)
    writeFileSync(file, lines.join(''))
    const { result } = await select(options(folder(), { corpus: [file], count: 5, dedupe: 'exact' }))
    expect(result.repeated).toBeGreaterThanOrEqual(12)
    await expect(select(options(folder(), { corpus: [file], count: 25 }))).rejects.toMatchObject({
      code: 'CORPUS_SMALL',
    })
  })

  test('all weights: greedy by sketches, whose error is told; without them no choice by lengths', async () => {
    const small = join(pair.folder, 'small.jsonl')
    writeFileSync(small, readFileSync(corpus, 'utf8').split('\n').slice(0, 300).join('\n'))
    const all = (output: string, more: Partial<SelectOptions>): SelectOptions =>
      options(output, { corpus: [small], features: 'all', count: 5, ...more })
    const found = await select(all(folder(), { strategy: 'greedy', sketch: 1024 }))
    expect(found.result.cosine).toBeGreaterThan(0)
    expect(found.result.sketch!.size).toBe(1024)
    expect(found.result.sketch!.error).toBeGreaterThan(0)
    expect(found.result.sketch!.error).toBeLessThan(0.5)
    const again = await select(all(folder(), { strategy: 'greedy', sketch: 1024, threads: 1 }))
    expect(again.documents).toEqual(found.documents)
    const output = folder()
    const { documents, result } = await select(all(output, { strategy: 'topk', sketch: 0 }))
    expect(documents.every(({ score }) => Number.isFinite(score))).toBe(true)
    expect(result.sketch).toBeNull()
    await expect(select(all(output, { strategy: 'greedy', sketch: 0 }))).rejects.toMatchObject({
      code: 'STRATEGY_NEEDS',
    })
    await expect(select(all(output, { strategy: 'greedy', sketch: 512 }))).rejects.toMatchObject({
      code: 'FEATURES_OTHER',
    })
    await expect(select(all(output, { sketch: 1000 }))).rejects.toMatchObject({ code: 'SKETCH_RANGE' })
  })

  test('given labels must be there; random ones depend on the seed alone', async () => {
    await expect(select(options(folder(), { labels: 'given' }))).rejects.toMatchObject({ code: 'SELECT_LABEL_MISSING' })
    const one = await select(options(folder(), { labels: 'random', seed: 3 }))
    const two = await select(options(folder(), { labels: 'random', seed: 3, threads: 2 }))
    expect(two.documents).toEqual(one.documents)
  })

  test('predict: the labels of the texts, accuracy and losses', async () => {
    const said: Prediction[] = []
    const result = await predict({
      model: pair.reference,
      texts: [pair.probes],
      onText: (one) => void said.push(one),
    })
    const right = said.filter(({ label, predicted }) => label === predicted).length
    expect(result.accuracy).toBeCloseTo(right / said.length, 12)
    expect(result.labels.map(({ texts }) => texts)).toEqual([32, 32, 32])
    for (const { logits, label, loss, probability } of said) {
      const total = logits!.reduce((sum, z) => sum + Math.exp(z), 0)
      expect(loss).toBeCloseTo(Math.log(total) - logits![pairLabels.indexOf(label!)], 5)
      expect(probability).toBeCloseTo(Math.exp(Math.max(...logits!)) / total, 9)
    }
  })
})

describe('a language model', () => {
  test('products with the direction, agreement of tokens, perplexity', async () => {
    const base = folder()
    cpSync(networkFixture('llama-language'), base, { recursive: true })
    writeFileSync(join(base, 'tokenizer.json'), JSON.stringify(bytePairTokenizer()))
    const texts = (kind: string, first: number, count: number): string => {
      const file = join(folder(), 'texts.jsonl')
      const all = Array.from({ length: count }, (_, i) =>
        pairText(kind, first + i)
          .slice(0, 18)
          .trim(),
      )
      writeFileSync(file, all.map((text) => `${JSON.stringify({ text })}\n`).join(''))
      return file
    }
    const data = texts('animals', 0, 40)
    const reference = join(folder(), 'trained')
    await train({ base, data: [data], output: reference, epochs: 3, batch: 8, learningRate: 3e-3 })
    const corpus = [texts('animals', 100, 30), texts('stones', 100, 30)]
    const output = folder()
    const common = { base, reference, corpus, output, window: 20, lambdas: [0.5], count: 20 }
    const { documents, result } = await select({ ...common, features: 'all', strategy: 'topk' })
    expect(result.counts).toEqual({})
    const byDefault = await select({ ...common, output: folder() })
    expect(byDefault.result.strategy).toBe('topk')
    expect(documents.filter(({ source }) => source.startsWith(corpus[0])).length).toBeGreaterThan(10)
    const byHead = await select({ ...common, output: folder(), features: 'head', strategy: 'greedy' })
    expect(byHead.documents.filter(({ source }) => source.startsWith(corpus[0])).length).toBeGreaterThan(10)
    expect(byHead.result.sketch).toEqual({ size: 4096, error: null })
    await expect(select({ ...common, output: folder(), features: 'top' })).rejects.toMatchObject({
      code: 'FEATURES_CLASSIFIER',
    })
    writeFileSync(join(output, 'result.json'), JSON.stringify(result))
    writeFileSync(join(output, 'selection.jsonl'), documents.map((one) => `${JSON.stringify(one)}\n`).join(''))
    const { measure, rows } = await evaluateSelection({
      selection: output,
      test: [texts('animals', 200, 20)],
      epochs: 3,
      batch: 8,
      learningRate: 3e-3,
    })
    expect(measure).toBe('perplexity')
    expect(rows.map(({ name, agreement }) => [name, agreement])).toEqual([
      ['selected', null],
      ['random', null],
      ['reference', null],
    ])
    expect(rows[0].value).toBeLessThan(rows[1].value)
  })
})

describe('the command line', () => {
  test('selects, evaluates, and says what is missing', async () => {
    const pair = makePair('bert')
    folders.push(pair.folder)
    const out = join(pair.folder, 'picked')
    const common = ['--base', pair.base, '--reference', pair.reference, '--corpus', pair.probes]
    const picked = await warp(['select', ...common, '--count', '12', '-o', out, '--features', 'head', '--json'])
    expect(picked.stderr).not.toContain('[')
    expect(picked.code).toBe(0)
    expect(JSON.parse(picked.stdout)).toMatchObject({ schema: 'warp.select/1', selected: 12, windows: 96 })
    expect(readFileSync(join(out, 'selection.jsonl'), 'utf8').trim().split('\n')).toHaveLength(12)
    const again = await warp(['select', ...common, '--count', '12', '-o', out, '--features', 'head', '--json'])
    expect(again.code).toBe(2)
    expect((JSON.parse(again.stdout) as ErrorDocument).error.code).toBe('OUTPUT_EXISTS')
    const evaluated = await warp([
      'select',
      'evaluate',
      out,
      '--test',
      pair.probes,
      '--true',
      pair.probes,
      '--epochs',
      '1',
      '--json',
    ])
    expect(evaluated.code).toBe(0)
    const { rows } = JSON.parse(evaluated.stdout) as EvaluateResult
    expect(rows.map(({ name }) => name)).toEqual(['selected', 'random', 'true', 'reference'])
    expect(rows.map(({ texts }) => texts)).toEqual([12, 12, 96, 0])
    expect(rows[0].overlap).toMatchObject({ containment: expect.any(Number) as number })
    expect(rows[2].overlap).toEqual({ exact: 1, vocabulary: 1, containment: 1 })
    expect(rows[3]).toMatchObject({ agreement: 1, divergence: 0 })
    const missing = await warp(['select', '--base', pair.base, '--json'])
    expect(missing.code).toBe(2)
    expect((JSON.parse(missing.stdout) as ErrorDocument).error.message).toContain('--reference')
    const said = await warp(['predict', '--model', pair.reference, '--texts', pair.probes, '--json'])
    expect(JSON.parse(said.stdout)).toMatchObject({ schema: 'warp.predict/1', texts: 96, judged: 96 })
  })
})
