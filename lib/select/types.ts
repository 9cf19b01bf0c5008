import type { BaseHead } from '../checkpoint/index.js'
import type { ClaimOptions } from '../claim.js'
import type { TokenizerChoice } from '../checkpoint/index.js'
import type { Executor } from '../lab/executor.js'
import { type Kinds, pathKinds, runKinds, textKinds } from '../options.js'
import type { PathOptions } from '../paths/index.js'
import type { ProbeOptions } from '../text/index.js'

export const featureKinds = ['trace', 'head', 'top', 'all'] as const
export type FeatureKind = (typeof featureKinds)[number]

export const strategies = [
  'topk',
  'topk-balanced',
  'greedy',
  'greedy-batched',
  'matching',
  'loss-min',
  'loss-max',
  'bottomk',
  'random',
] as const
export type Strategy = (typeof strategies)[number]

/** `auto`: the reference labels the documents; `given`: their own; `random`: drawn. */
export const labelModes = ['auto', 'given', 'random'] as const
export type LabelMode = (typeof labelModes)[number]

/** Options of `select`: the command line's, in camelCase. */
export interface SelectOptions
  extends ClaimOptions,
    Omit<PathOptions, 'seed' | 'only' | 'except' | 'checkpoint'>,
    Pick<ProbeOptions, 'format' | 'columns' | 'quotes' | 'text' | 'response' | 'label'> {
  base: string
  reference: string
  baseHead?: BaseHead
  tokenizer?: TokenizerChoice
  /** files, folders, `-` for JSONL on stdin */
  corpus: string[]
  /** folder of the selection and, under `features`, of what was computed for it */
  output: string
  /** documents (windows) to choose */
  count: number
  features?: FeatureKind
  strategy?: Strategy
  /** numbers of a projected gradient at a point, a power of two; default 4096; 0: none (features `all`) */
  sketch?: number
  labels?: LabelMode
  labelMap?: Record<string, string> | string
  /** tokens of a window, special ones included; default 128, at most the model's positions */
  window?: number
  /** tokens from the start of a window to the start of the next one; default: the window's */
  stride?: number
  /** lines of .txt files without a blank line between them are one document */
  paragraphs?: boolean
  /** as many documents of each label */
  balance?: boolean
  /** leaves out repeated documents: of the same text, or by MinHash of about the same words */
  dedupe?: 'exact' | 'minhash'
  /** keeps this share of the documents, those whose words agree best with the trained ones, before anything else */
  traceShare?: number
  /**
   * exponent q, 0 to 1: gradients of a classifier's `head` or `top` are divided by the q-th power of their root mean
   * squares over the corpus, as Adam does (1); default 0: as they are
   */
  precondition?: number
  /** greedy-batched: documents after which the sum starts anew; default 32 */
  batch?: number
  threads?: number
  /** bytes for working buffers, weights included; default 2 GiB */
  memory?: number
  /** of random documents, labels and masks; default 0 */
  seed?: number
  force?: boolean
  /** features are made by so many tasks, each of which reads the whole corpus and makes every so-many-th shard */
  shards?: number
  /** of tasks; default: a local pool of `workers` processes, one per core as far as memory allows */
  executor?: Executor
  workers?: number
}

const { seed: _s, only: _o, except: _e, checkpoint: _c, ...alongKinds } = pathKinds
const { format, columns, quotes, text, response, label } = textKinds
const choiceKinds: Kinds<Omit<MergeOptions, 'parts' | 'corpus'>> = {
  ...runKinds,
  ...{ wait: 'flag', base: 'text', reference: 'text', output: 'text', count: 'number', strategy: strategies },
  ...{ balance: 'flag', dedupe: ['exact', 'minhash'], traceShare: 'number', precondition: 'number', batch: 'number' },
  ...{ threads: 'number', memory: 'number', seed: 'number' },
}
export const selectKinds: Kinds<SelectOptions> = {
  ...alongKinds,
  ...{ format, columns, quotes, text, response, label },
  ...choiceKinds,
  ...{ baseHead: 'baseHead', tokenizer: 'text', corpus: 'texts', sketch: 'number', features: featureKinds },
  ...{ labelMap: 'labelMap', labels: labelModes, window: 'number', stride: 'number', paragraphs: 'flag' },
  ...{ shards: 'number', executor: 'object', workers: 'number', force: 'flag' },
}
export const mergeKinds: Kinds<MergeOptions> = { ...choiceKinds, parts: 'texts', corpus: 'texts' }

/** Options of `mergeSelection`: those of a choice; the others are kept in the parts. */
export interface MergeOptions
  extends ClaimOptions,
    Pick<SelectOptions, 'output' | 'count' | 'strategy' | 'balance' | 'dedupe' | 'traceShare' | 'batch'>,
    Pick<SelectOptions, 'precondition' | 'threads' | 'memory' | 'seed'>,
    Partial<Pick<SelectOptions, 'base' | 'reference' | 'corpus'>> {
  /** outputs of `selectPart` that hold all parts of a corpus together */
  parts: string[]
}

/** What making features takes. */
export type FeatureOptions = Omit<SelectOptions, 'count'> & Partial<Pick<SelectOptions, 'count'>>

/** Where a part of a document is that is chosen or not. */
export interface Place {
  /** number of the document over all sources, from 0 */
  document: number
  /** number of the window in it */
  window: number
  /** first character of the document's text that it holds, and the one behind the last (UTF-16 units) */
  from: number
  to: number
  /** `file:line` of the document */
  source: string
  /** characters at the start of the window that are a prompt, which a response follows */
  prompt: number
  /** the document's own label, as it stands */
  label: string | null
}

/** The same, and what it says. */
export interface Window extends Place {
  text: string
}

export interface SelectedDocument extends Window {
  rank: number
  /** by which it was ranked: cosine of its step with the direction, agreement, loss, weight */
  score: number
  /** greedy: of the sum of gradients with the direction once it was added */
  cosine: number | null
  /** the reference's probability of each label */
  probabilities: number[] | null
}

export interface SelectResult {
  schema: 'warp.select/1'
  base: string
  reference: string
  /** SHA-256 of the weight files: the base's, then the reference's */
  weights: string[]
  corpus: string[]
  features: FeatureKind
  strategy: Strategy
  /** exponent q of the gradients' preconditioner; 0: none */
  precondition: number
  labels: LabelMode
  lambdas: number[]
  /** tokens of a window, and between the starts of two */
  window: number
  stride: number
  seed: number
  documents: number
  windows: number
  /** windows of documents that were cut, and tokens beyond a window that were left out */
  split: number
  truncated: number
  /** windows that were left out as repeated, or by `traceShare` */
  repeated: number
  filtered: number
  selected: number
  /** by label */
  counts: Record<string, number>
  /** bytes of a window on the disk, and of all */
  featureBytes: { perWindow: number; total: number }
  /** shards that an earlier run had made */
  reused: number
  /** of the sketches: numbers, and the error of their products as a share of the lengths, from a sample; else null */
  sketch: { size: number; error: number | null } | null
  /** greedy: the sum's cosine with the direction at the end */
  cosine: number | null
  timings: Record<string, number>
  notes: string[]
}
