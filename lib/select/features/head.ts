import { usageError } from '../../errors.js'
import { targetsOf } from '../../objectives/index.js'
import { factored } from './factored.js'
import { sketches } from './sketch.js'
import type { Features, FeatureSource } from './types.js'

/**
 * Gradients of the last layer: of a classifier in closed form, e ⊗ [h; 1]; of a language model, where that is a sum
 * over a text's tokens, Σ e ⊗ [h; 1], as sketches, beside their exact products with the direction.
 */
export function head(source: FeatureSource): Features {
  if (source.network.objective !== 'language') return factored('head', source)
  if (source.sketch === 0)
    throw usageError('SKETCH_RANGE', 'features head of a language model are sketches', {}, '--sketch 4096')
  return { make: (batch, first) => sketches(source, batch, first, { targets: targetsOf(batch), outputs: true }) }
}
