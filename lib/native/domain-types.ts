import type { Network } from '../models/network.js'
import type { Handle, NativeProgress, NativeTask, PackedTexts } from './types.js'

/** Mean gradients of domains at one point of a path, on a sample of the scope's coordinates. */
export interface DomainGradientsRequest extends PackedTexts {
  path: Handle
  network: Network
  /** N: domain · blocks + block */
  block: Uint32Array
  domains: number
  blocks: number
  /** index of the path's point */
  point: number
  /** tensor names; tables and a language model's output layer are left out */
  scope: string[]
  /** share of each matrix's outputs that is looked at */
  rate: number
  seed: number
  threads: number
  memory: number
}

export interface DomainGradients {
  handle: Handle
  /** one for each layer, and the head */
  groups: number
  coordinates: number
  /** D·B: mean loss of the texts of each block */
  loss: Float64Array
}

export interface DomainMetric {
  /** D; empty: u = 1 */
  shares: Float64Array
  /** texts of a training step */
  batch: number
  gramPower: number
  displacementPower: number
  threads: number
}

/** By group; see native/scoring/domains.h. */
export interface DomainMoments {
  gram: Float64Array
  displacement: Float64Array
  norm2: Float64Array
}

export interface DomainAddon {
  /** bytes of native working memory that `domainGradients` would hold; the one that is refused is above `memory` */
  planDomainGradients(request: DomainGradientsRequest): number
  /** Progress counts texts. @throws MEMORY_BUDGET, LOSS_NOT_FINITE */
  domainGradients(request: DomainGradientsRequest, onProgress: NativeProgress): NativeTask<DomainGradients>
  domainMoments(handle: Handle, metric: DomainMetric, onProgress: NativeProgress): NativeTask<DomainMoments>
}
