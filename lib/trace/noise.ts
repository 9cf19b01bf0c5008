// How loud rows are that were not trained, in units of the stored rounding.

/** Of the eight numbers that native code gives for a row (`rowSums` in lib/native/types.ts): how many, and which is where. */
export const stride = 8
export const residual2 = 0, product = 1, base2 = 2, error2 = 3, cross = 4, scale2 = 5, maxError = 6, nonFinite = 7

/** Expected number of untrained rows of a whole table that are called trained; the threshold is derived from it. */
export const falsePositives = 1e-3

/** Of the square of one element's error, in squared spacings: mean, variance, largest value. */
export interface Noise {
  mean: number
  variance: number
  bound: number
}

/** The noise of the rows at or below a threshold: how many they are, interquartile range of their scores over the median. */
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
function densest(values: Float64Array, weights: Float64Array, count: number): number {
  const order = Array.from(values.keys()).filter((i) => !Number.isNaN(values[i])).sort((a, b) => values[a] - values[b])
  const size = Math.min(count, order.length)
  if (size === 0) return 0
  let best = 0
  for (let i = 0; i + size <= order.length; i++) {
    if (values[order[i + size - 1]] - values[order[i]] < values[order[best + size - 1]] - values[order[best]]) best = i
  }
  let sum = 0, total = 0
  for (let i = best; i < best + size; i++) {
    sum += weights[order[i]] * values[order[i]]
    total += weights[order[i]]
  }
  return total > 0 ? sum / total : 0
}

/** α as the value on which most rows agree best: untrained rows share it to rounding, trained ones scatter. */
export function commonDecay(sums: Float64Array, alpha: number): number {
  const rows = sums.length / stride
  const ratio = new Float64Array(rows).fill(NaN)
  const weight = new Float64Array(rows)
  for (let v = 0; v < rows; v++) {
    const row = v * stride
    if (sums[row + nonFinite] || !(sums[row + scale2] > 0)) continue
    ratio[v] = sums[row + cross] / sums[row + scale2]
    weight[v] = sums[row + scale2]
  }
  return alpha + densest(ratio, weight, enough(rows))
}

/** The decay of a few rows, whose sums are for α = 0; 0 where none of them differs by more than the stored rounding. */
export function pilotDecay(sums: Float64Array): number {
  for (let at = maxError; at < sums.length; at += stride) if (sums[at] > 0.5) return commonDecay(sums, 0)
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

const quantile = (sorted: Float64Array, q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]

/** What rows at or below `limit` say about the noise of one element: medians, which a few trained rows do not move. */
function noiseBelow(score: Float64Array, sums: Float64Array, limit: number): Noise & { rows: number; spread: number } {
  const rows: number[] = []
  for (let v = 0; v < score.length; v++) if (score[v] <= limit && sums[v * stride + scale2] > 0) rows.push(v)
  const scores = Float64Array.from(rows, (v) => score[v]).sort()
  const largest = Float64Array.from(rows, (v) => sums[v * stride + maxError] ** 2).sort()
  const mean = quantile(scores, 0.5) ?? 0
  const bound = quantile(largest, 0.5) ?? 0
  const spread = mean > 0 ? (quantile(scores, 0.75) - quantile(scores, 0.25)) / mean : 0
  return { mean, bound, variance: Math.max(0, (bound - mean) * mean), rows: rows.length, spread }
}

/** The noise of untrained rows, grown from the quietest rows until nothing joins, and its threshold; yields between rounds. */
export function* findNoise(score: Float64Array, sums: Float64Array, columns: number): Generator<void, FoundNoise> {
  const rows = score.length
  const quiet = score.filter((value, v) => !Number.isNaN(value) && sums[v * stride + scale2] > 0).sort()
  const least = bernstein(rounding, columns, rows)
  let threshold = Math.max(least, quiet[Math.min(enough(rows), quiet.length) - 1] ?? 0)
  for (let round = 0; round < 100; round++) {
    const noise = noiseBelow(score, sums, threshold)
    const next = Math.max(least, threshold, bernstein(noise, columns, rows))
    if (next === threshold) break
    threshold = next
    yield
  }
  return { ...noiseBelow(score, sums, threshold), threshold }
}

/** Φ(z), by Abramowitz and Stegun 7.1.26 (1.5e-7). */
function normalBelow(z: number): number {
  const x = Math.abs(z) / Math.SQRT2
  const t = 1 / (1 + 0.3275911 * x)
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x)
  return z < 0 ? tail / 2 : 1 - tail / 2
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
