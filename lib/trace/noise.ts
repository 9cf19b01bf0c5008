// How loud rows are that were not trained, in units of the stored rounding.
import { inOneStep, RankBag, sortedValues, upTo } from './order.js'

/**
 * Of the eight numbers that native code gives for a row (`rowSums` in lib/native/types.ts): how many, and which is
 * where.
 */
export const stride = 8
export const residual2 = 0,
  product = 1,
  base2 = 2,
  error2 = 3,
  cross = 4,
  scale2 = 5,
  maxError = 6,
  nonFinite = 7

/** Expected number of untrained rows of a whole table that are called trained; the threshold is derived from it. */
export const falsePositives = 1e-3

/** Of the square of one element's error, in squared spacings: mean, variance, largest value. */
export interface Noise {
  mean: number
  variance: number
  bound: number
}

/**
 * The noise of the rows at or below a threshold: how many they are, interquartile range of their scores over the
 * median.
 */
export interface FoundNoise extends Noise {
  threshold: number
  rows: number
  spread: number
}

/** One rounding to the nearest: the error is uniform between −1/2 and 1/2 spacing. */
export const rounding: Noise = { mean: 1 / 12, variance: 1 / 180, bound: 1 / 4 }

export interface Dtypes {
  base: string
  reference: string
}

/** Bits of the fraction, the leading one left out; float64 files are computed in float32. */
const fractionBits: Record<string, number> = { F64: 23, F32: 23, F16: 10, BF16: 7 }

/** Rows that are enough to recognise the untrained by: 8, or one in two hundred. */
export const enough = (rows: number) => Math.max(8, Math.ceil(rows / 200))

/** The mean of the densest `count` of the values (of which some are NaN), weighted. */
function* densest(values: Float64Array, weights: Float64Array, count: number): Generator<void, number> {
  const sorted = sortedValues(values)
  yield
  const size = Math.min(count, sorted.length)
  if (size === 0) return 0
  let best = 0
  for (let i = 0; i + size <= sorted.length; i++) {
    if (sorted[i + size - 1] - sorted[i] < sorted[best + size - 1] - sorted[best]) best = i
  }
  const least = sorted[best],
    most = sorted[best + size - 1]
  const within: number[] = []
  for (let v = 0; v < values.length; v++) if (values[v] >= least && values[v] <= most) within.push(v)
  within.sort((a, b) => values[a] - values[b]) // ties by place, of which those before `best` are left out
  yield
  const first = best - sorted.indexOf(least)
  let sum = 0,
    total = 0
  for (const v of within.slice(first, first + size)) {
    sum += weights[v] * values[v]
    total += weights[v]
  }
  return total > 0 ? sum / total : 0
}

/** α as the value on which most rows agree best: untrained rows share it to rounding, trained ones scatter. */
export function* commonDecay(sums: Float64Array, alpha: number): Generator<void, number> {
  const rows = sums.length / stride
  const ratio = new Float64Array(rows).fill(NaN)
  const weight = new Float64Array(rows)
  for (let v = 0; v < rows; v++) {
    const row = v * stride
    if (sums[row + nonFinite] || !(sums[row + scale2] > 0)) continue
    ratio[v] = sums[row + cross] / sums[row + scale2]
    weight[v] = sums[row + scale2]
  }
  return alpha + (yield* densest(ratio, weight, enough(rows)))
}

/** The decay of a few rows, whose sums are for α = 0; 0 where none of them differs by more than the stored rounding. */
export function pilotDecay(sums: Float64Array): number {
  for (let at = maxError; at < sums.length; at += stride) if (sums[at] > 0.5) return inOneStep(commonDecay(sums, 0))
  return 0
}

/**
 * The score (mean square, in units of the spacing) that no untrained row of the table passes, but for
 * `falsePositives` of them in expectation. Bernstein's inequality for the mean of H independent squares with the
 * given mean, variance and bound, and a union over the rows.
 */
export function bernstein(noise: Noise, columns: number, rows: number): number {
  const log = Math.log(Math.max(rows, 1) / falsePositives) / columns
  const third = (noise.bound * log) / 3
  return noise.mean + third + Math.sqrt(third * third + 2 * noise.variance * log)
}

/** Of the first `count` of sorted values. */
const quantile = (sorted: Float64Array, q: number, count = sorted.length): number =>
  sorted[Math.min(count - 1, Math.floor(q * count))]

/** Rows by the squares of their largest errors; those without a scale, whose values are all zero, are left out. */
export interface ErrorRanks {
  sorted: Float64Array
  /** rows: the last place of their square in `sorted`; 0 for those left out */
  rank: Uint32Array
}

export function* rankErrors(sums: Float64Array): Generator<void, ErrorRanks> {
  const squares = new Float64Array(sums.length / stride)
  for (let v = 0, row = 0; v < squares.length; v++, row += stride)
    squares[v] = sums[row + scale2] > 0 ? sums[row + maxError] ** 2 : NaN
  const sorted = sortedValues(squares)
  yield
  const rank = new Uint32Array(squares.length)
  for (let v = 0; v < rank.length; v++) if (!Number.isNaN(squares[v])) rank[v] = upTo(sorted, squares[v]) - 1
  yield
  return { sorted, rank }
}

/**
 * The noise of untrained rows, grown from the quietest rows until nothing joins, and its threshold. What rows at or
 * below a threshold say about one element: medians, which a few trained rows do not move.
 */
export function* findNoise(
  score: Float64Array,
  sums: Float64Array,
  errors: ErrorRanks,
  columns: number,
): Generator<void, FoundNoise> {
  const rows = score.length
  const own = new Float64Array(rows)
  for (let v = 0; v < rows; v++) own[v] = sums[v * stride + scale2] > 0 ? score[v] : NaN
  const quiet = sortedValues(own)
  yield
  const joined = new RankBag(errors.sorted.length)
  let reached = -Infinity
  const noiseBelow = (limit: number): Noise & { rows: number; spread: number } => {
    const count = upTo(quiet, limit)
    for (let v = 0; v < rows; v++) if (own[v] > reached && own[v] <= limit) joined.insert(errors.rank[v])
    reached = limit
    const mean = quantile(quiet, 0.5, count) ?? 0
    const bound = count > 0 ? errors.sorted[joined.at(Math.floor(0.5 * count))] : 0
    const spread = mean > 0 ? (quantile(quiet, 0.75, count) - quantile(quiet, 0.25, count)) / mean : 0
    return { mean, bound, variance: Math.max(0, (bound - mean) * mean), rows: count, spread }
  }
  const least = bernstein(rounding, columns, rows)
  let threshold = Math.max(least, quiet[Math.min(enough(rows), quiet.length) - 1] ?? 0)
  for (let round = 0; round < 100; round++) {
    const next = Math.max(least, threshold, bernstein(noiseBelow(threshold), columns, rows))
    if (next === threshold) break
    threshold = next
    yield
  }
  return { ...noiseBelow(threshold), threshold }
}

/** Φ(z), by Abramowitz and Stegun 7.1.26 (1.5e-7). */
export function normalBelow(z: number): number {
  const x = Math.abs(z) / Math.SQRT2
  const t = 1 / (1 + 0.3275911 * x)
  const tail =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x)
  return z < 0 ? tail / 2 : 1 - tail / 2
}

/** Φ⁻¹(p), by bisection of `normalBelow`. */
export function normalQuantile(p: number): number {
  let low = -8,
    high = 8
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2
    if (normalBelow(middle) < p) low = middle
    else high = middle
  }
  return high
}

/** How many trained rows the threshold hides, were the logarithms of their scores normal in the lower tail. */
export function missedBelow(threshold: number, scores: Float64Array): number {
  if (scores.length < 4) return 0
  const logs = scores.map(Math.log).sort()
  const middle = quantile(logs, 0.5)
  const deviation = (middle - quantile(logs, 0.1)) / 1.2816
  return deviation > 0 ? scores.length * normalBelow((Math.log(threshold) - middle) / deviation) : 0
}

/** Rounding errors of float32 that a long training may pile up in one element, in spacings of float32. */
const piledUp = 2 ** 14

/** The largest root mean square of an untrained element's error, in spacings of the reference's dtype. */
export function loudestNoise(dtypes: Dtypes): number {
  const bits = fractionBits[dtypes.reference] ?? 23
  const coarser = Math.max(0, bits - (fractionBits[dtypes.base] ?? 23))
  return 1 + piledUp / 2 ** (23 - bits) + (coarser > 0 ? 2 ** coarser : 0)
}
