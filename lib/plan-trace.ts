// What tracing would take: the answer of `warp trace --dry-run`.
import { nativeWeights, openModel, openReference, requireTable } from './checkpoint/index.js'
import { sharedTensors } from './checkpoint/sample.js'
import { pairTokenizer } from './checkpoint/tokenizers.js'
import { localModels } from './hub/index.js'
import { addon } from './native/load.js'
import { runTask } from './native/task.js'
import { checkOptions } from './options.js'
import { isFiles, readBatches } from './text/index.js'
import type { Tokenizer } from './text/tokenizer/index.js'
import { checkGiven, defaultSets, type Evidence, traceKinds, type TraceOptions } from './trace/index.js'
import { layoutOf } from './trace/objective.js'
import { checkPredictions } from './trace/predictions.js'
import { threadsOf } from './trace/trace-run.js'

export interface TracePlan {
  schema: 'warp.trace.plan/1'
  table: { name: string; rows: number; columns: number }
  /** of one name and shape in both models, their elements and the bytes of both */
  tensors: number
  elements: number
  bytes: number
  /** elements of the tensors that were read to see what all take */
  tried: number
  weightsSeconds: number
  /** candidate texts, by domain; null without any */
  texts: {
    count: number
    domains: Record<string, number>
    /** that were tokenized to see what all take */
    tried: number
    tokenizeSeconds: number
    /** synthetic training sets behind them */
    sets: number
  } | null
  /** of the whole process, up to the end of the trials */
  peakMemoryBytes: number
  notes: string[]
}

const triedTexts = 1000

/**
 * Opens both models, reads some weights and every text, and writes nothing. What only the whole tables tell is not
 * checked.
 * @throws WarpError of `openModel`, TRACE_NO_EMBEDDING, TRACE_OBJECTIVE, TRACE_LAYOUT, PREDICTIONS_OBJECTIVE,
 *   PREDICTIONS_NO_TEXTS, those of tokenizers and texts
 */
export async function planTrace(given: TraceOptions): Promise<TracePlan> {
  checkOptions('planTrace', given, traceKinds, ['base', 'reference'])
  checkGiven(given)
  const options = await localModels(given)
  const { signal, onProgress, embedding } = options
  const open = { embedding, forward: false, tableOnly: true }
  const base = await openModel(options.base, open)
  const reference = await openReference(options.reference, base, open)
  requireTable(base)
  const { name, shape } = requireTable(reference)
  const layout = layoutOf(reference, options)
  const { probes } = options
  const without = probes === undefined || (isFiles(probes) && probes.length === 0)
  if (options.predictions) checkPredictions({ layout, reference } as Evidence, !without)
  const { sample, ...shared } = sharedTensors(base, reference)
  const handles = { base: nativeWeights(sample.base), reference: nativeWeights(sample.reference) }
  const notes = [...new Set([...base.notes, ...reference.notes])]
  if (options.votes) notes.push('the passes forward and back of some texts (--votes) are not in the times')
  if (options.predictions) notes.push('what both models predict of each text (--predictions) is not in the times')
  let perElement = 0
  try {
    const started = performance.now()
    await runTask(
      (report) => addon().survey(handles.base, handles.reference, threadsOf(options), report),
      'tensors',
      'elements',
      { signal, onProgress },
    )
    perElement = (performance.now() - started) / 1000 / Math.max(1, sample.elements)
  } finally {
    handles.base.close()
    handles.reference.close()
  }
  const tokenizer = without ? undefined : await pairTokenizer(base.dir, reference.dir, notes, options.tokenizer)
  return {
    schema: 'warp.trace.plan/1',
    table: { name, rows: shape[0], columns: shape[1] },
    ...shared,
    tried: sample.elements,
    weightsSeconds: perElement * shared.elements,
    texts: without ? null : await countTexts(options, tokenizer, notes),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    notes,
  }
}

async function countTexts(
  options: TraceOptions,
  tokenizer: Tokenizer | undefined,
  notes: string[],
): Promise<TracePlan['texts']> {
  const { signal, onProgress, calibrate: sets = defaultSets } = options
  const domains = new Map<string, number>()
  const first: string[] = []
  let characters = 0
  for await (const batch of readBatches(options.probes!, options, { signal, onProgress, notes })) {
    for (const { text, domain, label } of batch) {
      const name = domain ?? label ?? 'all'
      domains.set(name, (domains.get(name) ?? 0) + 1)
      characters += text.length
      if (first.length < triedTexts) first.push(text)
    }
  }
  const started = performance.now()
  await tokenizer?.encodeBatch(first)
  const perCharacter = (performance.now() - started) / first.reduce((sum, { length }) => sum + length, 1) / 1000
  return {
    count: [...domains.values()].reduce((sum, one) => sum + one, 0),
    domains: Object.fromEntries(domains),
    tried: tokenizer ? first.length : 0,
    tokenizeSeconds: perCharacter * characters,
    sets,
  }
}
