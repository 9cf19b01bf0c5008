import { fnv1a64 } from '../random.js'
import type { ModelDirectory } from './model.js'

/** What two models have in common: tensors of one name and shape. */
export interface SharedTensors {
  tensors: number
  elements: number
  /** that both take where they are stored */
  bytes: number
  /** both models with some of them alone, to see what all take */
  sample: { base: ModelDirectory; reference: ModelDirectory; elements: number }
}

const elementsOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
const bitsOf = (dtype: string): number => Number(/\d+/.exec(dtype)?.[0] ?? 8)

/** @param least elements of the sample, whose tensors are chosen by the hash of their names; all of fewer */
export function sharedTensors(base: ModelDirectory, reference: ModelDirectory, least = 2 ** 22): SharedTensors {
  const shared = [...reference.tensors.values()].filter(
    ({ name, shape }) => base.tensors.get(name)?.shape.join() === shape.join(),
  )
  const count = (some: typeof shared) => some.reduce((sum, { shape }) => sum + elementsOf(shape), 0)
  const elements = count(shared)
  const byHash = shared.toSorted((a, b) => (fnv1a64(a.name) < fnv1a64(b.name) ? -1 : 1))
  const enough = byHash.findIndex((_, i) => count(byHash.slice(0, i + 1)) >= least)
  const chosen = enough < 0 ? byHash : byHash.slice(0, enough + 1)
  const names = new Set(chosen.map(({ name }) => name))
  const only = (model: ModelDirectory): ModelDirectory => ({
    ...model,
    tensors: new Map([...model.tensors].filter(([name]) => names.has(name))),
  })
  const bits = (dtypes: string[]) => dtypes.reduce((sum, dtype) => sum + bitsOf(dtype), 0)
  return {
    tensors: shared.length,
    elements,
    bytes: shared.reduce(
      (sum, { name, dtype, shape }) => sum + (elementsOf(shape) * bits([dtype, base.tensors.get(name)!.dtype])) / 8,
      0,
    ),
    sample: { base: only(base), reference: only(reference), elements: count(chosen) },
  }
}
