// What the trace asks of the addon, and what it gets.

export interface RowRequest {
  /** tensor names of the two tables, [rows, H] each */
  base: string
  reference: string
  /** rows of the reference; empty: all */
  rows: Uint32Array
  /** the base's row for each of these; empty: the same row */
  baseRows: Uint32Array
  alpha: number
  threads: number
}

/** Texts one after the other: ids, where each begins and the last one ends, its domain. */
export interface PoolTexts {
  offsets: Uint32Array
  ids: Uint32Array
  domain: Uint32Array
  /** texts: 1 where the last token may have moved no row; empty: nowhere */
  tails: Uint8Array
}

/** What is known of each token of the vocabulary: 0 not trained, 1 trained, 2 unknown. */
export interface MembersRequest {
  state: Uint8Array
  /**
   * Empty; or by token what its score tells, and states are ignored but for 0: 1 − p(score | untrained) / p(score |
   * trained), so 1 for a trained token, 0 for one that nothing is known of, negative for one that looks untrained.
   */
  pull: Float64Array
  /** each starts where the one before it of its kind ended: comparable only between equal lists */
  estimators: Estimator[]
}
export interface Estimator {
  /** s, the weight of the other domains' rate of a token against the domain's own, in texts of an average domain */
  strength: number
  /** texts of the pool may be members; else all training texts are taken to be outside it */
  inside: boolean
}
export interface Members {
  /**
   * texts of the pool without an untrained token, and the probability that each was trained on, by the first estimator
   */
  survivors: Uint32Array
  probability: Float64Array
  converged: boolean
  /** estimators × 2 × D, texts inside the pool and outside it */
  estimates: Float64Array
}
export interface TrialsRequest extends MembersRequest {
  /** trials × D, texts of the training set that stay in the pool and that are taken out of it */
  inside: Uint32Array
  outside: Uint32Array
  /** trials × D, further texts taken out of the pool */
  hidden: Uint32Array
  seed: number
  threads: number
  /**
   * with `pull`: equally likely values of it for untrained tokens and for trained ones, for trials to draw from; those
   * of trained ones as many for each of `parts` equal parts of the training, by when a token was met first
   */
  untrained: Float64Array
  trained: Float64Array
  parts: number
}

/** How far rows of a tied table moved from what untrained ones do (native/trace/tied.h); NaN where nothing moved. */
export interface TiedScores {
  score: Float64Array
  /** log ‖θ₀‖, log ‖θ* − θ₀‖ */
  base: Float64Array
  moved: Float64Array
  /** θ₀ · mean direction of the untrained rows */
  along: Float64Array
  /** of the regression */
  columns: number
  /** rows that its last fit was made of */
  fitted: number
}
