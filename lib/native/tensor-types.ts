// Where the tensors that `openWeights` opens are, and what is made of them.

export interface StoredTensor {
  name: string
  dtype: string
  shape: number[]
  /** index into the files given to openWeights */
  file: number
  /** bytes from the start of the file */
  offset: number
  /** where its last elements are, in place of `file` */
  tail?: TensorTail
  /** what an adapter adds to it */
  delta?: LowRankDelta
}
/** Elements of a tensor from `first` on: rows that a vocabulary gained. */
export interface TensorTail {
  dtype: string
  file: number
  first: number
  /** bytes from the start of the file */
  offset: number
}
/** scale · left · right: left [rows × rank], right [rank × columns], each stored so or `transposed`. */
export interface LowRankDelta {
  left: LowRankFactor
  right: LowRankFactor
  rank: number
  scale: number
}
export interface LowRankFactor {
  dtype: string
  file: number
  offset: number
  transposed: boolean
}
/** A tensor that is in no file: zeros, or normal numbers keyed by (seed, name). */
export type GeneratedTensor = { name: string; dtype: 'F32'; shape: number[] } & (
  | { fill: 'zeros' }
  | { fill: 'normal'; seed: number; deviation: number }
)
