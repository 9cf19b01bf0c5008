import { addon } from '../../native/load.js'
import { runTask } from '../../native/task.js'
import { givenLabels } from './labels.js'
import type { Features, FeatureSource } from './types.js'

/** Gradients of closed-form scopes: e ⊗ [h; 1] of the head, in scope `top` a ⊗ [x; 1] of the layer before it too. */
export function factored(scope: 'head' | 'top', source: FeatureSource): Features {
  const { path, network, atBase, threads, memory, signal, onProgress } = source
  return {
    async make({ windows, ids, typeIds, offsets }, first) {
      const label = givenLabels(windows, first, source)
      const request = { path, network, ids, typeIds, offsets, label, scope, atBase, threads, memory }
      const made = await runTask((report) => addon().selectFeatures(request, report), 'features', 'tokens', {
        signal,
        onProgress,
      })
      const { rows, along, norm2, probability, loss, pieces } = made
      return { label: made.label, probability, loss, along, norm2, pieces: Uint32Array.from(pieces), rows }
    },
  }
}
