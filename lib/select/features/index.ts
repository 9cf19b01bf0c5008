import { inputError } from '../../errors.js'
import type { FeatureKind } from '../types.js'
import { all } from './all.js'
import { head } from './head.js'
import { top } from './top.js'
import { traceFeatures } from './trace.js'
import type { Features, FeatureSource } from './types.js'

export type { Features, FeatureSource } from './types.js'

const kinds: Record<FeatureKind, (source: FeatureSource) => Features> = { trace: traceFeatures, head, top, all }

/** @throws WarpError (input) FEATURES_CLASSIFIER for closed forms of a language model; SCOPE_UNSUPPORTED */
export function featuresOf(kind: FeatureKind, source: FeatureSource): Features {
  if (source.network.objective === 'language' && (kind === 'head' || kind === 'top')) {
    throw inputError(
      'FEATURES_CLASSIFIER',
      `features ${kind} have closed forms only for classifiers`,
      { found: kind, expected: ['trace', 'all'] },
      '--features all, or trace',
    )
  }
  return kinds[kind](source)
}
