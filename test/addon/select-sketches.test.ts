// Sketches of gradients: exact products against autograd (test/fixtures/select/make.py), the mean of sketches against
// them, and the same bits whatever threads, order and neighbours.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeWeights, networkOf, openPair } from '../../lib/checkpoint/index.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import type { SketchRequest, SketchResult } from '../../lib/native/types.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { fixtureModel } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'

interface Products {
  gram: number[][]
  loss: number[]
}
type GoldenFile = { texts: number[][]; labels: number[]; language: Products & { texts: number[][] } } & Record<
  'linear.base' | 'linear.middle',
  Products
>
const golden = JSON.parse(readFileSync(join(repositoryRoot, 'test/fixtures/select/golden.json'), 'utf8')) as GoldenFile

const noTarget = 0xffffffff

async function sketch(
  models: [string, string],
  texts: number[][],
  more: Partial<SketchRequest>,
  alongOf?: string,
): Promise<SketchResult & { expected?: Float64Array }> {
  const language = more.outputs === true || more.targets !== undefined
  const pair = await openPair(...models, language ? { objective: 'language' } : {})
  const network = networkOf(pair.reference, language ? 'language' : 'classify')
  const handles = [nativeWeights(pair.base), nativeWeights(pair.reference)]
  const path = addon().openPath(handles[0], handles[1], { family: 'linear', lambdas: [0.5] })
  const offsets = Uint32Array.from([0, ...texts.map((_, i) => texts.slice(0, i + 1).flat().length)])
  const ids = Uint32Array.from(texts.flat())
  const targets = Uint32Array.from(texts.flatMap((text) => [...text.slice(1), noTarget]))
  const packed = { path, network, ids, typeIds: new Uint8Array(ids.length), offsets, ...(language ? { targets } : {}) }
  const common = { outputs: false, atBase: true, size: 64, seed: 0, exact: 0, threads: 1, memory: 2 ** 30 }
  try {
    const made = await runTask((report) => addon().sketchGradients({ ...packed, ...common, ...more }, report), 'a', 'b')
    if (!alongOf) return made
    const domain = { domain: new Int32Array(texts.length), domains: 1, gradients: false, scope: [alongOf] }
    const score = { ...packed, ...domain, threads: 1, memory: 2 ** 30 }
    const { alignment } = await runTask((report) => addon().score(score, report), 'a', 'b')
    return { ...made, expected: alignment }
  } finally {
    for (const handle of [path, ...handles]) handle.close()
  }
}

/** ⟨sketch i, sketch j⟩ at point k of two. */
function product({ rows }: SketchResult, size: number, k: number, i: number, j: number): number {
  let sum = 0
  for (let s = 0; s < size; s++) sum += rows[(2 * i + k) * size + s] * rows[(2 * j + k) * size + s]
  return sum
}

/** Over seeds: the mean is that of the exact products within 4 of its standard errors, in every pair. */
function expectMeans(runs: SketchResult[], size: number, k: number, gram: number[][]): void {
  for (let i = 0; i < gram.length; i++) {
    for (let j = 0; j <= i; j++) {
      const values = runs.map((run) => product(run, size, k, i, j))
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      const spread = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
      expect(Math.abs(mean - gram[i][j])).toBeLessThan(4 * Math.sqrt(spread / values.length) + 1e-6 * gram[i][i])
    }
  }
}

const bert: [string, string] = [fixtureModel('bert/base'), fixtureModel('bert/reference')]
const label = Int32Array.from(golden.labels)

describe('all linear layers of a classifier', () => {
  test('exact products are those of autograd', async () => {
    const n = golden.texts.length
    const { exact } = await sketch(bert, golden.texts, { label, exact: n })
    for (const [k, name] of (['linear.base', 'linear.middle'] as const).entries()) {
      const { gram } = golden[name]
      const largest = Math.max(...gram.flat())
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++)
          expect(Math.abs(exact[(k * n + i) * n + j] - gram[i][j])).toBeLessThan(1e-5 * largest)
    }
  })

  test('the mean of sketches over seeds', async () => {
    const runs: SketchResult[] = []
    for (let seed = 0; seed < 200; seed++) runs.push(await sketch(bert, golden.texts, { label, seed, size: 256 }))
    expectMeans(runs, 256, 0, golden['linear.base'].gram)
    expectMeans(runs, 256, 1, golden['linear.middle'].gram)
  })

  test('the same bits for any threads, any order and alone', async () => {
    const size = 128
    const whole = await sketch(bert, golden.texts, { label, size })
    expect(await sketch(bert, golden.texts, { label, size, threads: 3 })).toEqual(whole)
    const turned = await sketch(bert, [...golden.texts].reverse(), { label: label.slice().reverse(), size })
    const row = (of: SketchResult, i: number): number[] =>
      Array.from(of.rows.subarray(2 * i * size, 2 * (i + 1) * size))
    const last = golden.texts.length - 1
    for (const [i, text] of golden.texts.entries()) {
      expect(row(turned, last - i)).toEqual(row(whole, i))
      expect(row(await sketch(bert, [text], { label: label.slice(i, i + 1), size }), 0)).toEqual(row(whole, i))
    }
  })
})

describe("a language model's output layer", () => {
  let models: [string, string]
  beforeAll(() => {
    const { base, reference } = makeLanguagePair()
    models = [base, reference]
  })
  const { texts, gram, loss } = golden.language

  test('sketches against autograd; products with the direction; losses', async () => {
    const runs: SketchResult[] = []
    for (let seed = 0; seed < 200; seed++) runs.push(await sketch(models, texts, { outputs: true, seed, size: 256 }))
    expectMeans(runs, 256, 0, gram)
    const { along, expected, loss: found } = await sketch(models, texts, { outputs: true }, 'lm_head.weight')
    // the forward-mode derivative at the path's one point, by another way
    for (let i = 0; i < texts.length; i++) {
      expect(Math.abs(along[2 * i + 1] - expected![i])).toBeLessThan(1e-5 * Math.max(...expected!.map(Math.abs)))
      expect(Math.abs(found[2 * i] - loss[i])).toBeLessThan(1e-5 * loss[i])
    }
  })

  test('the same bits for any threads and alone', async () => {
    const whole = await sketch(models, texts, { outputs: true })
    expect(await sketch(models, texts, { outputs: true, threads: 3 })).toEqual(whole)
    const alone = await sketch(models, [texts[2]], { outputs: true })
    expect(Array.from(alone.rows)).toEqual(Array.from(whole.rows.subarray(4 * 64, 6 * 64)))
    expect(alone.along[1]).toBe(whole.along[5])
  })
})
