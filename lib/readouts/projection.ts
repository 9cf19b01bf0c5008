import { choiceName, chosen, gradientSettings, measuredError, whyNoGradients } from './gradient-choice.js'
import type { GradientChoice } from './gradient-choice.js'
import { momentsOf } from './moments.js'
import { normalised } from './sums.js'
import type { Readout } from './types.js'

/**
 * The footprint in units of each domain's own gradient: w_d = max(0, −⟨A_d, δ⟩/‖A_d‖), shares w/Σw. A domain whose mean
 * gradient is zero gets nothing; equal shares when no domain points along the displacement.
 */
export function projection(choice: GradientChoice = 'default'): Readout {
  return {
    name: choiceName('projection', choice),
    description: 'displacement projected on each domain’s mean gradient',
    settings: (stats) => gradientSettings(stats, choice),
    why: (stats) => whyNoGradients(stats, choice),
    prepare(stats) {
      const D = stats.domains.length
      const moments = momentsOf(chosen(stats, choice)!, stats)
      return (weights) => {
        const { gram, displacement } = moments(weights)
        return normalised(
          displacement.map((dot, d) => {
            const squared = gram[d * D + d]
            return squared > 0 ? Math.max(0, -dot / Math.sqrt(squared)) : 0
          }),
        )
      }
    },
    methodError: measuredError('projection'),
  }
}
