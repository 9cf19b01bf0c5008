import { setImmediate } from 'node:timers/promises'
import type { RunOptions } from '../../native/task.js'
import type { Features } from './types.js'

/** Nothing but the tokens, which every shard keeps: no forward pass. */
export const traceFeatures = (): Features => ({})

/** Documents as sparse vectors over the tokens, and their agreement with the trained ones. */
export interface TraceVectors {
  /** a document's tokens, rising, each once, and how rare they are: log(documents / documents that hold it) */
  offsets: Uint32Array
  index: Uint32Array
  value: Float32Array
  /** Σ over a document's trained tokens of their rarity, over the sum of all its tokens that can be told */
  agreement: Float64Array
  /**
   * by which documents rank: the agreement; above 1 for those that agree wholly, by the sum of their tokens' rarity, as
   * a few common words may well do by chance
   */
  order: Float64Array
  /** product with the direction (rarity of the trained tokens) over its length; squared length */
  along: Float64Array
  norm2: Float64Array
}

/**
 * What the embedding table alone says of documents. A token that all documents hold weighs nothing: special ones do.
 * @param offsets n + 1: where each document's tokens begin in `ids`
 * @param state of each row of the embedding table: trained (1), not (0), or it cannot be told (2)
 */
export async function traceVectors(
  offsets: Float64Array,
  ids: Uint32Array,
  state: Uint8Array,
  { signal }: RunOptions = {},
): Promise<TraceVectors> {
  const documents = offsets.length - 1
  const counts = new Uint32Array(state.length)
  const vectors: TraceVectors = {
    offsets: new Uint32Array(documents + 1),
    index: new Uint32Array(ids.length),
    value: new Float32Array(ids.length),
    agreement: new Float64Array(documents),
    order: new Float64Array(documents),
    along: new Float64Array(documents),
    norm2: new Float64Array(documents),
  }
  let at = 0
  for (let i = 0; i < documents; i++) {
    const own = ids.slice(offsets[i], offsets[i + 1]).sort()
    for (let j = 0; j < own.length; j++) {
      if (j > 0 && own[j] === own[j - 1]) continue
      vectors.index[at++] = own[j]
      counts[own[j]]++
    }
    vectors.offsets[i + 1] = at
    if (i % 4096 === 4095) {
      await setImmediate()
      signal?.throwIfAborted()
    }
  }
  const rarity = Float64Array.from(counts, (count) => (count > 0 ? Math.log(documents / count) : 0))
  let length = 0
  for (let v = 0; v < state.length; v++) if (state[v] === 1) length += rarity[v] ** 2
  length = Math.sqrt(length)
  for (let i = 0; i < documents; i++) {
    let [trained, known, square, product] = [0, 0, 0, 0]
    for (let j = vectors.offsets[i]; j < vectors.offsets[i + 1]; j++) {
      const token = vectors.index[j]
      const weight = rarity[token]
      vectors.value[j] = weight
      if (state[token] !== 2) known += weight
      if (state[token] === 1) trained += weight
      if (state[token] === 1) product += weight * weight
      square += Math.fround(weight) ** 2
    }
    vectors.agreement[i] = known > 0 ? trained / known : 0
    vectors.order[i] = known > 0 && trained === known ? 1 + known / (1 + known) : vectors.agreement[i]
    vectors.along[i] = length > 0 ? product / length : 0
    vectors.norm2[i] = square
    if (i % 4096 === 4095) {
      await setImmediate()
      signal?.throwIfAborted()
    }
  }
  return { ...vectors, index: vectors.index.slice(0, at), value: vectors.value.slice(0, at) }
}
