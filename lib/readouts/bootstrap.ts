import { Random } from '../random.js'
import { Turns } from '../turns.js'
import type { FootprintStatistics, Predictor } from './types.js'

export interface BootstrapOptions {
  seed: number
  /** number of resamples */
  replicates: number
  signal?: AbortSignal
  onProgress?: (done: number) => void
}

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
  const turns = new Turns(signal)
  const strata = await strataOf(stats, seed, turns)
  const shares = predictors.map(() => new Float64Array(replicates * D))
  let told = -1
  for (let replicate = 0; replicate < replicates; replicate++) {
    const weights = new Float64Array(stats.domain.length)
    for (const { members, random, counts } of strata) {
      random.resample(members.length, counts)
      for (let i = 0; i < members.length; i++) weights[members[i]] = counts[i]
      if (turns.due) await turns.take()
    }
    for (const [p, predict] of predictors.entries()) {
      shares[p].set(predict(weights), replicate * D)
      if (!turns.due) continue
      if (replicate > told) onProgress?.((told = replicate)) // a slow machine stops several times within one
      await turns.take()
    }
  }
  return shares
}

/** The probes of each domain, with its random numbers and room for how often each was drawn. */
async function strataOf({ domains, domain }: FootprintStatistics, seed: number, turns: Turns) {
  const members: number[][] = domains.map(() => [])
  domain.forEach((d, i) => {
    members[d].push(i)
  })
  const strata = []
  for (const [d, name] of domains.entries()) {
    const random = new Random(seed, `bootstrap/${name}`)
    strata.push({ members: members[d], random, counts: new Uint32Array(members[d].length) })
    if (turns.due) await turns.take()
  }
  return strata
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
  const turns = new Turns(signal)
  for (let d = 0; d < D; d++) {
    const column = Float64Array.from({ length: shares.length / D }, (_, r) => shares[r * D + d]).sort()
    intervals.push([quantile(column, (1 - level) / 2), quantile(column, (1 + level) / 2)])
    if (turns.due) await turns.take()
  }
  return intervals
}
