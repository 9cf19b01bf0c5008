import {
  bernstein,
  commonDecay,
  cross,
  enough,
  findNoise,
  maxError,
  nonFinite,
  rankErrors,
  rounding,
  scale2,
  stride,
  type FoundNoise,
} from '../../lib/trace/noise.js'
import { inOneStep, RankBag, sortedValues, upTo } from '../../lib/trace/order.js'
import { Random } from '../../lib/random.js'

const columns = 32

/** The search by its definition: every round looks at every row. */
function naiveNoise(score: Float64Array, sums: Float64Array): FoundNoise {
  const all = Array.from(score.keys()).filter((v) => !Number.isNaN(score[v]) && sums[v * stride + scale2] > 0)
  const quantile = (values: number[], q: number) =>
    values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0
  const noiseBelow = (limit: number) => {
    const rows = all.filter((v) => score[v] <= limit),
      scores = rows.map((v) => score[v])
    const mean = quantile(scores, 0.5),
      bound = quantile(
        rows.map((v) => sums[v * stride + maxError] ** 2),
        0.5,
      )
    const spread = mean > 0 ? (quantile(scores, 0.75) - quantile(scores, 0.25)) / mean : 0
    return { mean, bound, variance: Math.max(0, (bound - mean) * mean), rows: rows.length, spread }
  }
  const least = bernstein(rounding, columns, score.length)
  const quiet = all.map((v) => score[v]).sort((a, b) => a - b)
  let threshold = Math.max(least, quiet[Math.min(enough(score.length), quiet.length) - 1] ?? 0)
  for (let round = 0; round < 100; round++) {
    const next = Math.max(least, threshold, bernstein(noiseBelow(threshold), columns, score.length))
    if (next === threshold) break
    threshold = next
  }
  return { ...noiseBelow(threshold), threshold }
}

/** Scores of rows that were and were not trained, or of rows that all moved by their own amounts. */
function table(rows: number, random: Random, kind: string): { score: Float64Array; sums: Float64Array } {
  const score = new Float64Array(rows),
    sums = new Float64Array(rows * stride)
  const spread = 2 * random.uniform()
  for (let v = 0; v < rows; v++) {
    const moved = kind === 'every' || random.uniform() < 0.1
    const square = moved ? Math.exp(4 + spread * random.normal()) : (1 + 0.1 * random.normal()) / 12
    score[v] = kind === 'ties' ? Math.ceil(4 * random.uniform()) / 40 : square
    sums[v * stride + maxError] =
      kind === 'ties' ? Math.ceil(3 * random.uniform()) / 6 : Math.sqrt(square) * (1 + 2 * random.uniform())
    sums[v * stride + scale2] = 1
    if (kind !== 'holes') continue
    if (v % 5 === 0) score[v] = [NaN, 0, -0, Infinity][(v / 5) % 4]
    if (v % 7 === 0) sums[v * stride + scale2] = [0, NaN, Infinity][(v / 7) % 3]
    if (v % 11 === 0) sums[v * stride + maxError] = [0, Infinity, 1e200][(v / 11) % 3]
  }
  return { score, sums }
}

test.each(['some', 'every', 'ties', 'holes'])(
  'the noise found at once is the one found by looking at every row: %s',
  (kind) => {
    const random = new Random(5, kind)
    let joined = 0
    for (const rows of [0, 1, 2, 7, 8, 9, 40, 300, 2500]) {
      for (let draw = 0; draw < 20; draw++) {
        const { score, sums } = table(rows, random, kind)
        const found = inOneStep(findNoise(score, sums, inOneStep(rankErrors(sums)), columns))
        expect(found).toEqual(naiveNoise(score, sums))
        joined += found.rows
      }
    }
    expect(joined).toBeGreaterThan(0)
  },
)

test('values are sorted, and counted up to a limit', () => {
  const random = new Random(6, 'order')
  for (const count of [0, 1, 2, 3, 1000]) {
    const values = Float64Array.from({ length: count }, (_, i) =>
      i % 9 === 4 ? NaN : i % 10 === 3 ? -Infinity : random.below(200) - 100,
    )
    const sorted = sortedValues(values)
    const expected = Array.from(values).filter((value) => !Number.isNaN(value))
    expect(Array.from(sorted)).toEqual(expected.sort((a, b) => (a < b ? -1 : Number(a > b))))
    for (const limit of [-Infinity, -100, -0.5, 3, 99, 1000])
      expect(upTo(sorted, limit)).toBe(sorted.filter((value) => value <= limit).length)
    expect(upTo(sorted, NaN)).toBe(0)
  }
})

/** The decay by its definition: of all orders of the rows by their ratio, ties by row, the densest stretch. */
function naiveDecay(sums: Float64Array, alpha: number): number {
  const rows = sums.length / stride
  const ratio = (v: number): number => sums[v * stride + cross] / sums[v * stride + scale2]
  const order = Array.from({ length: rows }, (_, v) => v)
    .filter((v) => !sums[v * stride + nonFinite] && sums[v * stride + scale2] > 0)
    .sort((a, b) => ratio(a) - ratio(b) || a - b)
  const size = Math.min(enough(rows), order.length)
  const width = (first: number): number => ratio(order[first + size - 1]) - ratio(order[first])
  let best = 0
  for (let first = 0; first + size <= order.length; first++) if (width(first) < width(best)) best = first
  let [sum, total] = [0, 0]
  for (const v of order.slice(best, best + size)) {
    sum += sums[v * stride + scale2] * ratio(v)
    total += sums[v * stride + scale2]
  }
  return alpha + (total > 0 ? sum / total : 0)
}

test.each(['ties', 'scattered'])('the common decay is that of the densest rows: %s', (kind) => {
  const random = new Random(8, kind)
  for (const rows of [1, 7, 8, 9, 40, 300, 2500]) {
    for (let draw = 0; draw < 10; draw++) {
      const sums = new Float64Array(rows * stride)
      for (let v = 0; v < rows; v++) {
        const scale = (sums[v * stride + scale2] = random.below(9) === 0 ? 0 : 1 + random.below(3))
        sums[v * stride + cross] = scale * (kind === 'ties' ? random.below(5) : random.normal())
        sums[v * stride + nonFinite] = Number(random.below(20) === 0)
      }
      expect(inOneStep(commonDecay(sums, 0.25))).toBe(naiveDecay(sums, 0.25))
    }
  }
})

test('a bag of ranks gives its k-th smallest while it grows', () => {
  const random = new Random(7, 'ranks')
  for (const size of [1, 2, 3, 7, 8, 9, 500]) {
    const all = Array.from({ length: size }, (_, i) => i)
    const ranks = random.shuffle([...all, ...all.filter((i) => i % 3 === 0)]),
      bag = new RankBag(size),
      there: number[] = []
    for (const rank of ranks) {
      bag.insert(rank)
      there.push(rank)
      there.sort((a, b) => a - b)
      for (const k of [0, there.length >> 1, there.length - 1]) expect(bag.at(k)).toBe(there[k])
    }
  }
})
