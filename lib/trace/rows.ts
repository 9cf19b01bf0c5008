import {
  base2,
  commonDecay,
  cross,
  enough,
  error2,
  findNoise,
  loudestNoise,
  maxError,
  missedBelow,
  product,
  rankErrors,
  residual2,
  rounding,
  scale2,
  stride,
  type Dtypes,
  type FoundNoise,
} from './noise.js'

/** Of a table. */
export type TableVerdict = 'exact' | 'noisy' | 'none'
/** Why a table tells nothing: none of it moved, all of it did, no row by more than decay, or no gap is seen. */
export type NoneCause = 'frozen' | 'every-row' | 'decay-alone' | 'no-gap'
/** Of a trace; `graded`: scores instead of states, nothing is certain */
export type Verdict = TableVerdict | 'graded'
export const untrained = 0,
  trained = 1,
  undecided = 2

export interface RowJudgement {
  verdict: TableVerdict
  /** of the verdict none; else null */
  cause: NoneCause | null
  reason: string
  /** α: an untrained row is (1 + α) times the base's */
  decay: number
  /** rows: `untrained`, `trained` or `undecided` */
  state: Uint8Array
  /** rows: ‖θ* − (1 + α) θ₀‖ */
  residual: Float64Array
  /** rows: root mean square of the residual in units of the stored rounding's (spacing / √12): 1 for rounding alone */
  score: Float64Array
  noise: FoundNoise
  counts: { trained: number; untrained: number; undecided: number }
  /** trained rows that lie below the threshold, as far as the scores of the others tell */
  expectedMissed: number
}

/** A mean square in squared spacings, as a score. */
export const asScore = (square: number): number => Math.sqrt(12 * square)

/** Mean squares of the rows' residuals after a decay of `shift` more than the one the sums were made for. */
function squares(sums: Float64Array, columns: number, shift: number): Float64Array {
  const result = new Float64Array(sums.length / stride)
  for (let v = 0, row = 0; v < result.length; v++, row += stride) {
    const square = sums[row + error2] - 2 * shift * sums[row + cross] + shift * shift * sums[row + scale2]
    result[v] = Math.max(0, square) / columns
  }
  return result
}

/** Least squares for the decay over the rows at or below the threshold. */
function refine(sums: Float64Array, score: Float64Array, threshold: number): number | undefined {
  let numerator = 0,
    denominator = 0
  for (let v = 0, row = 0; v < score.length; v++, row += stride) {
    if (score[v] > threshold) continue
    numerator += sums[row + cross]
    denominator += sums[row + scale2]
  }
  return denominator > 0 ? numerator / denominator : undefined
}

/**
 * Tells trained rows of a table from untrained ones: these are (1 + α) θ₀ with one α, up to rounding. α is what most
 * rows agree on, refined on the rows judged untrained; the noise is that of the quietest rows, at least the rounding's.
 * In steps that take some milliseconds each, for callers that have other things to do.
 *
 * @param sums as `rowSums` gives them for `alpha`
 * @param columns H
 * @param known decay and noise of another table of the same training and dtypes, for tables too small to find their own
 */
export function* judging(
  sums: Float64Array,
  columns: number,
  alpha: number,
  dtypes: Dtypes,
  known?: { decay: number; noise: FoundNoise },
): Generator<void, RowJudgement> {
  let shift = (known?.decay ?? (yield* commonDecay(sums, alpha))) - alpha
  let score = squares(sums, columns, shift)
  const errors = known ? undefined : yield* rankErrors(sums)
  let noise = known?.noise ?? (yield* findNoise(score, sums, errors!, columns))
  for (let round = 0; round < 5 && errors; round++) {
    yield
    const next = refine(sums, score, noise.threshold) ?? shift
    if (next === shift) break
    shift = next
    score = squares(sums, columns, shift)
    noise = yield* findNoise(score, sums, errors, columns)
  }
  yield
  const rows = score.length
  const judgement: RowJudgement = {
    verdict: 'exact',
    cause: null,
    reason: '',
    decay: alpha + shift,
    state: new Uint8Array(rows),
    residual: new Float64Array(rows),
    score: score.map(asScore),
    noise,
    counts: { trained: 0, untrained: 0, undecided: 0 },
    expectedMissed: 0,
  }
  let moved = 0
  const above: number[] = []
  for (let v = 0, row = 0; v < rows; v++, row += stride) {
    const square = sums[row + residual2] - 2 * shift * sums[row + product] + shift * shift * sums[row + base2]
    judgement.residual[v] = Math.sqrt(Math.max(0, square))
    if (alpha !== 0 || sums[row + maxError] > 0.5) moved++
    if (score[v] <= noise.threshold) continue
    judgement.state[v] = trained
    above.push(score[v])
  }
  judgement.counts = { trained: above.length, untrained: rows - above.length, undecided: 0 }
  judgement.expectedMissed = missedBelow(noise.threshold, Float64Array.from(above))
  if (moved === 0) return none(judgement, 'frozen', 'the table did not move: it was frozen in training')
  return known ? judgement : withVerdict(judgement, columns, dtypes)
}

function none(judgement: RowJudgement, cause: NoneCause, reason: string): RowJudgement {
  const rows = judgement.state.length
  return {
    ...judgement,
    verdict: 'none',
    cause,
    reason,
    state: new Uint8Array(rows).fill(undecided),
    counts: { trained: 0, untrained: 0, undecided: rows },
  }
}

/** Where the noise is not the rounding's own: the widest interquartile range of the rows' scores, over the median. */
const widestSpread = 0.75

function withVerdict(judgement: RowJudgement, columns: number, dtypes: Dtypes): RowJudgement {
  const { state, score, counts, noise, expectedMissed } = judgement
  const loud = noise.mean > 1.5 * rounding.mean
  if (
    noise.rows < enough(state.length) ||
    Math.sqrt(noise.mean) > loudestNoise(dtypes) ||
    (loud && noise.spread > widestSpread)
  ) {
    return none(judgement, 'every-row', 'every row moved, and not by one common factor')
  }
  if (counts.trained === 0)
    return none(judgement, 'decay-alone', 'no row moved by more than weight decay and rounding: no token was trained')
  const limit = asScore(noise.threshold)
  const close = score.reduce((sum, value) => sum + (value > limit && value <= Math.SQRT2 * limit ? 1 : 0), 0)
  if (close > noise.rows / 4) {
    return none(
      judgement,
      'no-gap',
      `no gap between rows that moved and rows that did not: ${close} lie just above the noise of ${noise.rows}`,
    )
  }
  if (expectedMissed < 0.5) {
    return { ...judgement, reason: `${counts.trained} rows stand clear of the noise of ${counts.untrained}` }
  }
  const doubtful = asScore(noise.mean + 2 * Math.sqrt(noise.variance / columns))
  for (let v = 0; v < state.length; v++) if (state[v] === untrained && score[v] > doubtful) state[v] = undecided
  counts.undecided = state.reduce((sum, value) => sum + (value === undecided ? 1 : 0), 0)
  counts.untrained -= counts.undecided
  return {
    ...judgement,
    verdict: 'noisy',
    reason: `rounding hides some trained rows: about ${Math.ceil(expectedMissed)} are expected below the noise`,
  }
}
