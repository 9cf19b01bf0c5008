import { addon } from '../../native/load.js'
import { runTask } from '../../native/task.js'
import type { SketchRequest } from '../../native/types.js'
import type { WindowBatch } from '../corpus.js'
import type { Section } from '../shards.js'
import type { FeatureSource } from './types.js'

/** Texts whose products are computed exactly too, to say how far the sketches' are off. */
const sample = 4

/** Gradients as random projections, at every point; of the first windows their exact products are kept beside them. */
export async function sketches(
  source: FeatureSource,
  { windows, ids, typeIds, offsets }: WindowBatch,
  first: number,
  learned: Partial<Pick<SketchRequest, 'label' | 'targets'>> & Pick<SketchRequest, 'outputs'>,
): Promise<Record<string, Section>> {
  const { path, network, lambdas, atBase, sketch: size, seed, threads, memory, signal, onProgress } = source
  const exact = first === 0 && !learned.outputs ? Math.min(sample, windows.length) : 0
  const request = { path, network, ids, typeIds, offsets, ...learned, atBase, size, seed, exact, threads, memory }
  const made = await runTask((report) => addon().sketchGradients(request, report), 'features', 'texts', {
    signal,
    onProgress,
  })
  const points = lambdas.length + (atBase ? 1 : 0)
  const pieces = Uint32Array.from({ length: 4 * points }, (_, i) => [0, 0, 0, size][i % 4] + atOf(i, size))
  const sections = { norm2: made.norm2, pieces, rows: made.rows }
  if (learned.outputs) return { ...sections, along: made.along, loss: made.loss }
  return exact > 0 ? { ...sections, exact: made.exact } : sections
}

/** Where the row of a point begins: both parts of a piece are said to be there. */
const atOf = (i: number, size: number): number => (i % 2 === 0 ? Math.floor(i / 4) * size : 0)

/**
 * How far products of sketches are off the exact ones: root mean square over the pairs of the sample and the points, as
 * a share of the product of the lengths.
 */
export function sketchError(exact: Float64Array, rows: Float32Array, points: number, size: number): number {
  const n = Math.round(Math.sqrt(exact.length / points))
  let sum = 0
  for (let k = 0; k < points; k++) {
    const at = (i: number, j: number): number => exact[(k * n + i) * n + j]
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let product = 0
        for (let s = 0; s < size; s++) product += rows[(i * points + k) * size + s] * rows[(j * points + k) * size + s]
        const lengths = Math.sqrt(at(i, i) * at(j, j))
        sum += lengths > 0 ? ((product - at(i, j)) / lengths) ** 2 : 0
      }
    }
  }
  return Math.sqrt(sum / Math.max(1, points * n * n))
}
