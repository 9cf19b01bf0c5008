import { WarpError } from '../errors.js'
import type { Evidence } from '../trace/index.js'
import { falsePositives } from '../trace/noise.js'
import { applyGrading, gradeTokens, type Grading } from '../trace/tied.js'
import type { NeutralTokens } from './neutral.js'
import { NotApplicable, type PartOptions } from './part.js'

/** What the trace makes of every token, whether it decides or grades. */
export interface JudgedTokens {
  verdict: 'exact' | 'noisy' | 'graded'
  reason: string
  /** by token: 0 untrained, 1 trained, 2 undecided */
  state: Uint8Array
  /** of being trained, of a token in state 1 */
  probability(id: number): number
  /** by token: how far its row moved, or its score; 1 is the median of trained ones */
  sizes: Float64Array
  falsePositives: number
}

/** Graded tokens count as trained from this probability on, and as untrained below the second. */
const [likely, unlikely] = [0.9, 0.1]

/**
 * The states of an exact or noisy trace as they are. Where the table is also the output layer, or nothing but that
 * layer moved, every row moved: tokens are graded against those that ordinary language lacks, how often it holds the
 * others being what is expected of them before their score is seen.
 * @throws NotApplicable where no token stands out
 */
export async function judgeTokens(
  evidence: Evidence,
  general: NeutralTokens,
  { signal, onProgress, threads }: PartOptions,
): Promise<JudgedTokens> {
  const { state, residual, verdict, reason } = evidence.tokens
  if (verdict !== 'none') {
    const moved = residual.map((size) => (Number.isFinite(size) ? size : 0))
    return { verdict, reason, state, probability: () => 1, sizes: relative(moved, state), falsePositives }
  }
  const often = Uint32Array.from(general.counts, Math.round)
  const grading = await gradeTokens(evidence, often, { signal, onProgress, threads }, true).catch((error: unknown) => {
    if (!(error instanceof WarpError) || error.code !== 'TRACE_NULL_ROWS') throw error
    throw new NotApplicable(error.code, error.message)
  })
  const graded = applyGrading(evidence, grading)
  if (!graded.grading)
    throw new NotApplicable('DIFF_NO_TOKENS', `the token table tells nothing: ${graded.tokens.reason}`)
  const states = Uint8Array.from(grading.probability, (chance) => (chance >= likely ? 1 : chance < unlikely ? 0 : 2))
  const scores = grading.scores.map((score) => (Number.isNaN(score) ? 0 : Math.max(0, score)))
  return {
    verdict: 'graded',
    reason: reasonOf(grading),
    state: states,
    probability: (id) => grading.probability[id],
    sizes: relative(scores, states),
    falsePositives: grading.summary.falsePositiveRate,
  }
}

function relative(moved: Float64Array, state: Uint8Array): Float64Array {
  const trained = moved.filter((_, id) => state[id] === 1).sort()
  const middle = trained[Math.floor(trained.length / 2)] || 1
  return moved.map((size) => size / middle)
}

function reasonOf({ summary: { rows, table, tokens, expected, falsePositiveRate } }: Grading): string {
  const where =
    rows === 'input' ? 'every row moved, as the table is also the output layer' : `no row but those of ${table} tells`
  return (
    `${where}; about ${Math.round(expected)} of the ${tokens} tokens of ordinary language moved as trained ones do, ` +
    `and ${(100 * falsePositiveRate).toFixed(1)} % of the others look so: nothing is certain`
  )
}
