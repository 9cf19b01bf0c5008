// The parts predictions and lens (see diff-lens.test.ts) of a diff: against the same networks computed naively in
// float64, and from outside.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { diff, diffSchema } from '../../lib/diff/index.js'
import { predict } from '../../lib/index.js'
import type { Network } from '../../lib/models/network.js'
import { noTarget, type CompareResult } from '../../lib/native/types.js'
import { compareTexts as texts, compareTop as top, compareFixture, order } from '../support/compare.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { temporaryDirectory } from '../support/models.js'
import { referenceLogits } from '../support/networks.js'
import { makePair } from '../support/pair.js'

const softmax = (z: ArrayLike<number>): number[] => {
  const most = Math.max(...Array.from(z))
  const e = Array.from(z, (x) => Math.exp(x - most))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((x) => x / sum)
}

describe.each(['llama-language', 'gpt2-language', 'gemma2-language', 'gpt_neox-language'])('%s', (name) => {
  let s: Awaited<ReturnType<typeof compareFixture>>
  let result: CompareResult
  beforeAll(async () => {
    s = await compareFixture(name)
    result = await s.run()
  })

  test('divergences, what adds most to them and expected occurrences are those of the naive networks', () => {
    const expected = { base: [] as number[], reference: [] as number[] }
    let largest = 1
    texts.forEach((text, t) => {
      const [base, reference] = s.weights.map((weights) => referenceLogits(s.network, weights, text, []))
      text.forEach((_, i) => {
        const at = s.offsets[t]! + i
        const own = (found: Uint32Array): number[] => [...found.subarray(at * top, (at + 1) * top)]
        if (i + 1 === text.length) {
          for (const found of [result.promoted, result.suppressed])
            expect(new Set(own(found))).toEqual(new Set([noTarget]))
          return expect(result.divergence[at]).toBe(0)
        }
        const p = softmax(reference![i]!)
        const q = softmax(base![i]!)
        for (const [sums, values] of [
          [expected.base, q],
          [expected.reference, p],
        ] as const) {
          values.forEach((value, v) => (sums[v] = (sums[v] ?? 0) + value))
        }
        const kl = p.reduce((sum, x, v) => sum + x * Math.log(x / q[v]!), 0)
        const scale = Math.max(1, ...Array.from(reference![i]!, Math.abs))
        largest = Math.max(largest, scale)
        // logits in float32 are right to 2e-5 of the largest
        const slack = 4e-5 * scale
        expect(Math.abs(result.divergence[at]! - kl)).toBeLessThan(slack)
        for (const [found, parts] of [
          [own(result.promoted), p.map((x, v) => x * Math.log(x / q[v]!))],
          [own(result.suppressed), q.map((x, v) => x * Math.log(x / p[v]!))],
        ] as const) {
          const want = order(parts, 1).slice(0, top)
          found.forEach((id, k) => {
            if (id === noTarget) return expect(parts[want[k]!]!).toBeLessThan(slack)
            return expect(Math.abs(parts[id]! - parts[want[k]!]!)).toBeLessThan(slack)
          })
          const named = found.filter((id) => id !== noTarget)
          expect(new Set(named).size).toBe(named.length)
          expect(named.length).toBeGreaterThan(0)
        }
        return undefined
      })
    })
    const predicted = texts.reduce((sum, text) => sum + text.length - 1, 0)
    for (const [found, want] of [
      [result.baseExpected, expected.base],
      [result.referenceExpected, expected.reference],
    ] as const) {
      // of a probability that is twice as much, relatively: its own logit and the sum's
      want.forEach((value, v) => expect(Math.abs(found[v]! / value - 1)).toBeLessThan(4e-5 * largest))
      expect(Math.abs(found.reduce((a, b) => a + b, 0) - predicted)).toBeLessThan(1e-5 * predicted)
    }
  })

  test('mean activations of each text behind a layer', async () => {
    const { network } = s
    const want = (layer: number): Float64Array[] => {
      const part: Network = { ...network, layers: network.layers.slice(0, layer), head: { steps: [], output: 'x' } }
      return texts.map((text) => {
        const rows = text.map((_, i) => referenceLogits(part, s.weights[1], text, [])[i]!)
        return rows[0]!.map((_, j) => rows.reduce((sum, row) => sum + row[j]!, 0) / rows.length)
      })
    }
    expect(result.means).toHaveLength(0)
    for (const meanLayer of [1, network.layers.length]) {
      const { means, ...rest } = await s.run({ meanLayer })
      const { means: _, ...before } = result
      expect({ ...rest, peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 })
      want(meanLayer).forEach((row, t) => {
        const scale = Math.hypot(...row)
        const found = means.subarray(t * row.length, (t + 1) * row.length)
        // activations in float32 are right to 2e-5 of a row's norm
        row.forEach((value, j) => expect(Math.abs(found[j]! - value)).toBeLessThan(2e-5 * scale))
      })
      expect((await s.run({ meanLayer, positions: 0, threads: 1 })).means).toEqual(means)
    }
    await expect(s.run({ meanLayer: network.layers.length + 1 })).rejects.toThrow('compare')
  })

  test('threads and memory do not change a bit', async () => {
    const { peakBytes: _, ...want } = result
    for (const extra of [{ threads: 1 }, { threads: 4 }, { memory: result.peakBytes }]) {
      const { peakBytes: __, ...other } = await s.run(extra)
      expect(other).toEqual(want)
    }
    await expect(s.run({ memory: 1000 })).rejects.toMatchObject({ code: 'MEMORY_BUDGET' })
  })
})

describe('warp diff', () => {
  const pair = makeLanguagePair()
  const neutral = join(pair.folder, 'neutral.txt')
  writeFileSync(neutral, ['the and on the rest', 'in an one', 'there the other', 'e'].join('\n'))
  const options = { base: pair.base, reference: pair.reference, only: ['predictions', 'lens'], texts: [neutral] }

  test('both parts are in the result, the page and the tables', async () => {
    const { result, page, lines, tables } = await diff(options)
    diffSchema.parse(result)
    const { predictions, lens } = result
    expect(predictions!.texts).toBe(4)
    expect(predictions!.divergence.mean).toBeGreaterThan(0)
    expect(predictions!.divergence.most).toBeGreaterThanOrEqual(predictions!.divergence.median)
    expect(predictions!.passages[0]!.mean).toBeGreaterThanOrEqual(predictions!.passages.at(-1)!.mean)
    for (const [found, sign] of [
      [predictions!.promoted, 1],
      [predictions!.suppressed, -1],
    ] as const) {
      expect(found.length).toBeGreaterThan(1)
      for (const { base, reference, score } of found) {
        expect(Math.sign(reference - base)).toBe(sign)
        const deviance = 2 * (reference * Math.log(reference / base) - (reference - base))
        expect(score).toBeCloseTo(sign * Math.sqrt(deviance), 6)
      }
      const scores = found.map(({ score }) => sign * score)
      expect(scores).toEqual([...scores].sort((a, b) => b - a))
    }
    expect(predictions!.topics.length).toBeGreaterThan(0)
    expect(predictions!.topics.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 9)
    expect(lens!.places.length).toBe(2 * 5)
    for (const title of ['Predictions', 'Topics', 'Lens']) expect(page()).toContain(title)
    expect(lines.join('\n')).toMatch(/predictions: KL.*\n {2}promoted/)
    expect(Object.keys(tables).sort()).toEqual(['lens.csv', 'passages.csv', 'predictions.csv', 'topics.csv'])
    expect((await diff({ ...options, threads: 1 })).result).toEqual(result)
  })

  test('equal models depart nowhere', async () => {
    const { result } = await diff({ ...options, reference: pair.base })
    expect(result.predictions!.divergence.most).toBe(0)
    expect(result.predictions).toMatchObject({ passages: [], promoted: [], suppressed: [], topics: [] })
    expect(result.lens!.places.every(({ relative }) => relative === 0)).toBe(true)
  })

  test('models apart have nothing to say here', async () => {
    const other = makeLanguagePair('llama-tied', temporaryDirectory())
    await expect(diff({ ...options, base: other.base })).rejects.toMatchObject({ code: 'DIFF_NOTHING_APPLIES' })
    expect((await diff({ ...options, only: ['lens'] })).result.skipped).toEqual([])
  })
})

describe.each(['bert', 'gpt2'] as const)('a classifier, %s', (kind) => {
  const { base, reference, probes } = makePair(kind)
  const only = ['predictions']
  const neutral = [probes]

  /** Probabilities of the labels, by text. */
  const outputs = async (model: string): Promise<number[][]> => {
    const found: number[][] = []
    await predict({ model, texts: neutral, onText: ({ logits }) => void found.push(softmax(logits!)) })
    return found
  }

  /** The base as it is, and without a classifier. */
  const headless = join(temporaryDirectory(), 'headless')
  cpSync(base, headless, { recursive: true })
  const config = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as object
  const architectures = [kind === 'bert' ? 'BertModel' : 'GPT2Model']
  writeFileSync(join(headless, 'config.json'), JSON.stringify({ ...config, architectures }))

  test.each([base, headless])('its own outputs are compared with those of %s', async (from) => {
    const { result, page, lines, tables } = await diff({ base: from, reference, only, texts: neutral })
    diffSchema.parse(result)
    const { outputs: found, divergence, texts: count } = result.predictions!
    const p = await outputs(reference)
    const q = from === base ? await outputs(base) : p.map((row) => row.map(() => 1 / row.length))
    expect(count).toBe(p.length)
    expect(found!.baseClassifies).toBe(from === base)
    const kl = p.map((row, i) => row.reduce((sum, x, c) => sum + x * Math.log(x / q[i]![c]!), 0))
    const most = Math.max(...kl)
    expect(divergence.mean).toBeCloseTo(kl.reduce((a, b) => a + b, 0) / kl.length, 9)
    expect(divergence.most).toBeCloseTo(most, 9)
    expect(found!.texts[0]!.divergence).toBe(divergence.most)
    expect(found!.texts[0]!.probability).toBeCloseTo(Math.max(...p[kl.indexOf(most)]!), 9)
    expect(found!.labels.reduce((sum, { reference: share }) => sum + share, 0)).toBeCloseTo(1, 9)
    const [first, last] = [found!.labels[0]!, found!.labels.at(-1)!]
    expect(first.reference - first.base).toBeGreaterThan(last.reference - last.base)
    expect(lines.join('\n')).toContain(from === base ? 'the base’s own outputs' : 'equal shares')
    expect(page()).toContain('Mean probability of each label')
    expect(Object.keys(tables).sort()).toEqual(['labels.csv', 'surprising.csv'])
  })

  test('a classifier does not depart from itself', async () => {
    const { result } = await diff({ base: reference, reference, only, texts: neutral })
    expect(result.predictions!.outputs!.baseClassifies).toBe(true)
    expect(result.predictions!.divergence).toEqual({ mean: 0, median: 0, most: 0 })
    for (const { base: before, reference: after } of result.predictions!.outputs!.labels) expect(after).toBe(before)
  })
})
