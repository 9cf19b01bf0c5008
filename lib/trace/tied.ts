import { nativeWeights } from '../checkpoint/index.js'
import { inputError, type WarpError } from '../errors.js'
import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import type { Handle, TiedScores } from '../native/types.js'
import {
  drawsOf,
  evidenceByTexts,
  evidenceOf,
  fitComponents,
  overall,
  parts,
  pullOf,
  shareOf,
  trainedBelow,
  type Components,
  type Normal,
  type Schedule,
  type Trained,
} from './components.js'
import { Turns } from '../turns.js'
import type { Evidence } from './evidence.js'
import { normalBelow } from './noise.js'
import { trained } from './rows.js'
import { threadsOf, type TraceRun } from './trace-run.js'

/** What scores say of the tokens of a table that targets move, where every row moved. */
export interface Grading {
  /** rows: 1 − p(score | untrained) / p(score | trained), 0 where there is no score */
  pull: Float64Array
  /** equally likely values of it for untrained tokens and for trained ones, these by part of the training */
  draws: { untrained: Float64Array; trained: Float64Array; parts: number }
  /** rows: score, NaN where the row did not move */
  scores: Float64Array
  /** rows: of being trained, from the score and from how many texts hold the token */
  probability: Float64Array
  /** rows: how far each moved, ‖θ* − θ₀‖ */
  moved: Float64Array
  summary: GradingSummary
}

/** Scores are in deviations of the rows that no text holds, from their mean. */
export interface GradingSummary {
  /** the table: the input's, which is also the output layer, or that of the output layer alone */
  table: string
  rows: 'input' | 'output'
  /** rows that no text holds: the regression was made of the first, its errors taken from the second */
  untrainedRows: { fitted: number; held: number }
  /** of the regression */
  columns: number
  untrained: Normal
  trained: Normal
  /** of a trained token, by when it was met first: scores fall with the way that the rate had taken by then */
  times: Trained
  /** trained tokens among those of the texts */
  expected: number
  tokens: number
  /** the score from which a token is more likely trained than not, and what it lets through and leaves out */
  threshold: number
  falsePositiveRate: number
  missedRate: number
  /** what would tell more */
  lost: string
}

/** Rows that are held back, one in so many; the others are fitted, so many at most. */
const heldOneIn = 3,
  mostFitted = 20_000
/** Columns of the regression at most: all of tables up to the first width, of wider ones the second. */
const wholeColumns = 768,
  foldedColumns = 512
/** Rows a regression needs for one column, and at least. */
const rowsPerColumn = 4,
  leastRows = 64
const draws = 512
const lost = (schedule: Schedule): string =>
  'no forward pass was used: it was not seen to tell more. Tokens that training met last look like untrained ones: ' +
  'how many they are follows from those met before, if training met new tokens evenly from its beginning to its ' +
  `end (one pass, at a rate that ${schedule === 'constant' ? 'was constant (--schedule)' : `fell: ${schedule}`}` +
  ') or met all of them early (several passes); nothing bounds how many of the training texts are among these'

/** Scores of the rows of a table that targets move. */
export interface RowScores {
  /** rows that the regression was made of, and that were held back */
  fitted: number
  held: number
  columns: number
  /** rows: in deviations of the untrained rows that were held back; NaN where the row did not move */
  scores: Float64Array
  /** rows: log ‖θ* − θ₀‖ */
  moved: Float64Array
}

/**
 * Scores the rows of a table against those of tokens that no text holds and that are not known to be trained.
 * @param texts by token, how many texts hold it
 * @throws WarpError (input) TRACE_NULL_ROWS
 */
export async function scoreRows(
  { base, reference, tokenizer, tokens }: Evidence,
  name: string,
  texts: Uint32Array,
  run: TraceRun,
): Promise<RowScores> {
  const [rows, width] = reference.tensors.get(name)!.shape
  const free = Array.from(texts.keys()).filter(
    (id) => texts[id] === 0 && tokens.state[id] !== trained && !tokenizer?.specialIds.has(id),
  )
  const tooFew = (what: string): WarpError =>
    inputError(
      'TRACE_NULL_ROWS',
      `${what} of ${rows} tokens; ${name} needs ${leastRows} that no text holds`,
      { found: free.length, expected: leastRows },
      'Give fewer candidate texts.',
    )
  if (free.length < leastRows) throw tooFew(`the texts hold all but ${free.length}`)
  const held = free.filter((_, i) => i % heldOneIn === heldOneIn - 1)
  const rest = free.filter((_, i) => i % heldOneIn !== heldOneIn - 1)
  const step = Math.max(1, rest.length / mostFitted)
  const fit = Uint32Array.from({ length: Math.floor(rest.length / step) }, (_, i) => rest[Math.floor(i * step)])
  const most = width <= wholeColumns ? width : foldedColumns
  const columns = Math.max(1, Math.min(most, Math.floor(fit.length / rowsPerColumn)))
  const handles: Handle[] = [nativeWeights(base), nativeWeights(reference)]
  try {
    const request = { name, fit, columns, threads: threadsOf(run) }
    const found = await runTask(
      (onProgress) => addon().tiedScores(handles[0], handles[1], request, onProgress),
      'tied table',
      'rows',
      run,
    )
    if (found.fitted < leastRows / 2) throw tooFew(`only ${found.fitted} rows moved that no text holds`)
    const { fitted } = found
    return { fitted, held: held.length, columns, scores: standardise(found, held), moved: found.moved }
  } finally {
    handles.forEach((handle) => handle.close())
  }
}

/**
 * Scores the rows of a table that targets move against those of tokens that no text holds, and fits both kinds of
 * score.
 * @param texts by token, how many texts hold it
 * @param rises see `fitComponents`
 * @throws WarpError (input) TRACE_NULL_ROWS
 */
export async function gradeTokens(
  evidence: Evidence,
  texts: Uint32Array,
  run: TraceRun,
  rises = false,
): Promise<Grading> {
  const rows = evidence.gradable === 'output' ? 'output' : 'input'
  const table = rows === 'output' ? evidence.output.table! : evidence.reference.inputEmbedding
  const { scores, moved, fitted, held, columns } = await scoreRows(evidence, table, texts, run)
  const known = Array.from(texts.keys()).filter((id) => texts[id] > 0 && !Number.isNaN(scores[id]))
  const { schedule } = evidence.layout
  const components = await fitComponents(
    Float64Array.from(known, (id) => scores[id]),
    Uint32Array.from(known, (id) => texts[id]),
    schedule,
    new Turns(run.signal),
    rises,
  )
  const tell = evidenceOf(components)
  const told = evidenceByTexts(components)
  const probability = scores.map((z, id) => {
    if (Number.isNaN(z)) return 0
    const share = shareOf(texts[id], components)
    return 1 / (1 + ((1 - share) / share) * Math.exp(-told(z, texts[id])))
  })
  const expected = known.reduce((sum, id) => sum + probability[id], 0)
  const pull = (z: number): number => pullOf(tell(z)),
    drawn = drawsOf(components, draws)
  return {
    pull: scores.map((z, id) => (Number.isNaN(z) ? 0 : pullOf(told(z, texts[id])))),
    scores,
    probability,
    moved: moved.map(Math.exp),
    draws: { untrained: drawn.untrained.map(pull), trained: drawn.trained.map(pull), parts },
    summary: {
      ...limits(components, tell, expected / Math.max(1, known.length)),
      ...{ table, rows },
      untrainedRows: { fitted, held },
      columns,
      untrained: components.untrained,
      trained: overall(components),
      times: components.trained,
      expected,
      tokens: known.length,
      lost: lost(schedule),
    },
  }
}

/** The score from which a token is more likely trained than not. */
function limits(
  components: Components,
  tell: (z: number) => number,
  share: number,
): Pick<GradingSummary, 'threshold' | 'falsePositiveRate' | 'missedRate'> {
  const { untrained, trained } = components
  let low = untrained.mean - 10 * untrained.deviation,
    high = trained.early + 10 * trained.deviation
  const odds = Math.log(share / (1 - share))
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2
    if (tell(middle) + odds > 0) high = middle
    else low = middle
  }
  return {
    threshold: high,
    falsePositiveRate: 1 - normalBelow((high - untrained.mean) / untrained.deviation),
    missedRate: trainedBelow(high, components),
  }
}

/** What an untrained row's score depends on: 1, log ‖θ₀‖, how probable the token is and the square of that. */
function conditionsOf({ base, along }: TiedScores, held: number[]): (id: number) => number[] {
  const mean = (list: Float64Array): number => held.reduce((sum, id) => sum + list[id], 0) / held.length
  const [size, middle] = [mean(base), mean(along)]
  const spread = Math.sqrt(held.reduce((sum, id) => sum + (along[id] - middle) ** 2, 0) / held.length) || 1
  return (id) => {
    const away = (along[id] - middle) / spread
    return [1, base[id] - size, away, away * away]
  }
}

/**
 * Scores in deviations from what rows of the same size and probability that were held back have. Residuals are taken
 * twice, of the scores and of the logarithms of what is left.
 */
function standardise(found: TiedScores, all: number[]): Float64Array {
  const held = all.filter((id) => !Number.isNaN(found.score[id]))
  const conditions = conditionsOf(found, held),
    rows = held.map(conditions)
  const dot = (a: number[], b: number[]): number => a.reduce((sum, value, i) => sum + value * b[i], 0)
  const level = leastSquares(
    rows,
    held.map((id) => found.score[id]),
  )
  const off = held.map((id, i) => found.score[id] - dot(level, rows[i]))
  const spread = leastSquares(
    rows,
    off.map((value) => Math.log(Math.abs(value) + 1e-3)),
  )
  const scaled = off.map((value, i) => value / Math.exp(dot(spread, rows[i])))
  const deviation = Math.sqrt(dot(scaled, scaled) / Math.max(1, scaled.length)) || 1
  return found.score.map((score, id) => {
    if (Number.isNaN(score)) return NaN
    const row = conditions(id)
    return (score - dot(level, row)) / Math.exp(dot(spread, row)) / deviation
  })
}

/** Coefficients by the normal equations, with a ridge of a thousandth of an observation. */
function leastSquares(rows: number[][], values: number[]): number[] {
  const size = rows[0]?.length ?? 0
  const matrix = Array.from({ length: size }, (_, i) =>
    Array.from({ length: size + 1 }, (_, j) =>
      rows.reduce((sum, row, r) => sum + row[i] * (j < size ? row[j] : values[r]), i === j ? 1e-3 : 0),
    ),
  )
  for (let i = 0; i < size; i++) {
    for (let k = i + 1; k < size; k++) {
      const factor = matrix[k][i] / matrix[i][i]
      for (let j = i; j <= size; j++) matrix[k][j] -= factor * matrix[i][j]
    }
  }
  const result = new Array<number>(size).fill(0)
  for (let i = size - 1; i >= 0; i--) {
    const rest = matrix[i].slice(i + 1, size).reduce((sum, value, j) => sum + value * result[i + 1 + j], 0)
    result[i] = (matrix[i][size] - rest) / matrix[i][i]
  }
  return result
}

/** How much the two kinds of score must differ, in deviations of the untrained, for the table to say anything. */
const leastDistance = 1

/** What was known, with the scores; without them where no token stands out. */
export function applyGrading(evidence: Evidence, grading: Grading): Evidence {
  const { tokens } = evidence
  const { expected, tokens: known, falsePositiveRate, rows, ...found } = grading.summary
  const distance = found.trained.mean - found.untrained.mean
  if (distance < leastDistance * found.untrained.deviation || expected < 1) {
    const reason = `${tokens.reason}; and no token stands out among those of the texts`
    return { ...evidence, tokens: { ...tokens, reason } }
  }
  const likely = grading.probability.reduce((count, value) => count + Number(value >= 0.5), 0)
  const moved =
    `about ${Math.round(expected)} of the texts' ${known} tokens moved as ` +
    `${rows === 'input' ? 'trained ones' : 'targets'} do ` +
    `(${(100 * falsePositiveRate).toFixed(1)} % of the others look so)`
  const reason =
    rows === 'input'
      ? `every row moved, as the table is also the output layer; ${moved}`
      : `${tokens.reason}; of the rows of the output layer, ${found.table}, ${moved}`
  const counts = { trained: likely, untrained: 0, undecided: tokens.state.length - likely }
  return { ...evidence, grading, tokens: { ...tokens, reason, counts } }
}
