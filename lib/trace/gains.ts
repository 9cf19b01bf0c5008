// How much likelier the fine-tuned model finds each token of a text than the base does, and what that says of the text.
import { cholesky, choleskySolve } from '../readouts/linear-algebra.js'
import type { Turns } from '../turns.js'

/** Predicted tokens of texts, one text after the other. */
export interface Gains {
  /** texts + 1 */
  offsets: Uint32Array
  /** by token: its id, log p₀ and log p* − log p₀ of it */
  ids: Uint32Array
  base: Float64Array
  gain: Float64Array
  /** texts: index of the domain */
  domain: Uint32Array
  domains: number
}

/** Of the tokens of a text, what their gains lie above the expected ones. */
export const statistics = ['sum', 'mean', 'spread', 'share', 'lowest'] as const
const size = statistics.length

/** What a gain is expected from besides the domain: powers of log p₀, and p₀ itself. */
const regressors = 3
/** A token's own mean gain in the other texts counts as so many of its occurrences, against none expected. */
const shrink = 3
/** The share of a text's tokens that `lowest` is the mean of. */
const lowestShare = 1 / 5

/**
 * Gains less what is expected of them: by least squares on log p₀, its square and p₀ within each domain, and by the
 * mean of what is left over for the same token in all other texts. A model that learns a topic finds its common tokens
 * likelier in every text; one that saw a text finds that text's rare turns likelier.
 */
export async function unexpected(gains: Gains, turns: Turns): Promise<Float64Array> {
  const { offsets, ids, base, gain, domain, domains } = gains
  const columns: ((at: number) => number)[] = [
    (at) => gain[at],
    (at) => base[at],
    (at) => base[at] * base[at],
    (at) => Math.exp(base[at]),
  ]
  const means = columns.map(() => new Float64Array(domains)),
    counts = new Float64Array(domains)
  const moments = new Float64Array((regressors + 1) ** 2)
  const each = async (visit: (at: number, d: number) => void): Promise<void> => {
    for (let text = 0; text < domain.length; text++) {
      if (turns.due) await turns.take()
      for (let at = offsets[text]; at < offsets[text + 1]; at++) visit(at, domain[text])
    }
  }
  await each((at, d) => {
    counts[d]++
    columns.forEach((column, c) => {
      means[c][d] += column(at)
    })
  })
  for (const mean of means) mean.forEach((total, d) => (mean[d] = counts[d] > 0 ? total / counts[d] : 0))
  const centred = (c: number, at: number, d: number): number => columns[c](at) - means[c][d]
  await each((at, d) => {
    for (let i = 0; i <= regressors; i++)
      for (let j = 0; j <= i; j++) moments[i * (regressors + 1) + j] += centred(i, at, d) * centred(j, at, d)
  })
  const slopes = solve(moments)
  const rest = new Float64Array(gain.length)
  await each((at, d) => {
    rest[at] = centred(0, at, d) - slopes.reduce((sum, slope, i) => sum + slope * centred(i + 1, at, d), 0)
  })
  return withoutTokens(gains, ids, rest, turns)
}

/** Slopes from the moments of the gain (first) and the regressors; 0 where these are dependent. */
function solve(moments: Float64Array): Float64Array {
  const n = regressors,
    width = n + 1
  const matrix = new Float64Array(n * n),
    right = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    right[i] = moments[(i + 1) * width]
    for (let j = 0; j <= i; j++) matrix[i * n + j] = moments[(i + 1) * width + j + 1]
  }
  const largest = Math.max(...Array.from({ length: n }, (_, i) => matrix[i * n + i]))
  const factor = cholesky(matrix, n, 1e-12 * largest)
  return factor ? choleskySolve(factor, right, n) : new Float64Array(n)
}

/** What is left of a token once the same token in the other texts has been looked at. */
async function withoutTokens(
  { offsets, domain }: Gains,
  ids: Uint32Array,
  rest: Float64Array,
  turns: Turns,
): Promise<Float64Array> {
  const vocabulary = ids.reduce((most, id) => Math.max(most, id + 1), 0)
  const sums = new Float64Array(vocabulary),
    counts = new Uint32Array(vocabulary)
  ids.forEach((id, at) => {
    sums[id] += rest[at]
    counts[id]++
  })
  const result = new Float64Array(rest.length)
  const ownSum = new Float64Array(vocabulary),
    ownCount = new Uint32Array(vocabulary)
  for (let text = 0; text < domain.length; text++) {
    if (turns.due) await turns.take()
    const [first, end] = [offsets[text], offsets[text + 1]]
    for (let at = first; at < end; at++) {
      ownSum[ids[at]] += rest[at]
      ownCount[ids[at]]++
    }
    for (let at = first; at < end; at++) {
      const id = ids[at]
      result[at] = rest[at] - (sums[id] - ownSum[id]) / (counts[id] - ownCount[id] + shrink)
    }
    for (let at = first; at < end; at++) ownSum[ids[at]] = ownCount[ids[at]] = 0
  }
  return result
}

/** By text the `statistics` of some values of its tokens; zeros where it has none. */
export async function statisticsOf(offsets: Uint32Array, values: Float64Array, turns: Turns): Promise<Float64Array> {
  const result = new Float64Array((offsets.length - 1) * size)
  for (let text = 0; text + 1 < offsets.length; text++) {
    if (turns.due) await turns.take()
    const own = values.slice(offsets[text], offsets[text + 1]).sort()
    if (own.length === 0) continue
    const sum = own.reduce((a, b) => a + b, 0),
      mean = sum / own.length
    const spread = Math.sqrt(own.reduce((a, b) => a + (b - mean) ** 2, 0) / own.length)
    const share = own.reduce((a, b) => a + Number(b > 0), 0) / own.length
    const lowest = own.subarray(0, Math.ceil(own.length * lowestShare))
    result.set([sum, mean, spread, share, lowest.reduce((a, b) => a + b, 0) / lowest.length], text * size)
  }
  return result
}
