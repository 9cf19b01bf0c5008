import { meanProbabilities, whyNoClasses } from './probabilities.js'
import { normalised } from './sums.js'
import type { Readout } from './types.js'

/**
 * Every transition is at least this likely, so that exactly one stationary distribution exists even where the reference
 * never confuses two domains; a reference that confuses none gives equal shares. Too small to show in the shares.
 */
const LEAK = 1e-12

/**
 * Stationary distribution of the D × D matrix whose rows are distributions, by elimination of states without any
 * subtraction (Grassmann, Taksar and Heyman), so that small confusions keep their relative accuracy.
 */
export function stationaryDistribution(transition: Float64Array, D: number): Float64Array {
  const p = transition.map((value) => value + LEAK)
  for (let last = D - 1; last > 0; last--) {
    let out = 0
    for (let j = 0; j < last; j++) out += p[last * D + j]
    for (let i = 0; i < last; i++) {
      p[i * D + last] /= out
      for (let j = 0; j < last; j++) p[i * D + j] += p[i * D + last] * p[last * D + j]
    }
  }
  const shares = new Float64Array(D)
  shares[0] = 1
  for (let j = 1; j < D; j++) for (let i = 0; i < j; i++) shares[j] += shares[i] * p[i * D + j]
  return normalised(shares)
}

/** The mixture that the reference's own confusions leave as it is: πᵀP = πᵀ with P[d, c] the mean p_c over domain d. */
export const stationary: Readout = {
  name: 'stationary',
  description: 'the mixture that the reference’s confusions between domains leave unchanged',
  settings: () => ({}),
  why: whyNoClasses,
  prepare(stats) {
    const means = meanProbabilities(stats)
    return (weights) => stationaryDistribution(means(weights), stats.domains.length)
  },
}
