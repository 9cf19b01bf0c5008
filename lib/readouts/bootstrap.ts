import { setImmediate } from 'node:timers/promises'
import { Random } from '../random.js'
import type { FootprintStatistics, Predictor } from './types.js'

export interface BootstrapOptions {
  seed: number
  /** number of resamples */
  replicates: number
  signal?: AbortSignal
  onProgress?: (done: number) => void
}

/** The event loop gets its turn this often, so that timers run and an abort is noticed. */
const SLICE_MS = 15

/**
 * Shares under resampling of the probes, stratified by domain: each replicate draws as many probes of a domain as it
 * has, with replacement, and every predictor sees the same draws. Each domain has its own random sequence, named after
 * it, so the result does not depend on the order of the domains.
 * @returns per predictor, replicates × D
 */
export async function bootstrap(
  stats: FootprintStatistics,
  predictors: Predictor[],
  { seed, replicates, signal, onProgress }: BootstrapOptions,
): Promise<Float64Array[]> {
  const D = stats.domains.length
  const members: number[][] = stats.domains.map(() => [])
  stats.domain.forEach((d, i) => {
    members[d].push(i)
  })
  const strata = stats.domains.map((name, d) => ({
    members: Int32Array.from(members[d]),
    random: new Random(seed, `bootstrap/${name}`),
  }))
  const counts = strata.map(({ members }) => new Uint32Array(members.length))
  const shares = predictors.map(() => new Float64Array(replicates * D))
  let told = -1
  let resumed = performance.now()
  for (let replicate = 0; replicate < replicates; replicate++) {
    const weights = new Float64Array(stats.domain.length)
    strata.forEach(({ members, random }, d) => {
      random.resample(members.length, counts[d])
      for (let i = 0; i < members.length; i++) weights[members[i]] = counts[d][i]
    })
    for (const [p, predict] of predictors.entries()) {
      shares[p].set(predict(weights), replicate * D)
      if (performance.now() - resumed < SLICE_MS) continue
      if (replicate > told) onProgress?.((told = replicate)) // a slow machine stops several times within one
      await setImmediate()
      signal?.throwIfAborted()
      resumed = performance.now()
    }
  }
  return shares
}

/** Quantile of ascending values, linear between the two nearest. */
export function quantile(sorted: Float64Array, probability: number): number {
  const at = probability * (sorted.length - 1)
  const below = Math.floor(at)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (at - below) * (sorted[above] - sorted[below])
}

/** Per domain, the central percentile interval of `shares` (replicates × D). */
export async function percentileIntervals(
  shares: Float64Array,
  D: number,
  level: number,
  signal?: AbortSignal,
): Promise<[number, number][]> {
  const intervals: [number, number][] = []
  let resumed = performance.now()
  for (let d = 0; d < D; d++) {
    const column = Float64Array.from({ length: shares.length / D }, (_, r) => shares[r * D + d]).sort()
    intervals.push([quantile(column, (1 - level) / 2), quantile(column, (1 + level) / 2)])
    if (performance.now() - resumed < SLICE_MS) continue
    await setImmediate()
    signal?.throwIfAborted()
    resumed = performance.now()
  }
  return intervals
}
