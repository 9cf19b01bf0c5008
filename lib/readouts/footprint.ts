import { countByDomain, meanByDomain } from './sums.js'
import type { FootprintStatistics } from './types.js'

export interface Footprint {
  /** D × K, mean Mimic Score of the domain's probes at each point */
  mean: number[][]
  /** D × K, standard error of that mean; null for a domain of one probe */
  standardError: (number | null)[][]
  /** D × (K + 2), mean cross-entropy in nats at the base, the points, the reference */
  loss: number[][]
}

/** The footprint S[d, k] with its standard errors, and the losses along the path (section 3 of the method). */
export function footprintOf(stats: FootprintStatistics): Footprint {
  const D = stats.domains.length
  const K = stats.lambdas.length
  const counts = countByDomain(stats.domain, D)
  const mean = meanByDomain(stats.alignment, K, stats.domain, D)
  const loss = meanByDomain(stats.loss, K + 2, stats.domain, D)
  const squares = new Float64Array(D * K)
  for (let i = 0; i < stats.domain.length; i++) {
    const d = stats.domain[i]
    for (let k = 0; k < K; k++) squares[d * K + k] += (stats.alignment[i * K + k] - mean[d * K + k]) ** 2
  }
  const error = (d: number, k: number) =>
    counts[d] > 1 ? Math.sqrt(squares[d * K + k] / (counts[d] - 1) / counts[d]) : null
  return {
    mean: rows(D, K, (d, k) => mean[d * K + k]),
    standardError: rows(D, K, error),
    loss: rows(D, K + 2, (d, k) => loss[d * (K + 2) + k]),
  }
}

const rows = <T>(height: number, width: number, value: (row: number, column: number) => T): T[][] =>
  Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => value(row, column)))
