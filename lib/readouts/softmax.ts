import { meanByDomain, softmax } from './sums.js'
import type { FootprintStatistics, Readout } from './types.js'

/** How a column of the alignment matrix (one point of the path) is scaled before the domains' means are taken. */
export interface SoftmaxOptions {
  /**
   * `none` leaves the scores as they are; `max` divides a column by its largest magnitude, `zscore` subtracts its mean
   * and divides by its standard deviation over the probes. Default `none`.
   */
  normalization?: 'none' | 'max' | 'zscore'
  /** `warp`: `max` divides by the largest value, sign and all, as the paper's authors do */
  compat?: 'warp'
}

/** The paper's readout: π̂ = softmax over domains of the footprint's mean over the points, temperature 1. */
export function softmaxReadout({ normalization = 'none', compat }: SoftmaxOptions = {}): Readout {
  return {
    name: 'softmax',
    description: 'softmax of the footprint, mean over the points of the path (the paper)',
    settings: () => ({ temperature: 1, normalization, ...(compat && { compat }) }),
    why: (stats) => (stats.lambdas.length === 0 ? 'there is no point on the path' : null),
    prepare(stats) {
      const D = stats.domains.length
      if (normalization === 'none') {
        const scores = meanOverPoints(stats, null)
        return (weights) => softmax(meanByDomain(scores, 1, stats.domain, D, weights))
      }
      return (weights) => {
        const columns = columnScales(stats, normalization, compat, weights)
        return softmax(meanByDomain(meanOverPoints(stats, columns), 1, stats.domain, D, weights))
      }
    },
  }
}

interface ColumnScale {
  shift: number
  factor: number
}

/** N, each probe's (M[i, k] − shift_k) · factor_k, mean over k. */
function meanOverPoints(stats: FootprintStatistics, columns: ColumnScale[] | null): Float64Array {
  const K = stats.lambdas.length
  return Float64Array.from(stats.domain, (_, i) => {
    let sum = 0
    for (let k = 0; k < K; k++) {
      const score = stats.alignment[i * K + k]
      sum += columns ? (score - columns[k].shift) * columns[k].factor : score
    }
    return sum / K
  })
}

/** A column that does not vary (or is zero throughout) gets factor 0: it tells the domains nothing. */
function columnScales(
  stats: FootprintStatistics,
  normalization: 'max' | 'zscore',
  compat: 'warp' | undefined,
  weights: Float64Array | null,
): ColumnScale[] {
  const K = stats.lambdas.length
  const N = stats.domain.length
  return Array.from({ length: K }, (_, k) => {
    let [total, sum, squares, largest, magnitude] = [0, 0, 0, -Infinity, 0]
    for (let i = 0; i < N; i++) {
      const w = weights ? weights[i] : 1
      if (w === 0) continue
      const score = stats.alignment[i * K + k]
      total += w
      sum += w * score
      squares += w * score * score
      largest = Math.max(largest, score)
      magnitude = Math.max(magnitude, Math.abs(score))
    }
    if (normalization === 'max') {
      const by = compat === 'warp' ? largest : magnitude
      return { shift: 0, factor: by === 0 ? 0 : 1 / by }
    }
    const shift = sum / total
    const deviation = Math.sqrt(Math.max(squares / total - shift * shift, 0))
    return { shift, factor: deviation > 1e-12 * magnitude ? 1 / deviation : 0 }
  })
}
