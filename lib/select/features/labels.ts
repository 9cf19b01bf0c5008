import { LabelResolver } from '../../text/labels.js'
import { inputError } from '../../errors.js'
import { Random } from '../../random.js'
import type { Place } from '../types.js'
import type { FeatureSource } from './types.js'

/** Labels of windows before the reference has been asked: −1 where it is to say. @throws SELECT_LABEL_MISSING */
export function givenLabels(
  windows: Place[],
  first: number,
  { labels: mode, labelMap, seed, pair }: Pick<FeatureSource, 'labels' | 'labelMap' | 'seed' | 'pair'>,
): Int32Array {
  if (mode === 'auto') return new Int32Array(windows.length).fill(-1)
  const names = pair.reference.architecture.labels
  if (mode === 'random') {
    const random = new Random(seed, 'select labels')
    return Int32Array.from(windows, (_, i) => Math.floor(random.uniformAt(first + i) * names.length))
  }
  const resolver = new LabelResolver(names, labelMap)
  return Int32Array.from(windows, ({ label, source }) => {
    if (label !== null) return resolver.resolve(label, source)
    throw inputError(
      'SELECT_LABEL_MISSING',
      `${source}: the document has no label`,
      { file: source },
      '--labels auto lets the reference label the documents',
    )
  })
}
