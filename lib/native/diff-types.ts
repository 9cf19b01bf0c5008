// What the addon takes and gives for a diff; native/diff says how it is computed.

/**
 * One tensor that two models share with the same shape: sums over base b and reference r, δ = r − b. A power is 2^e,
 * e the exponent of the larger of |b| and |r|: times 2^-23, 2^-10, 2^-7 it is the spacing of F32, F16, BF16 there.
 */
export interface TensorSums {
  name: string
  /** Σ b² */
  base2: number
  /** Σ bδ */
  cross: number
  /** Σ δ² */
  delta2: number
  /** Σ 4^e */
  power2: number
  maxDelta: number
  /** largest |δ| / max(2^e, 2^-14): below that the spacing of F16 stops shrinking */
  maxRatio: number
  /** elements that differ */
  changed: number
  /** by more than half a spacing of the coarser dtype; of equal dtypes: at all */
  moved: number
  /** all bits that occur in the values as float32 */
  baseBits: number
  referenceBits: number
}

export interface SpectrumRequest {
  name: string
  /** how many values */
  values: number
  seed: number
  /** bytes that the difference may take; else it is formed anew in each pass */
  memory: number
  threads: number
}

export interface Spectrum {
  /** largest first, up to 16 more than asked for; each a lower bound of the true one */
  values: Float64Array
  /** times the spacing 2^-bits of a dtype: the largest singular value that rounding to it can give */
  rounding: number
  /** the largest one that this computation's own rounding can give */
  arithmetic: number
  /** largest relative change of a value above both in the last pass */
  change: number
  passes: number
}
