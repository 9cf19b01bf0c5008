import { WarpError, refuseUnused } from '../errors.js'
import { objectiveFor } from '../objectives/index.js'
import { readEvidence, type Evidence } from '../trace/index.js'
import { trained, undecided } from '../trace/rows.js'
import { readWindows } from './corpus.js'
import { keyThere } from './make.js'
import { featuresFolder, openSelection, type SelectSession } from './session.js'
import { type CorpusReading, readingOf } from './texts.js'
import type { FeatureKind, SelectOptions, Strategy } from './types.js'

/** What a selection goes by where it is not said, and why. */
export interface Decision {
  features: FeatureKind
  strategy: Strategy
  notes: string[]
  /** what was looked at for that, where it was */
  evidence?: Evidence
}

/** Strategies that go by losses or by products of gradients. */
const byGradients = new Set<Strategy>(['greedy', 'greedy-batched', 'matching', 'loss-min', 'loss-max'])

/** Share of a window's tokens. Of the study's 8 000 the 1 000th has .95 (AG: trace does better), .69 (CLINC: head). */
const enough = 0.9

/**
 * Features and strategy where they are left out, by the study in benchmarks/results/select.md. Features: those that are
 * there; else `trace`, where as many windows as are asked for had nine tenths of their tokens trained (texts like
 * those trained on, or they themselves), else `head`. Strategies: of `trace` as many of each label as of the others, of
 * `head` greedy; of language models `topk`.
 * @throws WarpError of models, tokenizers and texts; OPTION_UNUSED
 */
export async function decide(options: SelectOptions): Promise<Decision> {
  const objective = await objectiveFor(options.reference)
  const found = await featuresFor(options)
  const byDefault = objective === 'language' ? 'topk' : found.features === 'head' ? 'greedy' : 'topk-balanced'
  const strategy = options.strategy ?? byDefault
  if (strategy !== 'greedy-batched') refuseUnused({ batch: options.batch }, `with the strategy ${strategy}`)
  return { ...found, strategy }
}

async function featuresFor(options: SelectOptions): Promise<Omit<Decision, 'strategy'>> {
  const { features, strategy, traceShare, precondition = 0 } = options
  if (features) return { features, notes: [] }
  if (precondition > 0 || traceShare !== undefined) return { features: 'head', notes: [] }
  if (strategy && byGradients.has(strategy)) return { features: 'head', notes: [] }
  const there = options.force ? undefined : await keyThere(featuresFolder(options.output))
  for (const kind of there === undefined ? [] : (['trace', 'head'] as const)) {
    const session = await openSelection({ ...options, features: kind })
    session.close()
    if (there === session.key)
      return { features: kind, notes: [`features ${kind}: they are there; --features chooses others`] }
  }
  const session = await openSelection({ ...options, features: 'trace' })
  try {
    return await byTrace(session, options)
  } finally {
    session.close()
  }
}

async function byTrace(session: SelectSession, options: SelectOptions): Promise<Omit<Decision, 'strategy'>> {
  const { base, reference, tokenizer, threads, memory, signal, onProgress, count } = options
  const run = { tokenizer, threads, memory, signal, onProgress }
  const head = (why: string): Omit<Decision, 'strategy'> => ({ features: 'head', notes: [`features head: ${why}`] })
  const trace = (why: string) => ({ features: 'trace' as const, notes: [`features trace: ${why}`], evidence })
  const evidence = await readEvidence(base, reference, run).catch((error: unknown) => {
    if (error instanceof WarpError && error.code.startsWith('TRACE_')) return undefined
    throw error
  })
  if (!evidence) return head('there is no embedding table to look at')
  if (evidence.tokens.verdict === 'none') return head(`the embedding table tells nothing: ${evidence.tokens.reason}`)
  const reading = await readingOf(options)
  if (reading.kept) return trace('the corpus can be read once only')
  const found = await countTrained(session, reading, evidence.tokens.state, options)
  const told = `${found < count ? 'only' : 'at least'} ${found} windows have nine tenths of their tokens trained`
  return found < count ? head(`${told}, ${count} are chosen`) : trace(told)
}

/** Windows whose tokens were trained but for a tenth; stops at `count`. */
async function countTrained(
  { tokenizer, window, stride, source }: SelectSession,
  reading: CorpusReading,
  state: Uint8Array,
  { corpus, count, signal, onProgress }: SelectOptions,
): Promise<number> {
  const cutting = { ...reading.options, labelMap: source.labelMap, window, stride }
  const counts = { documents: 0, split: 0, truncated: 0 }
  let [found, looked] = [0, 0]
  for await (const { windows, tokens, row } of readWindows(corpus, tokenizer, cutting, counts, { signal })) {
    for (let i = row; i < row + windows.length; i++) {
      let [own, known] = [0, 0]
      for (let j = tokens.offsets[i]; j < tokens.offsets[i + 1]; j++) {
        own += Number(state[tokens.ids[j]] === trained)
        known += Number(state[tokens.ids[j]] !== undecided)
      }
      if (own >= enough * known && ++found === count) return found
    }
    onProgress?.({ phase: 'look', done: (looked += windows.length), total: 0, unit: 'windows' })
  }
  return found
}
