import { whileUnchanged } from '../checkpoint/index.js'
import { checkWhole, inputError, usageError, WarpError, refuseUnused } from '../errors.js'
import { localModels } from '../hub/index.js'
import { addon } from '../native/load.js'
import { callNative, runTask } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { checkOptions, type Kinds, runKinds, textKinds } from '../options.js'
import { checkDomains } from '../readouts/limits.js'
import type { Histogram } from '../report/charts.js'
import {
  isFiles,
  readLabelMap,
  readBatches,
  sourceNames,
  type ProbeOptions,
  type ProbeSource,
  type TextRecord,
} from '../text/index.js'
import type { BatchEncoder } from '../text/tokenizer/index.js'
import { arrange } from './arrange.js'
import { calibrate, estimators } from './calibrate.js'
import { describe, histogramOf, listMembers, listPredicted, listTokens } from './describe.js'
import { readEvidence, verdictOf, type Evidence } from './evidence.js'
import { survivingRecords, type Found } from './found.js'
import { unbounded } from './hidden.js'
import { checkPredictions, predictTexts, tellsApart, type Predictions } from './predictions.js'
import type { Member, TracedToken, TraceResult } from './result.js'
import { TextRule, type LayoutOptions } from './objective.js'
import type { TraceRun } from './trace-run.js'
import { addTargets } from './targets.js'
import { domainOf, TextTracer, type TextBatches, type TextPool, type TraceTexts } from './texts.js'
import { applyGrading, gradeTokens } from './tied.js'
import { castVotes } from './votes.js'

export { readEvidence, type Evidence } from './evidence.js'
export type { DomainTexts, Member, TracedToken, TraceResult, TrainingTexts } from './result.js'
export { traceMixture } from './describe.js'
export { statistics } from './gains.js'
export type { TextRule } from './objective.js'
export type { Verdict } from './rows.js'
export type { TracedText } from './texts.js'

/** Synthetic training sets of the calibration unless said otherwise. */
export const defaultSets = 60

export interface TraceOptions extends ProbeOptions, TraceRun, Omit<TraceTexts, 'open'>, LayoutOptions {
  base: string
  reference: string
  /** files or folders of candidate texts, or the texts themselves; without them only the tables are traced */
  probes?: ProbeSource
  /** synthetic training sets that correct the estimate and give its intervals, at least 20; default 60 */
  calibrate?: number
  /** tokens of a text that count, special tokens included; default: those of the longest training text */
  maxLength?: number
  /** causal language models: a forward pass of both models over all texts tells members from others too */
  predictions?: boolean
  /** classifiers: the labels that the directions of trained rows tell, as a mixture of its own and with the trace's */
  votes?: boolean
}

/** Synthetic training sets. */
const mostSets = 100_000

export const traceKinds: Kinds<TraceOptions> = {
  ...runKinds,
  ...textKinds,
  base: 'text',
  reference: 'text',
  probes: 'any',
  labelMap: 'labelMap',
  calibrate: 'number',
  maxLength: 'number',
  predictions: 'flag',
  votes: 'flag',
  threads: 'number',
  tokenizer: 'text',
  embedding: 'text',
  seed: 'number',
  objective: 'text',
  eos: 'text',
  packed: 'any',
  schedule: 'text',
  onText: 'function',
}

export interface Traced {
  result: TraceResult
  /** trained rows, and those that cannot be decided */
  tokens: TracedToken[]
  /** possible texts of the pool, the most probable members first */
  members: Member[]
  /** scores of all rows; undefined where the tables say nothing */
  histogram: Histogram | undefined
}

/**
 * Which tokens a model was fine-tuned on, which texts cannot have been among its training texts, which are likely to
 * have been, and how many of which domain, from the difference of two embedding tables.
 *
 * @throws WarpError (input) TRACE_NO_EMBEDDING, NOT_FINITE, NO_SIGNAL, FILE_CHANGED, TRACE_VOCABULARY, TRACE_TOKENIZER,
 *   TRACE_NO_TOKENIZER, TOKENIZER_ID_RANGE, TRACE_OBJECTIVE, TRACE_LAYOUT, TRACE_NO_END,
 *   TRACE_WINDOW, TRACE_NULL_ROWS, PAIR_…,
 *   and what reading models, tokenizers and texts throws; (usage) CALIBRATE_INVALID, PREDICTIONS_OBJECTIVE,
 *   PREDICTIONS_NO_TEXTS, TRACE_SCHEDULE, OPTION_UNUSED
 */
export async function trace(given: TraceOptions): Promise<Traced> {
  checkOptions('trace', given, traceKinds, ['base', 'reference'])
  const options = await localModels(given)
  const sets = options.calibrate ?? defaultSets
  if (!Number.isSafeInteger(sets) || sets < 20 || sets > mostSets) {
    throw usageError(
      'CALIBRATE_INVALID',
      `--calibrate is ${sets}; it must be a whole number from 20 to ${mostSets}`,
      { found: sets },
      'leave it out for the default',
    )
  }
  checkGiven(options)
  const { signal, onProgress, threads, tokenizer } = options
  const run: TraceRun = { signal, onProgress, threads, tokenizer, embedding: options.embedding }
  return whileUnchanged([options.base, options.reference], async () => {
    const evidence = await readEvidence(options.base, options.reference, run, options)
    const withoutTexts = options.probes === undefined || (isFiles(options.probes) && options.probes.length === 0)
    if (options.predictions) checkPredictions(evidence, !withoutTexts)
    if (withoutTexts) {
      return traced(options, evidence.gradable ? withReason(evidence, awaitingTexts) : evidence, undefined)
    }
    return traceRecords(evidence, readBatches(options.probes!, options, { ...run, notes: evidence.notes }), options)
  })
}

/** Numbers, and that options of texts go with texts. @throws WarpError (usage) OPTION_RANGE, OPTION_UNUSED */
export function checkGiven(options: TraceOptions): void {
  const { probes, threads, seed, packed } = options
  checkWhole('threads', threads, 1, 1024)
  checkWhole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  if (packed !== 'none' && packed !== 'auto') checkWhole('packed', packed, 2, Number.MAX_SAFE_INTEGER)
  if (probes !== undefined && !(isFiles(probes) && probes.length === 0)) return
  const names = [...Object.keys(textKinds), 'labelMap', 'maxLength', 'calibrate'] as (keyof TraceOptions)[]
  refuseUnused(Object.fromEntries(names.map((name) => [name, options[name]])), 'without candidate texts')
}

const awaitingTexts = 'with candidate texts scores may tell likely tokens from unlikely ones'
const withReason = (evidence: Evidence, more: string): Evidence => ({
  ...evidence,
  tokens: { ...evidence.tokens, reason: `${evidence.tokens.reason}; ${more}` },
})

/**
 * The same for tables and texts that have been read already.
 * @param outputRows whether those of an untied output layer are read beside the input's: they tell of texts, not of
 *   their number and mixture
 * @param encoder where tokens of the texts are there already
 */
export async function traceRecords(
  evidence: Evidence,
  batches: TextBatches,
  options: Omit<TraceOptions, 'base' | 'reference'> & { outputRows?: boolean; encoder?: BatchEncoder },
): Promise<Traced> {
  const silent = evidence.tokens.verdict === 'none' && !evidence.gradable
  if (silent && !options.predictions) return traced(options, evidence, undefined)
  if (evidence.tokenizerError) throw evidence.tokenizerError
  if (!evidence.tokenizer) {
    throw inputError(
      'TRACE_NO_TOKENIZER',
      `${evidence.reference.dir}: no tokenizer.json, so texts cannot be set against tokens`,
      { file: evidence.reference.dir },
      "Put the model's tokenizer.json into its folder.",
    )
  }
  const run: TraceRun = { signal: options.signal, onProgress: options.onProgress, threads: options.threads }
  if (silent) {
    const records: TextRecord[] = []
    for await (const batch of batches) for (const record of batch) records.push(record)
    return tracedAlone(options, evidence, records, run)
  }
  const rule = textRule(evidence, options.maxLength)
  const length = rule.limit
  const tracer = new TextTracer(evidence.tokenizer, evidence.tokens.state, rule, options.encoder)
  const { pool } = tracer
  const records: TextRecord[] = []
  const second = !evidence.gradable && evidence.output.table !== null && options.outputRows !== false
  try {
    await tracer.trace(options.predictions || options.votes ? keeping(batches, records) : batches, {
      ...options,
      open: second,
    })
    checkDomains(pool.domains)
    await arrange(pool, run)
    const judged = evidence.gradable ? await graded(evidence, pool.handle, run) : evidence
    if (verdictOf(judged) === 'none') return await tracedAlone(options, judged, records, run)
    const found: Found = { pool, length, ...(await estimate(judged, pool, options, run)) }
    if (second) await addTargets(judged, found, run)
    if (options.predictions) found.predictions = await predicted(judged, found, records, run)
    if (options.votes) {
      const map = typeof options.labelMap === 'string' ? await readLabelMap(options.labelMap) : options.labelMap
      const { seed = 0, encoder = tracer.encoder } = options
      found.votes = await castVotes(judged, found, records, { labelMap: map, seed, encoder }, run)
    }
    return traced(options, judged, found)
  } finally {
    pool.handle.close()
  }
}

/** Where the table says nothing: what the predictions say, if they were asked for. */
async function tracedAlone(
  options: Omit<TraceOptions, 'base' | 'reference'>,
  evidence: Evidence,
  records: readonly TextRecord[],
  run: TraceRun,
): Promise<Traced> {
  if (!options.predictions) return traced(options, evidence, undefined)
  checkDomains([...new Set(records.map(domainOf))])
  const known = new Map(records.map((record) => [record, undefined]))
  const limit = textRule(evidence, options.maxLength).limit
  return traced(options, evidence, undefined, await predictTexts(evidence, evidence.tokenizer!, known, limit, run))
}

/** Passes batches on and keeps their texts. */
async function* keeping(batches: TextBatches, kept: TextRecord[]): AsyncGenerator<readonly TextRecord[]> {
  for await (const batch of batches) {
    for (const record of batch) kept.push(record)
    yield batch
  }
}

/** All texts with what the table says of each, and their predictions. */
function predicted(evidence: Evidence, found: Found, records: TextRecord[], run: TraceRun): Promise<Predictions> {
  const known = new Map(records.map((record) => [record, 0]))
  survivingRecords(found.pool, found.members).forEach((record, i) => {
    known.set(record, found.members.probability[i])
  })
  return predictTexts(evidence, evidence.tokenizer!, known, found.length, run)
}

async function graded(evidence: Evidence, pool: Handle, run: TraceRun): Promise<Evidence> {
  const texts = await callNative(() => addon().poolCounts(pool)).promise
  try {
    return applyGrading(evidence, await gradeTokens(evidence, texts, run))
  } catch (error) {
    // a table that nobody gave the texts for: its rows tell nothing, as those of the input
    if (evidence.gradable === 'input' || !(error instanceof WarpError) || error.code !== 'TRACE_NULL_ROWS') throw error
    return withReason(evidence, error.message)
  }
}

/** Members, and what trials on the pool itself make of their estimate. */
async function estimate(
  { tokens, grading }: Evidence,
  { handle, sizes }: TextPool,
  { calibrate: sets = defaultSets, seed = 0 }: Pick<TraceOptions, 'calibrate' | 'seed'>,
  run: TraceRun,
): Promise<Pick<Found, 'members' | 'calibrated'>> {
  const known = {
    state: tokens.state,
    pull: grading?.pull ?? none,
    ...(grading?.draws ?? { untrained: none, trained: none, parts: 1 }),
  }
  const members = await runTask(
    (onProgress) => addon().findMembers(handle, { ...known, estimators }, onProgress),
    'members',
    'rounds',
    run,
  )
  const possible = grading
    ? members.probability.filter((chance) => chance >= leastChance).length
    : members.survivors.length
  const calibrated = await calibrate({ pool: handle, known, sizes, possible, sets, seed, members }, run)
  return { members, calibrated: grading ? unbounded(calibrated, possible) : calibrated }
}

const none = new Float64Array(0)
/** Without an exclusion, texts count as possible that were trained on with this probability at least. */
const leastChance = 0.01

/** Which tokens of a text moved rows, and how many of them counted. */
export function textRule(evidence: Evidence, maxLength?: number): TextRule {
  // where the table is the output layer the last token is a target: it moves its row like every other
  const layout = evidence.gradable ? { ...evidence.layout, objective: 'classify' as const } : evidence.layout
  // packed, the first token of a text has the one before it to be predicted from
  const sparesFirst = evidence.gradable === 'output' && typeof layout.packed !== 'number'
  return new TextRule(layout, textLength(evidence, maxLength), sparesFirst)
}

/** How many tokens of a text were looked at in training, as far as it is known: packed texts are not cut off. */
function textLength(evidence: Evidence, asked: number | undefined): number | undefined {
  if (typeof evidence.layout.packed === 'number') return asked
  const positions = evidence.reference.architecture.maxPositions || undefined
  const limits = [asked, evidence.longestText, positions].filter((limit): limit is number => typeof limit === 'number')
  return limits.length > 0 ? Math.min(...limits) : undefined
}

function traced(
  options: Omit<TraceOptions, 'base' | 'reference'>,
  evidence: Evidence,
  found: Found | undefined,
  alone?: Predictions,
): Traced {
  const probes = sourceNames(options.probes)
  const { seed = 0 } = options
  const result = describe(evidence, found, alone?.summary, { probes, seed })
  if (options.votes) result.votes ??= { verdict: 'none', reason: 'the table tells nothing of texts', counts: null }
  return {
    result,
    tokens: listTokens(evidence, found),
    members: found ? listMembers(found) : alone && tellsApart(alone.summary) ? listPredicted(alone) : [],
    histogram: histogramOf(evidence),
  }
}
