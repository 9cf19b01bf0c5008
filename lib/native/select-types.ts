// What the addon offers for selections.

import type { Network } from '../models/network.js'
import type { Handle, NativeProgress, NativeTask, PackedTexts } from './types.js'

/** Packed texts of a classifier and the points at which their gradients are taken. */
export interface FeatureRequest extends Omit<PackedTexts, 'targets'> {
  path: Handle
  network: Network
  /** −1: the one that the reference gives the text */
  label: Int32Array
  scope: 'head' | 'top'
  /** θ₀ is a point too, before the path's */
  atBase: boolean
  threads: number
  /** bytes of native working memory */
  memory: number
}
export interface FeatureResult {
  /** four numbers for each part u ⊗ [w; 1] of a gradient: where u begins in a row, its length, the same of w */
  pieces: number[]
  /** texts × width */
  rows: Float32Array
  /** texts × points: ⟨−g, v⟩ / ‖v‖ with v = θ* − θ_k in the scope; ‖g‖² */
  along: Float64Array
  norm2: Float64Array
  label: Int32Array
  /** texts × classes: the reference's */
  probability: Float32Array
  /** texts × 2: at θ₀ and at θ* */
  loss: Float64Array
}

/** Gradients of texts in a random projection: of all linear layers, or of a language model's output layer alone. */
export interface SketchRequest extends PackedTexts {
  path: Handle
  network: Network
  outputs: boolean
  /** θ₀ is a point too, before the path's */
  atBase: boolean
  /** numbers of a sketch, a power of two */
  size: number
  seed: number
  /** of so many texts, the first ones, products are computed exactly too */
  exact: number
  threads: number
  /** bytes of native working memory */
  memory: number
}
export interface SketchResult {
  /** texts × points × size */
  rows: Float32Array
  /** texts × points: squared lengths of the sketches */
  norm2: Float64Array
  /** of outputs: texts × points, ⟨−g, v⟩ / ‖v‖; texts × 2, losses at θ₀ and θ*; else empty */
  along: Float64Array
  loss: Float64Array
  /** points × exact × exact */
  exact: Float64Array
}

/** Which documents may be chosen, and how many. */
export interface ChoiceRequest {
  /** by document: 1, or 0 */
  allowed: Uint8Array
  count: number
  /** by document, and how many of each group may be chosen */
  group?: Uint32Array
  quota?: Uint32Array
}
/** By document: ⟨−g, v⟩ / ‖v‖ and ‖g‖² over all points. */
export interface DocumentNumbers {
  along: Float64Array
  norm2: Float64Array
}

/** How gradients are divided, and where the direction comes from that they are compared with. */
export interface PreconditionRequest extends Pick<FeatureRequest, 'path' | 'network' | 'scope' | 'atBase' | 'threads'> {
  /** above 0 */
  q: number
  /** by document: 1, or 0 */
  allowed: Uint8Array
}

export interface SelectAddon {
  /** Gradients of texts in factored form. Progress: tokens · layers · points. */
  selectFeatures(request: FeatureRequest, onProgress: NativeProgress): NativeTask<FeatureResult>
  /** Sketches of gradients, by reverse mode; the output layer's without. Progress: texts · passes. */
  sketchGradients(request: SketchRequest, onProgress: NativeProgress): NativeTask<SketchResult>
  /** No documents yet, whose rows have these pieces: u of length 0 leaves w itself, without the 1. */
  openFactored(pieces: number[]): Handle
  appendFactored(candidates: Handle, rows: Float32Array): void
  /** `count` rows that stay in a file, from byte `offset` on; of `room` rows at most there are copies in memory */
  appendFactoredFile(candidates: Handle, rows: { path: string; offset: number; count: number; room: number }): void
  /**
   * Divides gradients by the q-th power of their second moments over the allowed documents, for good; each column of
   * factors by its own. The numbers are those of the new gradients, 0 where not allowed. Progress: documents, twice.
   */
  preconditionFactored(
    candidates: Handle,
    request: PreconditionRequest,
    onProgress: NativeProgress,
  ): NativeTask<DocumentNumbers>
  /** No documents yet, with so many coordinates. */
  openSparse(coordinates: number): Handle
  /** document i has the coordinates index[offsets[i] … offsets[i + 1]), rising, and their values */
  appendSparse(candidates: Handle, rows: { offsets: Uint32Array; index: Uint32Array; value: Float32Array }): void
  /** The documents with the highest scores, best first, ties by their order. */
  rankDocuments(request: ChoiceRequest & { score: Float64Array }): NativeTask<Uint32Array>
  /** Each time the document that makes the sum most parallel to the direction; it is reset after `batch` (0: never). */
  greedyDocuments(
    candidates: Handle,
    request: ChoiceRequest & DocumentNumbers & { batch: number; threads: number },
    onProgress: NativeProgress,
  ): NativeTask<{ document: Uint32Array; cosine: Float64Array; passes: number }>
  /** Weights ≥ 0 with which the gradients best add up to the direction. Progress counts sweeps. */
  matchDocuments(
    candidates: Handle,
    request: DocumentNumbers & { allowed: Uint8Array; sweeps: number; tolerance: number },
    onProgress: NativeProgress,
  ): NativeTask<Float64Array>
  /** ⟨g_i, g_j⟩ */
  productOf(candidates: Handle, i: number, j: number): number
}
