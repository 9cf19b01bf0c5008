import { usageError } from '../../errors.js'
import { hasTop } from '../../footprint/index.js'
import { factored } from './factored.js'
import type { Features, FeatureSource } from './types.js'

/** Gradients of the whole head of a classifier that has a dense layer before the last one. */
export function top(source: FeatureSource): Features {
  if (hasTop(source.network)) return factored('top', source)
  throw usageError('SCOPE_UNSUPPORTED', 'features top need a head of more than one layer', {}, '--features head')
}
