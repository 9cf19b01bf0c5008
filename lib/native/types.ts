// The whole surface of the addon. Weights stay in native memory or in files: JavaScript holds handles.

export interface Handle {
  /** Drops native memory and closes files now; jobs under way keep what they use. */
  close(): void
}

export interface NativeTask<T> {
  promise: Promise<T>
  cancel(): void
}
export type NativeProgress = ((done: number, total: number) => void) | undefined

export interface StoredTensor {
  name: string
  dtype: string
  shape: number[]
  /** index into the files given to openWeights */
  file: number
  /** bytes from the start of the file */
  offset: number
}
export interface GeneratedTensor {
  name: string
  dtype: 'F32'
  shape: number[]
  fill: 'zeros' | 'normal'
  seed: number
}

export interface PathRequest {
  family: string
  lambdas: number[]
  quadraticC: number
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

export interface Addon {
  info(): { cuda: CudaInfo }
  /** loads cuBLAS: about 0.1 s and 150 MB */
  cublasInfo(): CublasInfo
  /** throws why CUDA device `index` cannot be used */
  requireCuda(index: number): void
  openWeights(files: string[], tensors: (StoredTensor | GeneratedTensor)[]): Handle
  openPath(base: Handle, reference: Handle, path: PathRequest): Handle
  /** Every tensor of the same name and shape, read once; progress counts elements. */
  survey(base: Handle, reference: Handle, onProgress: NativeProgress): NativeTask<TensorSurvey[]>
}
