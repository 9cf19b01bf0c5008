import { countByDomain, meanByDomain } from './sums.js'
import type { FootprintStatistics } from './types.js'

/** The footprint as a projector sees it; D domains, K points. */
export interface FootprintSpread {
  /** D × K, mean score S[d, k] */
  mean: number[][]
  /** D × K, standard deviation of the scores of the domain's probes; 0 for a domain of one probe */
  deviation: number[][]
  /** K, largest magnitude of a probe's score */
  largest: number[]
}

/**
 * What a projector is trained on and reads: the footprint, its losses, the shares of the readouts without parameters.
 */
export interface FootprintSummary extends FootprintSpread {
  /** D × (K + 2), mean cross-entropy at the base, the points, the reference */
  loss: number[][]
  /** shares in the order of the domains, by readout */
  mixtures: Record<string, number[]>
}

/** A summary whose mixture is known: D shares. */
export interface Example {
  summary: FootprintSummary
  truth: number[]
}

/** Means, deviations and largest magnitudes of the scores, of all probes or of a resample. */
export function spreadOf(stats: FootprintStatistics, weights: Float64Array | null = null): FootprintSpread {
  const { alignment, domain } = stats
  const D = stats.domains.length
  const K = stats.lambdas.length
  const counts = countByDomain(domain, D, weights)
  const mean = meanByDomain(alignment, K, domain, D, weights)
  const squares = new Float64Array(D * K)
  const largest = new Array<number>(K).fill(0)
  for (let i = 0; i < domain.length; i++) {
    const w = weights ? weights[i] : 1
    if (w === 0) continue
    for (let k = 0; k < K; k++) {
      const score = alignment[i * K + k]
      squares[domain[i] * K + k] += w * (score - mean[domain[i] * K + k]) ** 2
      largest[k] = Math.max(largest[k], Math.abs(score))
    }
  }
  const rows = (value: (at: number, d: number) => number) =>
    Array.from({ length: D }, (_, d) => Array.from({ length: K }, (_, k) => value(d * K + k, d)))
  return {
    mean: rows((at) => mean[at]),
    deviation: rows((at, d) => (counts[d] > 1 ? Math.sqrt(squares[at] / (counts[d] - 1)) : 0)),
    largest,
  }
}
