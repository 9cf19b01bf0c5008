import { whileUnchanged } from '../checkpoint/index.js'
import { checkWhole, inputError, usageError } from '../errors.js'
import { localModels } from '../hub/index.js'
import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import { checkOptions, type Kinds, runKinds, textKinds } from '../options.js'
import { isFiles, readBatches, sourceNames, type ProbeOptions, type ProbeSource } from '../text/index.js'
import { calibrate, estimators } from './calibrate.js'
import { describe, listMembers, listTokens, type Found } from './describe.js'
import { readEvidence, type Evidence } from './evidence.js'
import type { Member, TracedToken, TraceResult } from './result.js'
import type { TraceRun } from './run.js'
import { TextTracer, type TextBatches, type TraceTexts } from './texts.js'

export { readEvidence, type Evidence } from './evidence.js'
export type { DomainTexts, Member, TracedToken, TraceResult, TrainingTexts } from './result.js'
export { traceMixture } from './describe.js'
export type { Verdict } from './rows.js'
export type { TracedText } from './texts.js'

/** Synthetic training sets of the calibration unless said otherwise. */
export const defaultSets = 60

export interface TraceOptions extends ProbeOptions, TraceRun, TraceTexts {
  base: string
  reference: string
  /** files or folders of candidate texts, or the texts themselves; without them only the tables are traced */
  probes?: ProbeSource
  /** synthetic training sets that correct the estimate and give its intervals, at least 20; default 60 */
  calibrate?: number
  /** tokens of a text that count, special tokens included; default: those of the longest training text */
  maxLength?: number
}

const kinds: Kinds<TraceOptions> = {
  ...runKinds,
  ...textKinds,
  base: 'text',
  reference: 'text',
  probes: 'any',
  labelMap: 'any',
  calibrate: 'number',
  maxLength: 'number',
  threads: 'number',
  tokenizer: 'text',
  embedding: 'text',
  seed: 'number',
  onText: 'function',
}

export interface Traced {
  result: TraceResult
  /** trained rows, and those that cannot be decided */
  tokens: TracedToken[]
  /** possible texts of the pool, the most probable members first */
  members: Member[]
}

/**
 * Which tokens a model was fine-tuned on, which texts cannot have been among its training texts, which are likely to
 * have been, and how many of which domain, from the difference of two embedding tables.
 *
 * @throws WarpError (input) TRACE_NO_EMBEDDING, NOT_FINITE, NO_SIGNAL, FILE_CHANGED, TRACE_VOCABULARY, TRACE_TOKENIZER,
 *   TRACE_NO_TOKENIZER, TOKENIZER_ID_RANGE, PAIR_…,
 *   and what reading models, tokenizers and texts throws; (usage) CALIBRATE_INVALID
 */
export async function trace(given: TraceOptions): Promise<Traced> {
  checkOptions('trace', given, kinds, ['base', 'reference'])
  const options = await localModels(given)
  const sets = options.calibrate ?? defaultSets
  if (!Number.isSafeInteger(sets) || sets < 20) {
    throw usageError(
      'CALIBRATE_INVALID',
      `--calibrate is ${sets}; it must be a whole number of at least 20`,
      { found: sets },
      'leave it out for the default',
    )
  }
  const { signal, onProgress, threads, tokenizer } = options
  checkWhole('threads', threads, 1, 1024)
  const run: TraceRun = { signal, onProgress, threads, tokenizer, embedding: options.embedding }
  return whileUnchanged([options.base, options.reference], async () => {
    const evidence = await readEvidence(options.base, options.reference, run)
    if (options.probes === undefined || (isFiles(options.probes) && options.probes.length === 0)) {
      return traced(options, evidence, undefined)
    }
    return traceRecords(evidence, readBatches(options.probes, options, { ...run, notes: evidence.notes }), options)
  })
}

/** The same for tables and texts that have been read already. */
export async function traceRecords(
  evidence: Evidence,
  batches: TextBatches,
  options: Omit<TraceOptions, 'base' | 'reference'>,
): Promise<Traced> {
  if (evidence.tokens.verdict === 'none') return traced(options, evidence, undefined)
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
  const length = textLength(evidence, options.maxLength)
  const tracer = new TextTracer(evidence.tokenizer, evidence.tokens.state, length)
  const { pool } = tracer
  try {
    await tracer.trace(batches, options)
    const seed = options.seed ?? 0
    const state = evidence.tokens.state
    const members = await runTask(
      (onProgress) => addon().findMembers(pool.handle, { state, estimators }, onProgress),
      'members',
      'rounds',
      run,
    )
    const calibrated = await calibrate(
      {
        pool: pool.handle,
        state,
        sizes: pool.sizes,
        possible: pool.possible.length,
        sets: options.calibrate ?? defaultSets,
        seed,
        members,
      },
      run,
    )
    return traced(options, evidence, { pool, calibrated, members, length })
  } finally {
    pool.handle.close()
  }
}

/** How many tokens of a text were looked at in training, as far as it is known. */
function textLength(evidence: Evidence, asked: number | undefined): number | undefined {
  const positions = evidence.reference.architecture.maxPositions || undefined
  const limits = [asked, evidence.longestText, positions].filter((limit): limit is number => typeof limit === 'number')
  return limits.length > 0 ? Math.min(...limits) : undefined
}

function traced(
  options: Omit<TraceOptions, 'base' | 'reference'>,
  evidence: Evidence,
  found: Found | undefined,
): Traced {
  const probes = sourceNames(options.probes)
  const { seed = 0 } = options
  return {
    result: describe(evidence, found, { probes, seed }),
    tokens: listTokens(evidence),
    members: found ? listMembers(found) : [],
  }
}
