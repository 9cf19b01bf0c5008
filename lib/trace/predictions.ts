// What the predictions of a language model say of texts, beside its table.
import { nativeWeights, networkOf, openPair } from '../checkpoint/index.js'
import { usageError } from '../errors.js'
import type { Network } from '../models/network.js'
import { addon } from '../native/load.js'
import { callNative, runTask } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { targetsOf } from '../objectives/index.js'
import type { TextRecord } from '../text/index.js'
import { encodeAhead, type TokenBatch, type Tokenizer } from '../text/tokenizer/index.js'
import { Turns } from '../turns.js'
import type { Evidence } from './evidence.js'
import { statistics, statisticsOf, unexpected, type Gains } from './gains.js'
import { domainOf } from './texts.js'
import { threadsOf, type TraceRun } from './trace-run.js'
import { standardised, tellKinds, type Alone } from './two-kinds.js'

/** What predictions say of the texts. */
export interface Predictions {
  summary: PredictionsSummary
  /** log of the likelihood ratio that a text's statistics give, and its probability by the table and by them */
  of: Map<TextRecord, { evidence: number; probability: number }>
}

export interface PredictionsSummary {
  texts: number
  /** tokens whose probabilities were compared */
  tokens: number
  /** texts of which no token is predicted: they keep the probability that was known before */
  unpredicted: number
  truncated: number
  /** where the table told nothing: what the predictions rest on, the share of members and how well it is known */
  alone: Alone | null
  /** members by the table and the predictions together, and texts that are one with a probability of a half at least */
  expected: number
  likely: number
  /** mean of each statistic over members and over others, and its deviation over all texts */
  statistics: { name: (typeof statistics)[number]; members: number; others: number; deviation: number }[]
  converged: boolean
}

/** Whether predictions say anything of texts of which the table says nothing. */
export const tellsApart = ({ alone }: PredictionsSummary): boolean => alone !== null && alone.gain > alone.needed

/** Texts of one pass of both models, and about how many characters. */
const passTexts = 2048,
  passCharacters = 1 << 18
/** Bytes of native working memory. */
const memory = 2 ** 31

/** @throws WarpError (usage) PREDICTIONS_OBJECTIVE, PREDICTIONS_NO_TEXTS */
export function checkPredictions({ layout, reference }: Evidence, texts: boolean): void {
  if (layout.objective !== 'language')
    throw usageError(
      'PREDICTIONS_OBJECTIVE',
      `--predictions is about causal language models; ${reference.architectureName || reference.dir} was trained for ` +
        `something else (objective ${layout.objective})`,
      { file: reference.dir, found: layout.objective, expected: 'language' },
      'leave it out',
    )
  if (!texts)
    throw usageError(
      'PREDICTIONS_NO_TEXTS',
      '--predictions needs texts to predict',
      {},
      '--probes FILE, or leave it out',
    )
}

/**
 * Compares what base and reference predict of each text, token by token, in one forward pass of both, and tells members
 * from others by it, beside what the table says of each, or alone.
 * @param known of each text, the probability of being a member by the table: 0 where it is excluded, undefined where
 *   the table says nothing of any text
 * @throws WarpError of models that cannot be computed; MEMORY_BUDGET, LOSS_NOT_FINITE
 */
export async function predictTexts(
  evidence: Evidence,
  tokenizer: Tokenizer,
  known: ReadonlyMap<TextRecord, number | undefined>,
  limit: number | undefined,
  run: TraceRun,
): Promise<Predictions> {
  const records = [...known.keys()],
    turns = new Turns(run.signal)
  const { gains, truncated } = await compareModels(evidence, tokenizer, records, limit, run)
  const { offsets } = gains
  const above = await unexpected(gains, turns)
  const lengths = Uint32Array.from(records, (_, i) => offsets[i + 1] - offsets[i])
  const before = [...known.values()]
  const odds = before.includes(undefined) ? undefined : Float64Array.from(before as number[], logOdds)
  const found = await tellKinds(await standardised(offsets, above, gains.base, turns), lengths, odds, turns)
  const table = await statisticsOf(offsets, above, turns)
  const total = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, value) => sum + value, 0)
  return {
    summary: {
      texts: records.length,
      tokens: gains.ids.length,
      unpredicted: lengths.filter((length) => length === 0).length,
      truncated,
      alone: found.alone,
      expected: Math.round(total(found.probability) * 100) / 100,
      likely: total(found.probability.map((p) => Number(p >= 0.5))),
      statistics: compareKinds(table, lengths, found.probability),
      converged: found.converged,
    },
    of: new Map(
      records.map((record, i) => [record, { evidence: found.evidence[i], probability: found.probability[i] }]),
    ),
  }
}

const logOdds = (p: number): number => (p > 0 ? Math.log(p) - Math.log1p(-Math.min(p, 1 - 1e-9)) : -Infinity)

/** Means of the statistics over members and over others, by the texts' probabilities, and their deviations. */
function compareKinds(
  table: Float64Array,
  lengths: Uint32Array,
  probability: Float64Array,
): PredictionsSummary['statistics'] {
  const texts = Array.from(lengths.keys()).filter((text) => lengths[text] > 0)
  const mean = (i: number, weight: (text: number) => number, value = (x: number): number => x): number => {
    let sum = 0,
      all = 0
    for (const text of texts) {
      sum += weight(text) * value(table[text * statistics.length + i])
      all += weight(text)
    }
    return all > 0 ? sum / all : 0
  }
  return statistics.map((name, i) => {
    const middle = mean(i, () => 1)
    return {
      name,
      members: mean(i, (text) => probability[text]),
      others: mean(i, (text) => 1 - probability[text]),
      deviation: Math.sqrt(
        mean(
          i,
          () => 1,
          (x) => (x - middle) ** 2,
        ),
      ),
    }
  })
}

function* passes(records: readonly TextRecord[]): Generator<TextRecord[]> {
  for (let begin = 0, end = 0; begin < records.length; begin = end) {
    for (let size = 0; end < records.length && end - begin < passTexts && size < passCharacters; end++)
      size += records[end].text.length
    yield records.slice(begin, end)
  }
}

async function compareModels(
  { base, reference }: Evidence,
  tokenizer: Tokenizer,
  records: readonly TextRecord[],
  limit: number | undefined,
  run: TraceRun,
): Promise<{ gains: Gains; truncated: number }> {
  const pair = await openPair(base.dir, reference.dir, { objective: 'language' })
  const network = networkOf(pair.reference, 'language')
  const handles: Handle[] = [nativeWeights(pair.base, pair.generated), nativeWeights(pair.reference)]
  const numbers = new Map<string, number>()
  const domain = Uint32Array.from(records, (record) => {
    const name = domainOf(record)
    if (!numbers.has(name)) numbers.set(name, numbers.size)
    return numbers.get(name)!
  })
  const offsets = new Uint32Array(records.length + 1)
  const parts: Part[] = []
  let truncated = 0,
    done = 0
  try {
    const path = callNative(() => addon().openPath(handles[0], handles[1], { family: 'linear', lambdas: [] }))
    handles.push(path)
    const maxLength = Math.min(limit ?? network.maxPositions, network.maxPositions)
    const encoded = encodeAhead(passes(records), (all) => all.map(({ text }) => text), tokenizer, { maxLength })
    for await (const { batch, tokens } of encoded) {
      const part = await onePass(path, network, tokens, run)
      batch.forEach((_, i) => {
        truncated += tokens.truncated[i]
        offsets[done + 1] = offsets[done] + part.counts[i]
        done++
      })
      parts.push(part)
      run.onProgress?.({ phase: 'predictions', done, total: records.length, unit: 'texts' })
    }
  } finally {
    for (const handle of handles) handle.close()
  }
  const tokens = offsets[done]
  const gains = {
    ...{ offsets, domain, domains: numbers.size },
    ...{ ids: new Uint32Array(tokens), base: new Float64Array(tokens), gain: new Float64Array(tokens) },
  }
  let at = 0
  for (const part of parts) {
    for (const name of ['ids', 'base', 'gain'] as const) gains[name].set(part[name], at)
    at += part.ids.length
  }
  return { gains, truncated }
}

/** Predicted tokens of some texts: how many of each text, and as in `Gains`. */
interface Part extends Pick<Gains, 'ids' | 'base' | 'gain'> {
  counts: Uint32Array
}

async function onePass(path: Handle, network: Network, tokens: TokenBatch, run: TraceRun): Promise<Part> {
  const texts = tokens.offsets.length - 1
  // a text may be without a token; native code takes none such
  const kept = [0, ...Array.from(tokens.offsets).filter((end, i, all) => i > 0 && end > all[i - 1])]
  const packed = { ids: tokens.ids, typeIds: tokens.typeIds, offsets: Uint32Array.from(kept) }
  const count = kept.length - 1
  const { tokenLoss } =
    count === 0
      ? { tokenLoss: new Float64Array(0) }
      : await runTask(
          (report) =>
            addon().score(
              {
                ...{ path, network, ...packed, targets: targetsOf(packed), domain: new Int32Array(count), domains: 1 },
                ...{ scope: [], gradients: false, threads: threadsOf(run), memory },
              },
              report,
            ),
          'predictions',
          'tokens',
          { signal: run.signal },
        )
  const counts = Uint32Array.from({ length: texts }, (_, i) =>
    Math.max(0, tokens.offsets[i + 1] - tokens.offsets[i] - 1),
  )
  const total = counts.reduce((a, b) => a + b, 0)
  const part = { counts, ids: new Uint32Array(total), base: new Float64Array(total), gain: new Float64Array(total) }
  let to = 0
  for (let i = 0; i < texts; i++)
    for (let at = tokens.offsets[i]; at + 1 < tokens.offsets[i + 1]; at++, to++) {
      part.ids[to] = tokens.ids[at + 1]
      part.base[to] = -tokenLoss![2 * at]
      part.gain[to] = tokenLoss![2 * at] - tokenLoss![2 * at + 1]
    }
  return part
}
