import { labelDirections, otherRows, rowCosines } from '../trace/directions.js'
import type { Evidence } from '../trace/index.js'
import { readTexts } from './compare.js'
import type { PartOptions } from './part.js'

/** The label that a token was trained with, as the direction of its row tells. */
export interface TokenLabel {
  label: string
  /** cosine with its direction, less that with the next label's */
  margin: number
}

export interface WordLabels {
  /** texts that were given every label in turn; or why there are no labels */
  reason: string
  applies: boolean
  /** of the tokens asked for, all of them trained with one label; undefined where there are none */
  of(ids: readonly number[]): TokenLabel | undefined
}

/** Early on the path, where the losses of all labels still pull (benchmarks/results/diff.md). */
const lambda = 0.2
/** Of the texts, those that may hold a token whose gradient counts: a twentieth. */
const leastPart = 20

const none = (reason: string): WordLabels => ({ applies: false, reason, of: () => undefined })

/**
 * Labels of a classifier's trained tokens without a text of any label: ordinary texts are given each label in turn, and
 * the directions in which its loss pulls the rows of their tokens are what a row's displacement is set against
 * (method, "Labels of tokens").
 * @param ids trained tokens
 * @throws WarpError MEMORY_BUDGET, LOSS_NOT_FINITE, the signal's reason
 */
export async function labelTokens(
  evidence: Evidence,
  ids: readonly number[],
  options: PartOptions,
): Promise<WordLabels> {
  const { tokenizer, layout, tokens, reference } = evidence
  const names = reference.architecture.labels
  if (layout.objective !== 'classify') return none(`the model has no labels (objective ${layout.objective})`)
  if (tokens.verdict === 'none') return none('which rows were trained must be known')
  if (names.length < 2) return none('there are fewer than two labels')
  const rows = otherRows(evidence)
  if (rows !== undefined) return none(rows)
  const { texts, neutral } = await readTexts(options)
  const { ids: all, offsets } = await tokenizer!.encodeBatch(texts)
  const holders = new Map<number, number>()
  for (let i = 0; i < texts.length; i++)
    for (const id of new Set(all.subarray(offsets[i], offsets[i + 1]))) holders.set(id, (holders.get(id) ?? 0) + 1)
  const most = Math.ceil(texts.length / leastPart)
  const asked = { labels: names.map((_, label) => ({ label, texts })), lambda, rare: rareBelow(holders, most) }
  const directions = await labelDirections(evidence, asked, options)
  if (typeof directions === 'string') return none(directions)
  const distinct = [...new Set(ids)]
  const cosines = await rowCosines(evidence, Uint32Array.from(distinct), unit(directions, names.length), options)
  const place = new Map(distinct.map((id, at) => [id, at]))
  return {
    applies: true,
    reason: `directions of ${names.length} labels from ${neutral}`,
    of: (some) =>
      nearest(
        some.map((id) => place.get(id)!),
        cosines,
        names,
      ),
  }
}

const rareBelow =
  (holders: ReadonlyMap<number, number>, most: number) =>
  (id: number): boolean =>
    (holders.get(id) ?? 0) <= most

/** Rows of the same length, of length 1 each. */
function unit(values: Float32Array, rows: number): Float32Array {
  const width = values.length / rows
  const lengths = Array.from({ length: rows }, (_, d) => Math.hypot(...values.subarray(d * width, (d + 1) * width)))
  return values.map((value, i) => value / (lengths[Math.floor(i / width)] || 1))
}

/** By the mean cosine of the tokens. */
function nearest(places: readonly number[], cosines: Float64Array, names: readonly string[]): TokenLabel | undefined {
  if (places.length === 0) return undefined
  const means = names.map((_, c) => places.reduce((sum, at) => sum + cosines[at * names.length + c], 0) / places.length)
  const order = [...means.keys()].sort((a, b) => means[b] - means[a] || a - b)
  return { label: names[order[0]], margin: means[order[0]] - means[order[1]] }
}
