import { choiceName, chosen, gradientSettings, measuredError, whyNoGradients } from './gradient-choice.js'
import type { GradientChoice } from './gradient-choice.js'
import { nnls } from './linear-algebra.js'
import { momentsOf } from './moments.js'
import { normalised } from './sums.js'
import type { Readout } from './types.js'

/**
 * The non-negative weights with which the domains' mean gradients add up to the displacement: w ≥ 0 minimising
 * ‖δ + Σ_d w_d A_d‖², shares w/Σw. Equal shares when every weight is zero, which the verdict calls unidentifiable.
 */
export function gradientMatching(choice: GradientChoice = 'default'): Readout {
  return {
    name: choiceName('gradient-matching', choice),
    description: 'weights with which the domains’ gradients add up to the displacement (non-negative least squares)',
    settings: (stats) => gradientSettings(stats, choice),
    why: (stats) => whyNoGradients(stats, choice),
    prepare(stats) {
      const D = stats.domains.length
      const moments = momentsOf(chosen(stats, choice)!, stats)
      const once = moments(null)
      const all = nnls(once.gram, once.displacement, D)
      return (weights) => {
        if (!weights) return normalised(all)
        const { gram, displacement } = moments(weights)
        return normalised(nnls(gram, displacement, D, all))
      }
    },
    methodError: measuredError(choice === 'default' ? 'matching' : 'matchingOther'),
  }
}
