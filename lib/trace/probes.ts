import { WarpError } from '../errors.js'
import { KnownTokens, type PackedProbes, type ProbeSet, type TextRecord } from '../text/index.js'
import type { KnownPair } from './evidence.js'
import { readEvidence, traceMixture, traceRecords } from './index.js'
import type { MixtureResult } from '../readouts/index.js'
import type { TraceRun } from './trace-run.js'
import type { TraceResult } from './result.js'

/** What `recover` says of the trace. */
export interface TraceSummary {
  verdict: TraceResult['verdict']
  reason: string
  /** α; null with verdict none */
  decay: number | null
  trainedTokens: { count: number; undecided: number }
  /** tokens of the longest training text; null where nothing tells */
  longestText: number | null
  /** training texts, their interval, and how many of them are among the probes; null with verdict none */
  trainingTexts: TraceResult['trainingTexts']
}

export interface ProbesTraced {
  summary: TraceSummary
  /** none where the tables tell nothing */
  mixture: MixtureResult | undefined
  /** where they were asked for: theirs, and theirs with the trace's; or why there are none */
  votes: MixtureResult[] | string
  notes: string[]
}

/** The trace of a pair with the probes as its pool; none where no table can be traced. @throws as `trace` */
export async function traceProbes(...given: Parameters<typeof traceAll>): Promise<ProbesTraced> {
  try {
    return await traceAll(...given)
  } catch (error) {
    const none = error instanceof WarpError && untraceable.includes(error.code)
    if (!none) throw error
    const summary: TraceSummary = {
      verdict: 'none',
      reason: error.message,
      decay: null,
      trainedTokens: { count: 0, undecided: 0 },
      longestText: null,
      trainingTexts: null,
    }
    return { summary, mixture: undefined, votes: error.message, notes: [error.message] }
  }
}

/** What `requireTable` says of a model that can be scored all the same. */
const untraceable = ['TRACE_NO_EMBEDDING', 'TRACE_EMBEDDING_AMBIGUOUS', 'DTYPE_UNSUPPORTED']

async function traceAll(
  base: string,
  reference: string,
  probes: ProbeSet,
  options: TraceRun & { seed: number; maxLength: number; votes?: boolean },
  { packed, ...known }: KnownPair & { packed: PackedProbes },
): Promise<ProbesTraced> {
  const { signal, onProgress, threads, tokenizer, seed, maxLength, votes } = options
  const evidence = await readEvidence(base, reference, { signal, onProgress, threads, tokenizer }, {}, known)
  const encoder = new KnownTokens(probes.texts, packed, maxLength, known.tokenizer)
  const rest = { signal, onProgress, threads, seed, maxLength, outputRows: false, encoder, votes }
  const { result } = await traceRecords(evidence, records(probes), rest).catch((error: unknown) => {
    if (!(error instanceof WarpError) || error.code !== 'TRACE_NULL_ROWS') throw error
    const reason = `${evidence.tokens.reason}; ${error.message}`
    return traceRecords({ ...evidence, gradable: null, tokens: { ...evidence.tokens, reason } }, [], rest)
  })
  const {
    verdict,
    reason,
    decay,
    trainedTokens: { count, undecided },
    longestText,
    trainingTexts,
  } = result
  return {
    summary: { verdict, reason, decay, trainedTokens: { count, undecided }, longestText, trainingTexts },
    mixture: traceMixture(result),
    votes: result.votes?.verdict === 'counted' ? result.mixtures.slice(1) : (result.votes?.reason ?? ''),
    notes: result.notes,
  }
}

const batch = 1024

function* records({ texts, domains, domain, sources, rows }: ProbeSet): Generator<TextRecord[]> {
  for (let first = 0; first < texts.length; first += batch) {
    yield texts.slice(first, first + batch).map((text, i) => {
      const name = domains[domain[first + i]]
      return { text, label: name, domain: name, source: sources[first + i], row: rows[first + i] }
    })
  }
}
