import { defaultGradients, measuredError } from './gradient-choice.js'
import { gradientMatching } from './gradient-matching.js'
import { priorShift } from './prior-shift.js'
import { projection } from './projection.js'
import { predictorOf } from './sharing.js'
import { stationary } from './stationary.js'
import { normalised } from './sums.js'
import type { Readout } from './types.js'

/** Weights fitted on other experts than those they were judged on; they need not add up to one. */
const parts = [
  { readout: gradientMatching(), weight: 0.3 },
  { readout: projection(), weight: 0.52 },
  { readout: stationary, weight: 0.08 },
  { readout: priorShift, weight: 0.13 },
]

/** Weighted mean of four readouts' shares; needs all four, with gradients preconditioned by q = 1. */
export const blend: Readout = {
  name: 'blend',
  description: 'weighted mean of gradient matching, projection, stationary and prior shift',
  settings: () => Object.fromEntries(parts.map(({ readout, weight }) => [readout.name, weight])),
  why(stats) {
    const gradients = defaultGradients(stats.gradients)
    if (gradients && gradients.q !== 1) return 'its weights were fitted for gradients preconditioned with q = 1'
    for (const { readout } of parts) {
      const reason = readout.why(stats)
      if (reason) return `${readout.name}: ${reason}`
    }
    return null
  },
  prepare(stats) {
    const predictors = parts.map(({ readout, weight }) => ({ predict: predictorOf(readout, stats), weight }))
    return (weights) => {
      const shares = new Float64Array(stats.domains.length)
      for (const { predict, weight } of predictors) {
        predict(weights).forEach((share, d) => {
          shares[d] += weight * share
        })
      }
      return normalised(shares)
    }
  },
  methodError: measuredError('blend'),
}
