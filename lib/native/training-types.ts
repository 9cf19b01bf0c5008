// What the addon is asked to train.

import type { Network } from '../models/network.js'
import type { Handle, PackedTexts } from './types.js'

export interface TrainingTexts extends PackedTexts {
  /** classifiers: texts × classes, probabilities in the place of the label */
  soft?: Float32Array
}

export interface TrainerRequest {
  weights: Handle
  network: Network
  /** canonical names; the others keep their values */
  trainable: string[]
  /** rates in [0, 1) */
  dropout: { embedding: number; attention: number; hidden: number; head: number }
  /** of the dropout masks */
  seed: number
}

export interface TrainingOptimizer {
  /** AdamW; else Adam */
  decoupled: boolean
  beta1: number
  beta2: number
  epsilon: number
  weightDecay: number
  /** largest norm of the gradient; 0: any */
  clip: number
}

export interface TrainingRequest extends TrainingTexts {
  /** numbers of texts, step after step */
  order: Uint32Array
  /** by step: where its texts end in `order` */
  ends: Uint32Array
  /** by step: the learning rate */
  rates: Float64Array
  /** texts of one pass; a step of more accumulates */
  batch: number
  optimizer: TrainingOptimizer
  threads: number
}

/** By step: mean loss before the update, norm of its gradient. */
export interface TrainingSteps {
  loss: Float64Array
  norm: Float64Array
}

export type TrainerPart = 'value' | 'first' | 'second'
