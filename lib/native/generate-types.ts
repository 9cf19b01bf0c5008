// Texts made by language models, and two of them on the same texts.

import type { Network } from '../models/network.js'
import type { Handle } from './types.js'

/** Texts made token by token; see lib/generate, which gives the options their meaning and checks them. */
export interface GenerateRequest {
  path: Handle
  network: Network
  /** of the path, from 0; −1: the base, the number of points: the reference */
  point: number
  /** starts, one a text, as in ScoreRequest; none empty or as long as the context */
  ids: Uint32Array
  offsets: Uint32Array
  newTokens: number
  /** tokens that end a text */
  ends: Uint32Array
  /** 0: the largest */
  temperature: number
  /** 0: all */
  topK: number
  topP: number
  /** a of z + a (z − z₀), among tokens with p of at least `floor` times the largest; absent: z alone */
  contrast?: number
  floor?: number
  /** log-probabilities of the base too */
  base: boolean
  seed: number
  threads: number
  /** bytes of native working memory */
  memory: number
}

/** Two models on the same texts, whose network ends in an output layer over the vocabulary; see lib/diff/compare.ts. */
export interface CompareRequest {
  /** without points: base and reference */
  path: Handle
  network: Network
  ids: Uint32Array
  offsets: Uint32Array
  /** by token, the next one, `noTarget` at a text's end */
  targets: Uint32Array
  /** tokens by position that add most to the divergences */
  top: number
  /** first positions of each text whose activations are compared, by layer */
  positions: number
  /** from 1: the layer behind which the reference's mean activation of each text is taken; absent: none */
  meanLayer?: number
  threads: number
  /** bytes of native working memory */
  memory: number
}

export interface CompareResult {
  /** by token: KL(p* ‖ p₀) of what comes behind it; 0 without a target */
  divergence: Float64Array
  /** tokens × top, by p* log(p* / p₀), the largest first; `noTarget` where fewer add anything */
  promoted: Uint32Array
  /** the same by p₀ log(p₀ / p*) */
  suppressed: Uint32Array
  /** by token of the vocabulary: Σ over all predicted positions of its probability */
  baseExpected: Float64Array
  referenceExpected: Float64Array
  /**
   * layers × positions: norms of the mean difference and of the base's mean activation; tokens as the head reads the
   * difference, the largest logit first, and `away` the smallest first
   */
  lens: { norm: number; baseNorm: number; tokens: Uint32Array; away: Uint32Array }[]
  /** texts × hidden; empty without `meanLayer` */
  means: Float64Array
  peakBytes: number
}

export interface GeneratePlan {
  peakBytes: number
  /** the smallest budget that would do */
  smallestBytes: number
  /** texts that are made at the same time */
  atOnce: number
}

export interface GenerateResult {
  /** made tokens of all texts, an end token included */
  ids: Uint32Array
  offsets: Uint32Array
  /** by made token, of the models themselves: temperature 1, nothing left out */
  logProbability: Float64Array
  /** empty where it was not asked for */
  baseLogProbability: Float64Array
  /** by text: 1 with an end token, 0 where the length ran out */
  ended: Uint8Array
  plan: GeneratePlan
}
