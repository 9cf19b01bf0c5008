import type { ModelPair } from '../../checkpoint/index.js'
import type { Network } from '../../models/network.js'
import type { RunOptions } from '../../native/task.js'
import type { Handle } from '../../native/types.js'
import type { WindowBatch } from '../corpus.js'
import type { Section } from '../shards.js'
import type { LabelMode } from '../types.js'

/** What features are made from: a pair that is open, and a path between its models. */
export interface FeatureSource extends RunOptions {
  pair: ModelPair
  network: Network
  /** of the points behind the base, rising */
  path: Handle
  lambdas: number[]
  /** λ = 0 is a point too */
  atBase: boolean
  labels: LabelMode
  labelMap: Record<string, string> | undefined
  seed: number
  /** numbers that a projected gradient has at a point; 0: none is made */
  sketch: number
  threads: number
  memory: number
}

/**
 * A kind of features. Sections of a shard that others look at, all by window: `along` and, where gradients are known,
 * `norm2` (windows × points), `label`, `probability` (windows × classes), `loss` (windows × 2: base, reference), `rows`
 * (factors of the gradients) with `pieces` (where they lie). The tokens are kept beside them.
 */
export interface Features {
  /** the sections of some windows, the first of which has the number `first` over all; absent: the tokens are all */
  make?(batch: WindowBatch, first: number): Promise<Record<string, Section>>
}
