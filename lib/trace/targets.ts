// What the rows of an untied output layer say of tokens that the input rows leave open.
import { WarpError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { Evidence } from './evidence.js'
import { survivingAt, type Found } from './found.js'
import { areaUnder, fitRatio, ratioAt, type Ratio } from './monotone.js'
import { trained, undecided, untrained } from './rows.js'
import { scoreRows } from './tied.js'
import type { TraceRun } from './trace-run.js'

/** What the output rows are worth, by the tokens of the texts whose input rows tell. */
export interface TargetsSummary {
  table: string
  /** rows that no text holds and that were not trained: the regression was made of the first */
  untrainedRows: { fitted: number; held: number }
  columns: number
  /**
   * tokens of the texts by their input rows: trained ones that stand elsewhere than first, and others that no possible
   * text leaves open
   */
  known: { trained: number; untrained: number }
  /** how often a trained token's score is above an untrained one's */
  separation: number
  /** trained tokens that lie where at most a hundredth of the untrained do */
  recallAt1: number
  /** the score from which a known token is more likely trained than not; of untrained ones above, of trained ones */
  threshold: number | null
  falsePositiveRate: number
  recall: number
  /** tokens that some possible text leaves open, targets among them, and texts with such tokens */
  open: { tokens: number; expected: number; texts: number }
}

export interface Targets {
  summary: TargetsSummary
  /** rows: of being a target, by the output row alone; NaN of tokens that no text holds */
  probability: Float64Array
  /** by text with open tokens, in the order they were given: log of the likelihood ratio of being trained on */
  evidence: Float64Array
}

/** The score from which the first kind is the likelier; null where it never is. */
function limitOf({ from, value }: Ratio, share: number): number | null {
  const step = value.findIndex((ratio) => ratio + Math.log(share) - Math.log1p(-share) > 0)
  return step < 0 ? null : from[step]
}

/** The share of targets among tokens that have these likelihood ratios (expectation and maximisation). */
function shareAmong(ratios: number[]): number {
  let share = ratios.length > 0 ? 0.1 : 0
  for (let round = 0; round < 200; round++) {
    const next = ratios.reduce((sum, r) => sum + share / (share + (1 - share) * Math.exp(-r)), 0) / ratios.length
    if (!(Math.abs(next - share) > 1e-9)) break
    share = next
  }
  return Math.min(1 - leastShare, Math.max(leastShare, share))
}

const leastShare = 1e-4

/**
 * Scores the output rows, learns what a score says from the tokens that the input rows tell, and says it of the others.
 * Nothing of it is certain: no text is excluded by it.
 * @param texts by token, how many texts hold it
 * @param open of each text, its tokens that must have been targets if it was trained on and whose input rows do not
 *   tell; most have none
 * @param later tokens: 1 where a text holds it after its first token
 * @returns the reason where the rows tell nothing
 */
export async function findTargets(
  evidence: Evidence,
  texts: Uint32Array,
  open: readonly (readonly number[])[],
  later: Uint8Array,
  run: TraceRun,
): Promise<Targets | string> {
  const { output, tokens } = evidence
  if (output.table === null) return output.reason
  const rows = await scoreRows(evidence, output.table, texts, run).catch((error: unknown) => {
    if (error instanceof WarpError && error.code === 'TRACE_NULL_ROWS') return error.message
    throw error
  })
  if (typeof rows === 'string') return rows
  const { scores, fitted, held, columns } = rows
  const ids = [...new Set(open.flat())],
    doubtful = new Set(ids)
  const known = (state: number): Float64Array =>
    scores.filter((z, id) => later[id] === 1 && tokens.state[id] === state && !doubtful.has(id) && !Number.isNaN(z))
  const [yes, no] = [known(trained), known(untrained)]
  const ratio = fitRatio(yes, no)
  if (!ratio) return `the input rows tell ${yes.length} trained and ${no.length} other tokens of the texts: too few`
  const share = yes.length / (yes.length + no.length),
    threshold = limitOf(ratio, share)
  const above = (list: Float64Array, limit: number | null): number =>
    limit === null ? 0 : list.reduce((count, score) => count + Number(score >= limit), 0) / list.length
  const ratios = scores.map((score) => (Number.isNaN(score) ? 0 : ratioAt(ratio, score)))
  const shares = new Map(
    [untrained, undecided].map((state) => [
      state,
      shareAmong(ids.filter((id) => tokens.state[id] === state).map((id) => ratios[id])),
    ]),
  )
  const shareOf = (id: number): number =>
    tokens.state[id] === trained ? share : doubtful.has(id) ? shares.get(tokens.state[id])! : leastShare
  const probability = scores.map((score, id) => {
    if (texts[id] === 0 || Number.isNaN(score)) return NaN
    const prior = shareOf(id)
    return prior / (prior + (1 - prior) * Math.exp(-ratios[id]))
  })
  return {
    summary: {
      table: output.table,
      untrainedRows: { fitted, held },
      columns,
      known: { trained: yes.length, untrained: no.length },
      separation: areaUnder(yes, no),
      recallAt1: above(yes, no.sort()[Math.max(0, no.length - Math.max(1, Math.floor(no.length / 100)))]),
      threshold,
      falsePositiveRate: above(no, threshold),
      recall: above(yes, threshold),
      open: {
        tokens: ids.length,
        expected: ids.reduce((sum, id) => sum + (Number.isNaN(probability[id]) ? shareOf(id) : probability[id]), 0),
        texts: open.filter((list) => list.length > 0).length,
      },
    },
    probability,
    // of a text that was trained on they were targets for certain, of another with the share that such tokens have
    evidence: Float64Array.from(open, (list) =>
      list.reduce((sum, id) => sum - Math.log(shareOf(id) + (1 - shareOf(id)) * Math.exp(-ratios[id])), 0),
    ),
  }
}

/** Adds what the output rows say to what was found: members get their probabilities from both. */
export async function addTargets(evidence: Evidence, found: Found, run: TraceRun): Promise<void> {
  const { pool, members } = found
  const counted = await callNative(() => addon().poolCounts(pool.handle)).promise
  // last tokens that may have moved no input row are not counted there
  const texts = counted.map((count, id) => Math.max(count, pool.later[id]))
  const open = survivingAt(pool, members).map((at) => pool.open[at])
  found.targets = await findTargets(evidence, texts, open, pool.later, run)
  if (typeof found.targets === 'string') return
  const { evidence: said } = found.targets
  const probability = members.probability.map((p, i) => p / (p + (1 - p) * Math.exp(-said[i])))
  found.byTable = members.probability
  found.members = { ...members, probability }
}
