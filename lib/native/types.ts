// The whole surface of the addon. Weights stay in native memory or in files: JavaScript holds handles.
import type { Spectrum, SpectrumRequest, TensorSums } from './diff-types.js'

import type { GeneratedTensor, StoredTensor } from './tensor-types.js'
import type { Network } from '../models/network.js'
import type { SelectAddon } from './select-types.js'
import type { TrainerPart, TrainerRequest, TrainingRequest, TrainingSteps, TrainingTexts } from './training-types.js'
import type { CompareRequest, CompareResult, GeneratePlan, GenerateRequest, GenerateResult } from './generate-types.js'

export type * from './generate-types.js'

export type {
  ChoiceRequest,
  DocumentNumbers,
  FeatureRequest,
  FeatureResult,
  SketchRequest,
  SketchResult,
} from './select-types.js'
export type {
  TrainerPart,
  TrainerRequest,
  TrainingOptimizer,
  TrainingRequest,
  TrainingSteps,
  TrainingTexts,
} from './training-types.js'
export type { GeneratedTensor, LowRankDelta, StoredTensor, TensorTail } from './tensor-types.js'
import type { DomainAddon } from './domain-types.js'

export type * from './domain-types.js'

/** In `targets`: a token that predicts nothing. */
export const noTarget = 0xffffffff

import type { Members, MembersRequest, PoolTexts, RowRequest, TiedScores, TrialsRequest } from './trace-types.js'

export type * from './trace-types.js'

export interface Handle {
  /** Drops native memory and closes files now; jobs under way keep what they use. */
  close(): void
}

export interface NativeTask<T> {
  promise: Promise<T>
  cancel(): void
}
export type NativeProgress = ((done: number, total: number) => void) | undefined

/** See lib/paths/options.ts, which gives these their meaning and checks them. */
export interface PathRequest {
  family: string
  lambdas: number[]
  quadraticC?: number
  density?: number
  epsilon?: number
  gamma?: number
  rescale?: 'inverse-density' | 'l1' | 'none'
  mergekit?: boolean
  seed?: number
  /** tensors that stay at the base */
  fixed?: string[]
  /** of family trajectory, one per lambda */
  checkpoints?: Handle[]
}

/** What a path did with one tensor. */
export interface PathRecord {
  name: string
  /** in words: `slerp`, `linear: parallel`, `trimmed` … */
  branch: string
  elements: number
  /** elements that move along the path; null for random masks that needed no count */
  kept: number | null
  /** of what a mask keeps */
  scale: number
}

/**
 * One safetensors file of a merged model, for several points at once. All numbers are bytes, `offset` from the file's
 * start.
 */
export interface MergeShard {
  header: Uint8Array
  size: number
  /** tensors of the path, by its names */
  tensors: { name: string; dtype: string; offset: number }[]
  /** bytes that are taken as they are */
  copies: { file: string; from: number; length: number; offset: number }[]
  /** FILE.part is written for each */
  targets: { point: number; file: string }[]
}

/** One tensor that two models share with the same shape. Norms are Euclidean, over all its elements. */
export interface TensorSurvey {
  name: string
  /** of the base's tensor */
  norm: number
  /** of reference minus base */
  deltaNorm: number
  /** largest |reference − base| */
  maxDelta: number
  /** elements that differ */
  changed: number
  /** elements that differ by more than the rounding to the coarser of the two dtypes; 0: the tensor did not move */
  moved: number
  /** the first value that is not finite, in the base if there is one; the figures above then mean nothing */
  nonFinite: { side: 'base' | 'reference'; index: number } | null
}

export interface CudaInfo {
  compiled: boolean
  available: boolean
  devices: number
  /** 1000 · major + 10 · minor; 0: no driver */
  driver: number
  runtime: number
  /** why it is not available; '' when it is */
  error: string
  archs: string
  name: string
}

export interface CublasInfo {
  found: boolean
  path: string
  error: string
  version: number
}

/** Texts: ids of all texts one after the other, offsets n + 1. */
export interface PackedTexts {
  ids: Uint32Array
  /** by token; empty: all 0 */
  typeIds: Uint8Array
  offsets: Uint32Array
  /** classifiers: class of each text */
  label?: Int32Array
  /** language models: by token, the next one where it counts, else `noTarget` */
  targets?: Uint32Array
}

export interface ScoreRequest extends PackedTexts {
  path: Handle
  network: Network
  /** domain of each text */
  domain: Int32Array
  domains: number
  /** of the alignment matrix: the last linear layer, it and the one before (closed forms), or tensors by name */
  scope: 'head' | 'top' | string[]
  /** gradient statistics too */
  gradients: boolean
  headInputs?: boolean
  /**
   * head inputs of an earlier run: no text is passed forward, and alignments are those of closed forms; classifiers on
   * the CPU
   */
  features?: Float32Array
  /** θ₀ alone, in its place of the results: the reference is not read */
  baseOnly?: boolean
  threads: number
  /** bytes of native working memory */
  memory: number
  /** GPUs instead of the CPU */
  device?: DeviceRequest
}

export interface DeviceRequest {
  /** CUDA devices that share the probes */
  indices: number[]
  /** how products are multiplied; all else is float32, sums are float64 */
  precision: 'f32' | 'tf32' | 'bf16'
  /** bytes of each; 0: what is available */
  memory: number
}

export interface ScorePlan {
  /** of one GPU; 0 on the CPU */
  deviceBytes: number
  peakBytes: number
  /** the smallest budget that would do */
  smallestBytes: number
  chunks: number
  tiles: number
  tokens: number
  /** multiply-adds count 2 */
  flops: number
}

/** See lib/readouts/types.ts, which gives these their meaning. */
export interface NativeGradientStatistics {
  scope: 'head' | 'top'
  q: number
  gram: Float64Array
  displacement: Float64Array
  displacementNorm2: number
  perProbe: Float64Array
}

export interface ScoreResult {
  /** N × (K + 2): θ₀, the path's points, θ* */
  loss: Float64Array
  /** N × K */
  alignment: Float64Array
  /** N × (K + 2) × C; classifiers */
  logits: Float32Array
  /** tokens × 2, language models: −log p of the target at θ₀ and θ*, 0 where there is none */
  tokenLoss?: Float64Array
  /** (K + 2) × N × H, when asked for: BERT's first token before the pooler, GPT-2's last, normalised */
  headInputs?: Float32Array
  gradients: NativeGradientStatistics[]
  /** of the tensors that were read; on a GPU the path's constants are found there, and known only now */
  record: PathRecord[]
  plan: ScorePlan
}

export interface Addon extends SelectAddon, DomainAddon {
  info(): { cuda: CudaInfo }
  /** loads cuBLAS: about 0.1 s and 150 MB */
  cublasInfo(): CublasInfo
  /** names of CUDA devices and the library that multiplies; rejects with why one of them cannot be used */
  checkDevices(indices: number[]): NativeTask<{ names: string[]; library: string }>
  /** the same at once: throws why CUDA device `index` cannot be used */
  requireCuda(index: number): void
  openWeights(files: string[], tensors: (StoredTensor | GeneratedTensor)[]): Handle
  openPath(base: Handle, reference: Handle, path: PathRequest): Handle
  /**
   * Constants of every tensor, read once or twice; progress in bytes. Needed by nothing: what is missing is found on
   * first use.
   */
  preparePath(path: Handle, threads: number, onProgress: NativeProgress): NativeTask<PathRecord[]>
  /** Whether any tensor that moves differs between base and reference; reads up to the first difference. */
  pathMoves(path: Handle): NativeTask<boolean>
  /** θ(λ) of one tensor */
  pathTensor(path: Handle, name: string, lambda: number): NativeTask<Float32Array>
  /** Leaves FILE.part of every target, whole; none on failure. Progress in bytes written. */
  writeShard(path: Handle, shard: MergeShard, threads: number, onProgress: NativeProgress): NativeTask<void>
  /** Every tensor of the same name and shape, read once; progress counts elements. */
  survey(base: Handle, reference: Handle, threads: number, onProgress: NativeProgress): NativeTask<TensorSurvey[]>
  /** what score would hold and do; the same errors */
  planScore(request: ScoreRequest): NativeTask<ScorePlan>
  /** Forward passes of the whole path, head scores and gradient statistics. Progress: tokens · layers · points. */
  score(request: ScoreRequest, onProgress: NativeProgress): NativeTask<ScoreResult>
  /** One pass of both models. The same bits for any threads and memory. Progress: tokens · layers · 2. */
  compare(request: CompareRequest, onProgress: NativeProgress): NativeTask<CompareResult>
  /** what generate would hold; the same errors */
  planGenerate(request: GenerateRequest): NativeTask<GeneratePlan>
  /**
   * A text's bits depend on its start, the seed and its number alone, not on the other texts, the memory or the
   * threads. Progress: tokens. LOGITS_NOT_FINITE.
   */
  generate(request: GenerateRequest, onProgress: NativeProgress): NativeTask<GenerateResult>
  /** best rate of `repeats` runs of the linear layer on every thread at once, multiply-adds ×2 per second */
  measureProduct(rows: number, outputs: number, inputs: number, repeats: number, threads: number): number
  /** kernels in use: cpu/avx512, cpu/avx2 or cpu/portable */
  cpuName(): string
  /** An exclusive lock on a file, made where there is none, until close() or the end of the process; null when held. */
  lockFile(file: string): Handle | null
  /** bytes native buffers hold now */
  memoryUsed(): number
  /** Reads all of a model into memory for training. */
  openTrainer(request: TrainerRequest, onProgress: NativeProgress): NativeTask<Handle>
  /**
   * Takes the steps; progress counts texts. Parameters, moments and step number always belong together:
   * TRAINING_DIVERGED and a cancellation leave the state before a step, whose number `trainerStep` gives.
   */
  trainSteps(trainer: Handle, request: TrainingRequest, onProgress: NativeProgress): NativeTask<TrainingSteps>
  /** Mean loss over some texts, its gradients by tensor, logits; takes no step. */
  trainingGradients(
    trainer: Handle,
    request: TrainingTexts & { threads: number },
    onProgress: NativeProgress,
  ): NativeTask<{ loss: number; logits: Float32Array; gradients: Record<string, Float32Array> }>
  /** elements [first, first + count) of a tensor or its moments (first, second), in a dtype */
  readTrainer(
    trainer: Handle,
    name: string,
    part: TrainerPart,
    dtype: string,
    first: number,
    count: number,
  ): ArrayBuffer
  writeTrainer(trainer: Handle, name: string, part: TrainerPart, first: number, values: Float32Array): void
  /** steps taken, after setting their number when one is given */
  trainerStep(trainer: Handle, step?: number): number
  /**
   * Both tables in one pass; eight numbers a row (lib/trace/rows.ts names them), with r = θ* − θ₀ − αθ₀ and u the
   * spacing of the reference's dtype: Σr², Σr·θ₀, Σθ₀², Σ(r/u)², Σ(r/u)(θ₀/u), Σ(θ₀/u)², max|r/u|, 0 or 1 (base) or
   * 2 (reference) where a value is not finite. Progress counts rows.
   */
  rowSums(base: Handle, reference: Handle, request: RowRequest, onProgress: NativeProgress): NativeTask<Float64Array>
  /** An empty pool of candidate texts with token ids below `vocabulary`. */
  openPool(vocabulary: number): Handle
  /**
   * Text i is ids[offsets[i] … offsets[i + 1]) of domain[i], domains from 0 on; a token counts once a text. Copies the
   * arrays before it returns; until the promise is fulfilled the pool refuses everything else.
   */
  appendToPool(pool: Handle, texts: PoolTexts): NativeTask<void>
  /** Scores of the rows of a table that both models have with one shape, which is also their output layer. */
  tiedScores(
    base: Handle,
    reference: Handle,
    request: { name: string; fit: Uint32Array; columns: number; threads: number },
    onProgress: NativeProgress,
  ): NativeTask<TiedScores>
  /**
   * rows × directions: cosines of θ* − (1 + α)θ₀ of these rows with directions of unit length, one after the other; 0
   * where a row did not move. Progress counts rows.
   */
  rowDirections(
    base: Handle,
    reference: Handle,
    request: { name: string; rows: Uint32Array; alpha: number; directions: Float32Array; threads: number },
    onProgress: NativeProgress,
  ): NativeTask<Float64Array>
  /** by token: texts that hold it */
  poolCounts(pool: Handle): NativeTask<Uint32Array>
  /**
   * Tokens of texts whose other tokens are all trained, by floor(log2(texts with it)), 24 bins each, trained and
   * untrained: last tokens, others; then every token of the pool once, trained and untrained.
   */
  tailCounts(pool: Handle, request: { state: Uint8Array }): NativeTask<Float64Array>
  /** Whether last tokens that may have moved no row count as the others do from now on; at first they do not. */
  countTails(pool: Handle, yes: boolean): void
  /** Orders texts by the ranks of their domains, their numbers from then on, then by tokens; by new place the old. */
  arrangePool(pool: Handle, rank: Uint32Array): NativeTask<Uint32Array>
  findMembers(pool: Handle, request: MembersRequest, onProgress: NativeProgress): NativeTask<Members>
  /** Estimates for made-up training sets: trials × estimators × 2 × D (inside, outside). Progress counts estimates. */
  tryMembers(pool: Handle, request: TrialsRequest, onProgress: NativeProgress): NativeTask<Float64Array>
  /** Every tensor of the same name and shape, read once; progress counts elements. */
  compareTensors(base: Handle, reference: Handle, threads: number, onProgress: NativeProgress): NativeTask<TensorSums[]>
  /** The largest singular values of reference minus base, of a matrix that both have. */
  singularValues(base: Handle, reference: Handle, request: SpectrumRequest): NativeTask<Spectrum>
  /**
   * Where the reference's rows and columns stand in the base's matrix of the same shape: the same number for those in
   * place, 2^32 − 1 for those found nowhere or more than once.
   */
  findPlaces(
    base: Handle,
    reference: Handle,
    name: string,
    threads: number,
  ): NativeTask<{ rows: Uint32Array; columns: Uint32Array }>
}
