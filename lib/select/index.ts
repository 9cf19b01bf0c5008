import { join } from 'node:path'
import { whileUnchanged } from '../checkpoint/index.js'
import { Stopwatch } from '../footprint/index.js'
import { withClaim } from '../claim.js'
import { inputError } from '../errors.js'
import { localModels } from '../hub/index.js'
import { checkOptions } from '../options.js'
import { placeOf } from '../text/place.js'
import { readEvidence, type Evidence } from '../trace/index.js'
import { decide } from './decide.js'
import { dropRepeats } from './dedupe.js'
import { labelWindows } from './label.js'
import { loadShards, type Loaded } from './load.js'
import { makeShards, type Made } from './make.js'
import { gatherParts, readParts } from './parts.js'
import { precondition } from './precondition.js'
import { partsFile, runParts } from './run-parts.js'
import { openSelection, type SelectSession } from './session.js'
import { listShards, shardName } from './shards.js'
import { corpusFile, eachText, readingOf, textsOf } from './texts.js'
import { choose, type Chosen } from './strategies.js'
import { mergeKinds, selectKinds } from './types.js'
import type { MergeOptions, SelectedDocument, SelectOptions, SelectResult, Strategy } from './types.js'
import { stat } from '../stat.js'

export { evaluateSelection, type EvaluateOptions, type EvaluateResult } from './evaluate.js'
export type { Part } from './make.js'
export { selectPart, type PartDocument, type PartResult } from './parts.js'
export { planSelect, type SelectPlan } from './plan.js'
export * from './types.js'

export interface Selected {
  result: SelectResult
  /** best first, with the labels that they are given */
  documents: SelectedDocument[]
}

/**
 * The documents of a corpus whose training moves the base where the reference went (SELECT, arXiv 2506.15553).
 * Features are kept under `output/features`, and reused when only the strategy or the count changes.
 * What is not said of features and strategy is decided by what the corpus holds, and told in the notes.
 * @throws WarpError of models, paths, tokenizers and texts; CORPUS_EMPTY, CORPUS_SMALL, CORPUS_REPEATED,
 *   CORPUS_CHANGED, FEATURES_OTHER, FEATURES_DAMAGED, STRATEGY_NEEDS, SELECT_LABEL_MISSING, TRACE_SILENT; those of
 *   `preconditionOf`; OPTION_UNUSED; with `shards` PART_FAILED and those of the executor
 */
export async function select(given: SelectOptions): Promise<Selected> {
  checkOptions('select', given, selectKinds, ['base', 'reference', 'corpus', 'output', 'count'])
  const { shards } = given
  return selectFrom(await localModels(given), (session, options) =>
    shards === undefined ? makeShards(session, options) : runParts(session, options, shards),
  )
}

/**
 * Selects over the features that `selectPart` made of all parts of a corpus: what `select` chooses from the whole. The
 * corpus is read again for texts alone. The parts say which models, corpus and options they are of; those that lie
 * elsewhere now are given.
 * @throws WarpError PARTS_MISSING, PARTS_DIFFER, FEATURES_MISSING; FEATURES_OTHER where the models are not those of the
 *   parts; as `select`
 */
export async function mergeSelection(merge: MergeOptions): Promise<Selected> {
  checkOptions('mergeSelection', merge, mergeKinds, ['parts', 'output', 'count'])
  const { parts, ...given } = merge
  const found = await readParts(parts)
  const { document, file } = found[0]
  const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const options = { ...document.options, ...chosen } as unknown as SelectOptions
  return selectFrom(await localModels(options), async (session, run) => {
    if (session.key === document.key) {
      const moved = given.corpus && { ...(await readingOf(run)), inputs: document.reading.inputs }
      return gatherParts(session, found, run, moved)
    }
    throw inputError(
      'FEATURES_OTHER',
      `${file}: was made of other models or options, or by another version of warp`,
      { file, expected: session.key, found: document.key },
      'the models that the parts were made of: --base, --reference',
    )
  })
}

/** Features and strategy are known. */
type DecidedOptions = SelectOptions & { strategy: Strategy }
type Make = (session: SelectSession, options: SelectOptions) => Promise<Made>

const selectFrom = (options: SelectOptions, make: Make): Promise<Selected> =>
  whileUnchanged([options.base, options.reference], () => selectOpened(options, make))

async function selectOpened(given: SelectOptions, make: Make): Promise<Selected> {
  const watch = new Stopwatch()
  const { notes, evidence, ...decided } = await decide(given)
  const options: DecidedOptions = { ...given, ...decided }
  const session = await openSelection(options)
  session.notes.push(...notes)
  const { signal, onProgress } = options
  try {
    return await withClaim(session.folder, { signal, onProgress, writes: [partsFile, corpusFile] }, async () => {
      watch.lap('open')
      const made = await make(session, options)
      watch.lap('features')
      const loaded = await load(session, made, options, evidence)
      try {
        watch.lap('load')
        const found = await pickFrom(session, made, loaded, options)
        watch.lap('choose')
        return await describe(session, made, loaded, found, options, watch)
      } finally {
        loaded.close()
      }
    })
  } finally {
    session.close()
  }
}

/** @param evidence which tokens were trained, where that was asked already; it is kept by no selection */
async function load(
  { kind, source, notes }: SelectSession,
  made: Made,
  options: SelectOptions,
  evidence?: Evidence,
): Promise<Loaded> {
  const { signal, onProgress, base, reference, tokenizer, threads, memory } = options
  const run = { signal, onProgress, memory }
  const labels = source.pair.reference.architecture.labels
  if (kind !== 'trace' && options.traceShare === undefined) return loadShards(made, undefined, false, labels, run)
  const { tokens } = evidence ?? (await readEvidence(base, reference, { ...run, tokenizer, threads }))
  if (tokens.verdict === 'none')
    throw inputError(
      'TRACE_SILENT',
      `the embedding table tells nothing: ${tokens.reason}`,
      { file: reference },
      '--features head --strategy topk',
    )
  notes.push(`trace: ${tokens.reason}`)
  return loadShards(made, tokens.state, true, labels, run).then(async (traced) => {
    if (kind === 'trace') return traced
    const own = await loadShards(made, undefined, false, labels, run)
    traced.close()
    return { ...own, order: undefined, traced: traced.order }
  })
}

interface Found extends Chosen {
  repeated: number
  filtered: number
}

async function pickFrom(session: SelectSession, made: Made, loaded: Loaded, options: DecidedOptions): Promise<Found> {
  const { strategy, count, balance = false, batch = 32, dedupe, signal, onProgress } = options
  const { seed, threads } = session.source
  refuseRepeated(loaded)
  const allowed = new Uint8Array(loaded.count).fill(1)
  const repeated = dedupe
    ? await dropRepeats(eachText(session.folder, made, loaded.places, { signal }), dedupe, allowed, { signal })
    : 0
  const filtered = options.traceShare === undefined ? 0 : keepBest(loaded, options.traceShare, allowed)
  const left = loaded.count - repeated - filtered
  if (left < count) {
    throw inputError(
      'CORPUS_SMALL',
      `${left} documents can be chosen, ${count} are asked for`,
      { found: left, expected: count },
      '--count, or a larger corpus',
    )
  }
  const label =
    loaded.label ??
    (balance || strategy === 'topk-balanced' ? await labelAll(session, loaded, allowed, options) : undefined)
  const { kind, source, precondition: q } = session
  const plain = { ...loaded, label, allowed, partial: kind === 'all' }
  const documents = await precondition(plain, q, kind, source, { signal, onProgress })
  const chosen = await choose(strategy, documents, { count, balance, batch, seed, threads, signal, onProgress })
  return { ...chosen, repeated, filtered }
}

/** @throws WarpError (input) CORPUS_REPEATED where there is nothing to choose between */
function refuseRepeated({ count, offsets, ids, places }: Loaded): void {
  const same = (i: number): boolean => {
    const length = offsets[i + 1] - offsets[i]
    for (let j = 0; j < length; j++) if (ids[offsets[i] + j] !== ids[j]) return false
    return length === offsets[1]
  }
  for (let i = 1; i < count; i++) if (!same(i)) return
  if (count === 1) return
  throw inputError(
    'CORPUS_REPEATED',
    `${places[0].source}: all ${count} documents of the corpus are the same text`,
    { ...placeOf(places[0].source), found: count },
    'is this the right file and column? see --text',
  )
}

/** Labels of the documents that may be chosen; features without a forward pass have none. */
async function labelAll(session: SelectSession, loaded: Loaded, allowed: Uint8Array, options: SelectOptions) {
  const rows = Uint32Array.from(allowed.keys()).filter((i) => allowed[i] === 1)
  const { label } = await labelWindows(session.source, loaded, rows, options)
  const all = new Int32Array(loaded.count)
  rows.forEach((row, i) => (all[row] = label[i]))
  return all
}

/** Keeps the share of the documents that agree best with the trained tokens; returns how many fall. */
function keepBest(loaded: Loaded & { traced?: Float64Array }, share: number, allowed: Uint8Array): number {
  if (!(share > 0 && share <= 1))
    throw inputError('TRACE_SHARE_RANGE', `trace share ${share}; expected above 0, at most 1`, { found: share }, '0.5')
  const agreement = loaded.traced ?? loaded.order!
  const rows = Array.from(allowed.keys()).filter((i) => allowed[i] === 1)
  rows.sort((a, b) => agreement[b] - agreement[a] || a - b)
  const gone = rows.slice(Math.ceil(share * rows.length))
  for (const i of gone) allowed[i] = 0
  return gone.length
}

async function describe(
  session: SelectSession,
  made: Made,
  loaded: Loaded,
  { documents: rows, score, cosine, repeated, filtered, notes }: Found,
  options: DecidedOptions,
  watch: Stopwatch,
): Promise<Selected> {
  const labels = session.source.pair.reference.architecture.labels
  const own = await labelsOf(session, loaded, rows, options)
  watch.lap('label')
  const texts = await textsOf(session.folder, made, loaded.places, rows, { signal: options.signal })
  watch.lap('texts')
  const documents = Array.from(
    rows,
    (row, i): SelectedDocument => ({
      rank: i + 1,
      ...loaded.places[row],
      text: texts[i],
      label: own ? labels[own.label[i]] : loaded.places[row].label,
      score: score[i],
      cosine: cosine ? cosine[i] : null,
      probabilities: own ? Array.from(own.probability.subarray(i * labels.length, (i + 1) * labels.length)) : null,
    }),
  )
  const counts = Object.fromEntries(labels.map((name) => [name, 0]))
  for (const { label } of documents) if (label !== null && label in counts) counts[label]++
  const total = await sizeOf(session.folder)
  const cut =
    made.truncated > 0 ? [`${made.truncated} windows have no place to be cut at: their ends were left out`] : []
  return {
    documents,
    result: {
      schema: 'warp.select/1',
      base: options.base,
      reference: options.reference,
      weights: session.weights,
      corpus: options.corpus,
      features: session.kind,
      strategy: options.strategy,
      precondition: session.precondition,
      labels: session.source.labels,
      lambdas: session.lambdas,
      window: session.window,
      stride: session.stride,
      seed: session.source.seed,
      documents: made.documents,
      windows: made.windows,
      split: made.split,
      truncated: made.truncated,
      repeated,
      filtered,
      selected: rows.length,
      counts,
      featureBytes: { perWindow: total / made.windows, total },
      reused: made.reused,
      sketch: sketchUsed(session) ? { size: session.source.sketch, error: loaded.sketchError ?? null } : null,
      cosine: cosine && cosine.length > 0 ? cosine[cosine.length - 1] : null,
      timings: watch.timings,
      notes: [...session.notes, ...notes, ...cut],
    },
  }
}

const sketchUsed = ({ kind, source: { sketch, network } }: SelectSession): boolean =>
  sketch > 0 && (kind === 'all' || (kind === 'head' && network.objective === 'language'))

/** Of the documents that were chosen; undefined for language models. */
async function labelsOf(session: SelectSession, loaded: Loaded, rows: Uint32Array, options: SelectOptions) {
  const { label, probability, labels } = loaded
  if (session.source.network.objective === 'language') return undefined
  if (!label || !probability) return labelWindows(session.source, loaded, rows, options)
  const c = labels.length
  const own = new Float32Array(rows.length * c)
  rows.forEach((row, i) => own.set(probability.subarray(row * c, (row + 1) * c), i * c))
  return { label: Int32Array.from(rows, (row) => label[row]), probability: own }
}

async function sizeOf(folder: string): Promise<number> {
  const sizes = await Promise.all((await listShards(folder)).map((n) => stat(join(folder, shardName(n)))))
  return sizes.reduce((sum, { size }) => sum + size, 0)
}
