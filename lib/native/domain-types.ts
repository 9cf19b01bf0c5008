import type { Network } from '../models/network.js'
import type { DeviceRequest, Handle, NativeProgress, NativeTask, PackedTexts } from './types.js'

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
  /** the first of its GPUs instead of the CPU */
  device?: DeviceRequest
}

/** What `domainGradients` would hold at its peak, in bytes. */
export interface DomainPlan {
  /** of native working memory; what is refused is above `memory` */
  bytes: number
  /** of the GPU; 0 on the CPU */
  deviceBytes: number
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

/** Gradients of the rows that tokens have in the token table, at one point of a path. */
export interface TokenGradientsRequest extends PackedTexts {
  path: Handle
  network: Network
  /** by token: whose sum it is added to, or 2^32 − 1 for none */
  group: Uint32Array
  groups: number
  /** index of the path's point */
  point: number
  threads: number
  memory: number
}

export interface DomainAddon {
  /** groups × width: Σ ∂(loss of the text)/∂(row). Progress counts texts. @throws MEMORY_BUDGET, LOSS_NOT_FINITE */
  tokenGradients(request: TokenGradientsRequest, onProgress: NativeProgress): NativeTask<Float32Array>
  /** @throws DEVICE_MEMORY_BUDGET, DEVICE_TEXT_LENGTH and what keeps a GPU from being used */
  planDomainGradients(request: DomainGradientsRequest): DomainPlan
  /** Progress counts texts. @throws MEMORY_BUDGET, LOSS_NOT_FINITE, as planDomainGradients */
  domainGradients(request: DomainGradientsRequest, onProgress: NativeProgress): NativeTask<DomainGradients>
  domainMoments(handle: Handle, metric: DomainMetric, onProgress: NativeProgress): NativeTask<DomainMoments>
}
