import { factored } from './factored.js'
import type { Features, FeatureSource } from './types.js'

/** Gradients of the last layer of a classifier. */
export const head = (source: FeatureSource): Features => factored('head', source)
