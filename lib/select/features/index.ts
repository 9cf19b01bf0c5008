import { inputError } from '../../errors.js'
import type { FeatureKind } from '../types.js'
import { all } from './all.js'
import { head } from './head.js'
import { top } from './top.js'
import { traceFeatures } from './trace.js'
import type { Features, FeatureSource } from './types.js'

export type { Features, FeatureSource } from './types.js'

const kinds: Record<FeatureKind, (source: FeatureSource) => Features> = { trace: traceFeatures, head, top, all }

/** @throws WarpError (input) FEATURES_CLASSIFIER; (usage) SCOPE_UNSUPPORTED, SKETCH_RANGE */
export function featuresOf(kind: FeatureKind, source: FeatureSource): Features {
  if (source.network.objective === 'language' && kind === 'top') {
    throw inputError(
      'FEATURES_CLASSIFIER',
      'features top are those of a classifier',
      { found: kind, expected: ['trace', 'head', 'all'] },
      '--features head',
    )
  }
  return kinds[kind](source)
}
