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

export interface Addon {
  openWeights(files: string[], tensors: (StoredTensor | GeneratedTensor)[]): Handle
  openPath(base: Handle, reference: Handle, path: PathRequest): Handle
}
