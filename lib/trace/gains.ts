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

/** The two kinds of text, told apart. */
export interface Separation {
  /** texts: log p(statistics | member) − log p(statistics | other); 0 of texts that were left out */
  evidence: Float64Array
  /** texts: of being a member, by what was known before and the evidence */
  probability: Float64Array
  /** by statistic: means of members and others, and the deviation that both have */
  members: number[]
  others: number[]
  deviation: number[]
  converged: boolean
}

/** No text's statistics say more than this, in nats. */
const mostEvidence = 8
const mostRounds = 200
const ridge = 1e-3

/**
 * Two normal distributions of the statistics with one covariance, by expectation and maximisation from what is known of
 * each text before.
 * @param table texts × statistics
 * @param odds texts: log odds of being a member; −∞ and ∞ where it is certain
 * @param used texts: 0 where there are no statistics
 */
export async function separate(
  table: Float64Array,
  odds: Float64Array,
  used: Uint8Array,
  turns: Turns,
): Promise<Separation> {
  const texts = odds.length,
    { centre, scale } = standard(table, used)
  const z = table.map((value, i) => (value - centre[i % size]) / scale[i % size])
  const probability = odds.map((value) => 1 / (1 + Math.exp(-value)))
  let evidence = new Float64Array(texts),
    converged = false
  let members: Float64Array = new Float64Array(size),
    others = members
  for (let round = 0; round < mostRounds && !converged; round++) {
    if (turns.due) await turns.take()
    ;[members, others] = [1, 0].map((kind) => meanOf(z, used, probability, kind))
    const found = discriminant(z, used, probability, members, others)
    let change = 0
    evidence = new Float64Array(texts)
    for (let text = 0; text < texts; text++) {
      if (!used[text]) continue
      let sum = found.level
      for (let i = 0; i < size; i++) sum += found.weights[i] * z[text * size + i]
      evidence[text] = Math.min(mostEvidence, Math.max(-mostEvidence, sum))
      const next = 1 / (1 + Math.exp(-(odds[text] + evidence[text])))
      change = Math.max(change, Math.abs(next - probability[text]))
      probability[text] = next
    }
    converged = change < 1e-5
  }
  const back = (mean: Float64Array): number[] => Array.from(mean, (value, i) => centre[i] + scale[i] * value)
  return {
    ...{ evidence, probability, converged },
    ...{ members: back(members), others: back(others), deviation: Array.from(scale) },
  }
}

function standard(table: Float64Array, used: Uint8Array): { centre: Float64Array; scale: Float64Array } {
  const centre = new Float64Array(size),
    scale = new Float64Array(size)
  const count = Math.max(
    1,
    used.reduce((sum, value) => sum + value, 0),
  )
  table.forEach((value, i) => {
    if (used[(i / size) | 0]) centre[i % size] += value / count
  })
  table.forEach((value, i) => {
    if (used[(i / size) | 0]) scale[i % size] += (value - centre[i % size]) ** 2 / count
  })
  return { centre, scale: scale.map((value) => Math.sqrt(value) || 1) }
}

/** Of members (kind 1) or the others (0). */
function meanOf(z: Float64Array, used: Uint8Array, probability: Float64Array, kind: number): Float64Array {
  const sum = new Float64Array(size)
  let total = 1e-9
  used.forEach((there, text) => {
    if (!there) return
    const weight = kind === 1 ? probability[text] : 1 - probability[text]
    total += weight
    for (let i = 0; i < size; i++) sum[i] += weight * z[text * size + i]
  })
  return sum.map((value) => value / total)
}

/** Fisher's: log of the ratio of the two normal densities, which is linear in z. */
function discriminant(
  z: Float64Array,
  used: Uint8Array,
  probability: Float64Array,
  members: Float64Array,
  others: Float64Array,
): { weights: Float64Array; level: number } {
  const covariance = new Float64Array(size * size)
  let total = 0
  used.forEach((there, text) => {
    if (!there) return
    total++
    for (const [mean, weight] of [
      [members, probability[text]],
      [others, 1 - probability[text]],
    ] as const)
      for (let i = 0; i < size; i++)
        for (let j = 0; j <= i; j++)
          covariance[i * size + j] += weight * (z[text * size + i] - mean[i]) * (z[text * size + j] - mean[j])
  })
  for (let i = 0; i < size * size; i++) covariance[i] /= Math.max(1, total)
  for (let i = 0; i < size; i++) covariance[i * size + i] += ridge
  const factor = cholesky(covariance, size)!
  const weights = choleskySolve(
    factor,
    members.map((value, i) => value - others[i]),
    size,
  )
  const level = -weights.reduce((sum, weight, i) => sum + (weight * (members[i] + others[i])) / 2, 0)
  return { weights, level }
}
