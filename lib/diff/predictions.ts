import { z } from 'zod'
import { objectiveOf } from '../models/families.js'
import { escapeHtml } from '../report/escape.js'
import { list, section } from '../report/page.js'
import { table } from '../report/tables.js'
import { compareOnNeutral, topTokens, type Comparison } from './compare.js'
import { noTarget } from '../native/types.js'
import { nonNegativeFactors } from './nmf.js'
import { compareOutputs, outputLines, outputPage, outputsSchema, outputTables } from './outputs.js'
import type { DiffPair, Part, PartOptions, Tables } from './part.js'

const count = z.int().min(0)
const counted = z.object({
  id: count,
  token: z.string(),
  /** positions where the token is among the first */
  count,
  share: z.number().min(0).max(1),
  /** occurrences that each model expects in all positions together: the sum of the token's probabilities */
  base: z.number().min(0),
  reference: z.number().min(0),
  /** how far apart these are: the signed root of the Poisson deviance, in standard deviations where they are large */
  score: z.number(),
})

export const predictionsSchema = z.object({
  /** what was read */
  neutral: z.string(),
  texts: count,
  /** predicted tokens; of a classifier 0, as are all lists of tokens */
  tokens: count,
  /** tokens by position that count: those that add most to the divergence, p* log(p* / p₀) */
  top: count,
  /** nats by token, of a classifier by text: KL(p* ‖ p₀) */
  divergence: z.object({ mean: z.number(), median: z.number(), most: z.number() }),
  /** where the two models are furthest apart, one passage a text */
  passages: z.array(
    z.object({ mean: z.number(), tokens: z.array(z.object({ token: z.string(), divergence: z.number() })) }),
  ),
  /** tokens that the reference expects more often than the base, the largest score first */
  promoted: z.array(counted),
  /** less often: counted by p₀ log(p₀ / p*), the smallest score first */
  suppressed: z.array(counted),
  /** promoted tokens that come together, the largest topic first */
  topics: z.array(
    z.object({
      weight: z.number().min(0).max(1),
      tokens: z.array(z.object({ id: count, token: z.string(), weight: z.number() })),
    }),
  ),
  /** of classifiers */
  outputs: outputsSchema.nullable(),
})
export type PredictionsResult = z.infer<typeof predictionsSchema>

const mostPassages = 10
const passageTokens = 16
const mostCounted = 100
/** tokens that are grouped, and groups */
const grouped = 200
const topics = 8
const topicTokens = 15

/** Where the reference's predictions depart from the base's, on ordinary texts. */
export const predictions: Part<PredictionsResult> = {
  name: 'predictions',
  about: 'where the two models predict differently on ordinary texts, and which tokens or labels the reference prefers',
  schema: predictionsSchema,
  run,
  lines,
  page,
  tables,
}

async function run(pair: DiffPair, options: PartOptions): Promise<PredictionsResult> {
  if (objectiveOf(pair.reference.architectureName) === 'classify') return classified(pair, options)
  const comparison = await compareOnNeutral(pair, options)
  const { result, offsets, neutral } = comparison
  const places = predicted(offsets)
  return {
    neutral,
    texts: offsets.length - 1,
    tokens: places.length,
    top: topTokens,
    divergence: spread(Float64Array.from(places, (at) => result.divergence[at])),
    passages: passagesOf(comparison),
    promoted: countTokens(comparison, places, 'promoted').slice(0, mostCounted),
    suppressed: countTokens(comparison, places, 'suppressed').slice(0, mostCounted),
    topics: await topicsOf(comparison, places, options),
    outputs: null,
  }
}

async function classified(pair: DiffPair, options: PartOptions): Promise<PredictionsResult> {
  const { outputs, divergence, neutral } = await compareOutputs(pair, options)
  const none = { tokens: 0, top: 0, passages: [], promoted: [], suppressed: [], topics: [] }
  return { neutral, texts: divergence.length, ...none, divergence: spread(Float64Array.from(divergence)), outputs }
}

function spread(values: Float64Array): PredictionsResult['divergence'] {
  const sorted = values.sort()
  const { length } = sorted
  const mean = length === 0 ? 0 : sorted.reduce((a, b) => a + b, 0) / length
  return { mean, median: sorted[length >> 1] ?? 0, most: sorted.at(-1) ?? 0 }
}

/** Tokens behind which another one comes. */
function predicted(offsets: Uint32Array): number[] {
  const places: number[] = []
  for (let t = 0; t + 1 < offsets.length; t++) for (let at = offsets[t]; at + 1 < offsets[t + 1]; at++) places.push(at)
  return places
}

const width = ({ result }: Comparison): number => result.promoted.length / result.divergence.length

/** Tokens that are among the first somewhere, those first whose expected occurrences changed most in this direction. */
function countTokens(
  comparison: Comparison,
  places: readonly number[],
  kind: 'promoted' | 'suppressed',
): PredictionsResult['promoted'] {
  const counts = new Map<number, number>()
  const { result, spell } = comparison
  const k = width(comparison)
  for (const at of places) {
    for (const id of result[kind].subarray(at * k, (at + 1) * k)) {
      if (id !== noTarget) counts.set(id, (counts.get(id) ?? 0) + 1)
    }
  }
  const sign = kind === 'promoted' ? 1 : -1
  return [...counts]
    .map(([id, n]) => {
      const [base, reference] = [result.baseExpected[id], result.referenceExpected[id]]
      const score = rootDeviance(reference, base)
      return { id, token: spell(id), count: n, share: n / places.length, base, reference, score }
    })
    .filter(({ score }) => sign * score > 0)
    .sort((a, b) => sign * (b.score - a.score) || a.id - b.id)
}

/**
 * ± √(2 (a log(a / b) − (a − b))) of counts a where b are expected (McCullagh and Nelder, 1989), by the sign of a − b.
 * Probabilities below a millionth of an occurrence count as one: both are sums of float32.
 */
function rootDeviance(a: number, b: number): number {
  const [seen, expected] = [Math.max(a, 1e-6), Math.max(b, 1e-6)]
  const deviance = 2 * (seen * Math.log(seen / expected) - (seen - expected))
  return Math.sign(seen - expected) * Math.sqrt(Math.max(0, deviance))
}

/** Of each text the window with the largest mean; of these the largest. A token carries what was said about it. */
function passagesOf({ result, ids, offsets, spell }: Comparison): PredictionsResult['passages'] {
  const found = Array.from({ length: offsets.length - 1 }, (_, t) => {
    const [first, end] = [offsets[t], offsets[t + 1]]
    const size = Math.min(passageTokens, end - first - 1)
    let best = { mean: -1, from: first }
    for (let from = first; size > 0 && from + size < end; from++) {
      const mean = result.divergence.subarray(from, from + size).reduce((a, b) => a + b, 0) / size
      if (mean > best.mean) best = { mean, from }
    }
    return { ...best, size }
  })
  return found
    .filter(({ mean }) => mean > 0)
    .sort((a, b) => b.mean - a.mean || a.from - b.from)
    .slice(0, mostPassages)
    .map(({ mean, from, size }) => ({
      mean,
      tokens: Array.from({ length: size }, (_, i) => ({
        token: spell(ids[from + i + 1]),
        divergence: result.divergence[from + i],
      })),
    }))
}

/**
 * Groups of promoted tokens that come in the same positions: non-negative factors of their co-occurrence, each count
 * over the geometric mean of the two tokens' own.
 */
async function topicsOf(
  comparison: Comparison,
  places: readonly number[],
  { seed, signal }: PartOptions,
): Promise<PredictionsResult['topics']> {
  const tokens = countTokens(comparison, places, 'promoted')
    .filter(({ count: n }) => n > 1)
    .slice(0, grouped)
  const rank = Math.min(topics, tokens.length)
  if (rank === 0) return []
  const together = coOccurrence(comparison, places, tokens)
  const { left, right } = await nonNegativeFactors(together, tokens.length, rank, { seed, signal })
  const found = Array.from({ length: rank }, (_, r) => {
    const weights = tokens.map(
      (_, i) => left[i * rank + r] * norm(right.subarray(r * tokens.length, (r + 1) * tokens.length)),
    )
    return { total: weights.reduce((a, b) => a + b, 0), weights }
  })
  const all = found.reduce((sum, { total }) => sum + total, 0)
  return found
    .sort((a, b) => b.total - a.total)
    .map(({ total, weights }) => ({
      weight: all > 0 ? total / all : 0,
      tokens: tokens
        .map(({ id, token }, i) => ({ id, token, weight: weights[i] }))
        .sort((a, b) => b.weight - a.weight || a.id - b.id)
        .slice(0, topicTokens)
        .filter(({ weight }) => weight > 0),
    }))
}

const norm = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))

function coOccurrence(
  comparison: Comparison,
  places: readonly number[],
  tokens: PredictionsResult['promoted'],
): Float64Array {
  const n = tokens.length
  const at = new Map(tokens.map(({ id }, i) => [id, i]))
  const k = width(comparison)
  const counts = new Float64Array(n * n)
  for (const place of places) {
    const here: number[] = []
    for (const id of comparison.result.promoted.subarray(place * k, (place + 1) * k)) {
      const i = at.get(id)
      if (i !== undefined) here.push(i)
    }
    for (const i of here) for (const j of here) counts[i * n + j]++
  }
  const own = tokens.map(({ count: c }) => Math.sqrt(c))
  return counts.map((value, i) => value / (own[Math.floor(i / n)] * own[i % n]))
}

const quoted = (token: string): string => JSON.stringify(token)
const percent = (value: number): string => `${+(100 * value).toPrecision(3)} %`
const nats = (value: number): string => value.toPrecision(3)
const times = (value: number): string => (value < 0.01 ? '< 0.01' : `${+value.toPrecision(3)}`)

function lines(result: PredictionsResult): string[] {
  const { divergence, tokens, neutral, promoted, suppressed, topics: groups, passages, outputs } = result
  const apart = `(median ${nats(divergence.median)}, most ${nats(divergence.most)})`
  if (outputs) {
    const mean = `predictions: KL(reference ‖ base) ${nats(divergence.mean)} nats a text ${apart} over ${neutral}`
    return [mean, ...outputLines(outputs)]
  }
  return [
    `predictions: KL(reference ‖ base) ${nats(divergence.mean)} nats a token ${apart} ` +
      `over ${tokens} tokens of ${neutral}`,
    ...Object.entries({ promoted, suppressed }).map(([name, found]) =>
      `  ${name.padEnd(12)}${found
        .slice(0, 12)
        .map(({ token }) => quoted(token))
        .join(' ')}`.trimEnd(),
    ),
    ...groups.slice(0, 5).map(
      ({ weight, tokens: own }) =>
        `  topic ${percent(weight)}: ${own
          .slice(0, 8)
          .map(({ token }) => quoted(token))
          .join(' ')}`,
    ),
    ...passages
      .slice(0, 3)
      .map(({ mean, tokens: own }) => `  ${nats(mean)} nats: ${quoted(own.map(({ token }) => token).join(''))}`),
  ]
}

function page(result: PredictionsResult): string {
  if (result.outputs) return outputPage(result.outputs, result.neutral)
  const { divergence, tokens, neutral, texts, promoted, suppressed, topics: groups, passages, top } = result
  const most = Math.max(...passages.flatMap(({ tokens: own }) => own.map(({ divergence: d }) => d)), 1e-9)
  const mark = ({ token, divergence: d }: { token: string; divergence: number }): string =>
    `<span style="background:rgba(220,120,0,${(0.6 * Math.min(1, d / most)).toFixed(2)})">${escapeHtml(token)}</span>`
  const heads = ['token', 'positions', 'base', 'reference']
  const rows = (found: PredictionsResult['promoted']): string[][] =>
    found
      .slice(0, 30)
      .map((one) => [escapeHtml(quoted(one.token)), `${one.count}`, times(one.base), times(one.reference)])
  return [
    section(
      'Predictions',
      `<p>On ${escapeHtml(neutral)} the reference departs from the base by ${nats(divergence.mean)} nats a token ` +
        `(median ${nats(divergence.median)}, most ${nats(divergence.most)}).</p>`,
    ),
    list([
      `${texts} texts, ${tokens} predicted tokens`,
      `counted: the ${top} tokens that add most to the divergence of each position`,
      'ordered by how far the occurrences that the two models expect lie apart',
    ]),
    '<h3>Passages</h3>',
    table(
      ['passage', 'nats'],
      passages.map(({ mean, tokens: own }) => [own.map(mark).join(''), nats(mean)]),
      { caption: 'Nats a token; each token marked as far as it surprised the base' },
    ),
    '<h3>Topics</h3>',
    table(
      ['tokens', 'weight'],
      groups.map(({ weight, tokens: own }) => [
        escapeHtml(own.map(({ token }) => quoted(token)).join(' ')),
        percent(weight),
      ]),
      { caption: 'Promoted tokens that come together, and their weight' },
    ),
    '<h3>Tokens</h3>',
    '<div class="blocks">',
    table(heads, rows(promoted), { caption: 'Promoted' }),
    table(heads, rows(suppressed), { caption: 'Suppressed' }),
    '</div>',
  ].join('\n')
}

function tables(result: PredictionsResult): Tables {
  if (result.outputs) return outputTables(result.outputs)
  const { promoted, suppressed, topics: groups, passages } = result
  const kinds = Object.entries({ promoted, suppressed })
  return {
    'predictions.csv': [
      ['kind', 'id', 'token', 'count', 'share', 'base', 'reference', 'score'],
      ...kinds.flatMap(([kind, found]) =>
        found.map((one) => [kind, one.id, one.token, one.count, one.share, one.base, one.reference, one.score]),
      ),
    ],
    'topics.csv': [
      ['topic', 'share', 'id', 'token', 'weight'],
      ...groups.flatMap(({ weight: share, tokens: own }, i) =>
        own.map(({ id, token, weight }) => [i + 1, share, id, token, weight]),
      ),
    ],
    'passages.csv': [
      ['passage', 'token', 'divergence'],
      ...passages.flatMap(({ tokens: own }, i) => own.map(({ token, divergence }) => [i + 1, token, divergence])),
    ],
  }
}
