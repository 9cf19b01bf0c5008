import { meanProbabilities, whyNoClasses } from './probabilities.js'
import { normalised } from './sums.js'
import type { Readout } from './types.js'

/** What the reference says about a balanced mixture of all domains: the mean of its probabilities. */
export const meanProbability: Readout = {
  name: 'mean-probability',
  description: 'mean probability the reference gives each class, over probes balanced by domain',
  settings: () => ({}),
  why: whyNoClasses,
  prepare(stats) {
    const D = stats.domains.length
    const means = meanProbabilities(stats)
    return (weights) => {
      const rows = means(weights)
      return normalised(
        Float64Array.from({ length: D }, (_, c) => {
          let sum = 0
          for (let d = 0; d < D; d++) sum += rows[d * D + c]
          return sum
        }),
      )
    }
  },
}
