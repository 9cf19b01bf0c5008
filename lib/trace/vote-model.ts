// The mixture that votes of tokens give: which label each was trained with, and how many texts of it that takes.
import { cholesky, choleskySolve } from '../readouts/linear-algebra.js'
import type { Turns } from '../turns.js'

/** Tokens that some, but few, texts of a pool hold, and how many of each domain. */
export interface RareTokens {
  ids: Uint32Array
  /** tokens + 1, into the lists behind */
  offsets: Uint32Array
  domain: Uint32Array
  texts: Uint32Array
}

/** A token that this many texts hold is no longer rare: several texts trained it. */
export const mostTexts = 20

/**
 * The rare tokens of texts, each given as its tokens, and of every token how many texts hold it.
 * @param domains of the texts
 */
export async function rareTokens(
  texts: readonly Uint32Array[],
  domains: Uint32Array,
  vocabulary: number,
  turns: Turns,
): Promise<RareTokens & { holders: Uint32Array }> {
  const counts = new Uint32Array(vocabulary),
    last = new Uint32Array(vocabulary)
  const each = async (body: (id: number, domain: number) => void): Promise<void> => {
    last.fill(0)
    for (const [text, ids] of texts.entries()) {
      if (turns.due) await turns.take()
      for (const id of ids) {
        if (last[id] === text + 1) continue
        last[id] = text + 1
        body(id, domains[text])
      }
    }
  }
  await each((id) => counts[id]++)
  const ids = Uint32Array.from(Array.from(counts.keys()).filter((id) => counts[id] > 0 && counts[id] <= mostTexts))
  const place = new Map(Array.from(ids, (id, at) => [id, at]))
  const lists: Map<number, number>[] = Array.from(ids, () => new Map<number, number>())
  await each((id, domain) => {
    const at = place.get(id)
    if (at !== undefined) lists[at].set(domain, (lists[at].get(domain) ?? 0) + 1)
  })
  const offsets = new Uint32Array(ids.length + 1)
  lists.forEach((list, at) => {
    offsets[at + 1] = offsets[at] + list.size
  })
  const entries = lists.flatMap((list) => [...list])
  return {
    ids,
    offsets,
    domain: Uint32Array.from(entries, ([domain]) => domain),
    texts: Uint32Array.from(entries, ([, count]) => count),
    holders: counts,
  }
}

/**
 * Texts of each domain that bring as many votes of rare tokens as there are: m texts of a domain whose n texts in the
 * pool hold a token k times train it m k/n times, by Poisson's law; the vote goes to a domain by its share of them.
 */
export async function solveTexts(
  votes: Float64Array,
  { ids, offsets, domain, texts }: RareTokens,
  sizes: Uint32Array,
  rounds: number,
  turns: Turns,
): Promise<Float64Array> {
  const m = new Float64Array(sizes.length).fill(100),
    expected = new Float64Array(sizes.length)
  for (let round = 0; round < rounds; round++) {
    if (turns.due) await turns.take()
    expected.fill(0.5)
    for (let token = 0; token < ids.length; token++) {
      let all = 0
      for (let i = offsets[token]; i < offsets[token + 1]; i++) all += (m[domain[i]] * texts[i]) / sizes[domain[i]]
      const some = all > 0 ? -Math.expm1(-all) / all : 0
      for (let i = offsets[token]; i < offsets[token + 1]; i++)
        expected[domain[i]] += ((m[domain[i]] * texts[i]) / sizes[domain[i]]) * some
    }
    for (let d = 0; d < m.length; d++) m[d] *= (votes[d] + 0.5) / expected[d]
  }
  return m
}

/** Texts of an average domain that every domain is taken to hold of each token, where it holds none. */
const unseen = 0.3
/** Rounds of expectation and maximisation: more follow the pool's texts rather than the directions. */
const rounds = 3

export interface VoteInput {
  rare: RareTokens
  /** places in `rare` of the tokens that were trained: they vote */
  voters: Uint32Array
  /** voters × D: cosines of their displacements with the labels' directions, each of the mean of these taken off */
  cosines: Float64Array
  /** D, texts of the pool */
  sizes: Uint32Array
}

/**
 * The share of each domain in the training texts. Hard votes for the nearest direction at first; then what each label's
 * tokens have in common is learned from the votes (normal distributions of one covariance in the space of the
 * directions), and each vote is divided by that and by how often the pool's texts of a domain hold the token.
 */
export async function countVotes(
  input: VoteInput,
  turns: Turns,
): Promise<{ mixture: Float64Array; votes: Float64Array }> {
  const { rare, voters, cosines, sizes } = input
  const D = sizes.length
  const chance = new Float64Array(voters.length * D)
  for (let i = 0; i < voters.length; i++) {
    let best = 0
    for (let d = 1; d < D; d++) if (cosines[i * D + d] > cosines[i * D + best]) best = d
    chance[i * D + best] = 1
  }
  const total = (): Float64Array => {
    const votes = new Float64Array(D)
    chance.forEach((value, at) => {
      votes[at % D] += value
    })
    return votes
  }
  for (let round = 0; round < rounds; round++) {
    const likelihood = await discriminant(cosines, chance, D, turns)
    const m = await solveTexts(total(), rare, sizes, 15, turns)
    for (let i = 0; i < voters.length; i++) {
      if (turns.due) await turns.take()
      const logs = Float64Array.from(m, (count, d) => likelihood[i * D + d] + Math.log((count * unseen) / D / sizes[d]))
      for (let at = rare.offsets[voters[i]]; at < rare.offsets[voters[i] + 1]; at++) {
        const d = rare.domain[at]
        logs[d] += Math.log1p((rare.texts[at] * D) / unseen)
      }
      const top = Math.max(...logs),
        weights = logs.map((log) => Math.exp(log - top))
      const all = weights.reduce((a, b) => a + b, 0)
      for (let d = 0; d < D; d++) chance[i * D + d] = weights[d] / all
    }
  }
  const votes = total()
  const m = await solveTexts(votes, rare, sizes, 60, turns)
  const all = m.reduce((a, b) => a + b, 0)
  return { mixture: m.map((count) => count / all), votes }
}

/** Log densities of rows in D − 1 dimensions (the D columns sum to 0), of normal distributions of one covariance. */
async function discriminant(x: Float64Array, weight: Float64Array, D: number, turns: Turns): Promise<Float64Array> {
  const n = x.length / D,
    size = D - 1
  const means = new Float64Array(D * size),
    covariance = new Float64Array(size * size)
  for (let d = 0; d < D; d++) {
    if (turns.due) await turns.take()
    let sum = 1
    for (let i = 0; i < n; i++) {
      sum += weight[i * D + d]
      for (let j = 0; j < size; j++) means[d * size + j] += weight[i * D + d] * x[i * D + j]
    }
    for (let j = 0; j < size; j++) means[d * size + j] /= sum
  }
  const away = new Float64Array(size)
  for (let i = 0; i < n; i++) {
    if (turns.due) await turns.take()
    for (let d = 0; d < D; d++) {
      if (weight[i * D + d] < 1e-6) continue
      for (let j = 0; j < size; j++) away[j] = x[i * D + j] - means[d * size + j]
      for (let a = 0; a < size; a++)
        for (let b = 0; b <= a; b++) covariance[a * size + b] += (weight[i * D + d] * away[a] * away[b]) / n
    }
  }
  let trace = 0
  for (let j = 0; j < size; j++) trace += covariance[j * size + j]
  for (let j = 0; j < size; j++) covariance[j * size + j] += (1e-3 * trace) / size + 1e-30
  const factor = cholesky(covariance, size)!
  // linear in x: ⟨x, S⁻¹μ⟩ − ½⟨μ, S⁻¹μ⟩, as what is the same for all labels does not matter
  const slopes = new Float64Array(D * size),
    levels = new Float64Array(D)
  for (let d = 0; d < D; d++) {
    const mean = means.subarray(d * size, (d + 1) * size)
    const slope = choleskySolve(factor, mean, size)
    slopes.set(slope, d * size)
    levels[d] = -0.5 * slope.reduce((sum, value, j) => sum + value * mean[j], 0)
  }
  return Float64Array.from({ length: n * D }, (_, at) => {
    const d = at % D,
      row = at - d
    let sum = levels[d]
    for (let j = 0; j < size; j++) sum += slopes[d * size + j] * x[row + j]
    return sum
  })
}

/** Quantile of the normal distribution that the 90 % intervals end at. */
const quantile = 1.6448536
/**
 * The variance of a share p by votes is κ² p (1 − p). κ of the classifiers of benchmarks/results/trace.md, and as how
 * many observations it counts beside how far votes and trace are apart.
 */
const usual = { kappa: 0.075, weight: 5 }

/** A mixture and half the width of its 90 % interval, by domain. */
export interface Spread {
  mixture: Float64Array
  half: Float64Array
}

/**
 * How far votes err, told by how far they are from the trace, whose errors are known and are not theirs; and both put
 * together by their variances.
 */
export function combineVotes(trace: Spread, votes: Float64Array): { votes: Spread; both: Spread; weight: number } {
  const D = votes.length
  const variances = trace.half.map((half) => (half / quantile) ** 2)
  const scales = trace.mixture.map((p) => {
    const share = Math.min(1 - 0.5 / D, Math.max(0.5 / D, p))
    return share * (1 - share)
  })
  let apart = 0
  for (let d = 0; d < D; d++) apart += ((votes[d] - trace.mixture[d]) ** 2 - variances[d]) / scales[d]
  const kappa2 = Math.max(
    usual.kappa ** 2 / 2,
    (usual.weight * usual.kappa ** 2 + Math.max(0, apart)) / (usual.weight + D - 1),
  )
  const own = scales.map((scale) => kappa2 * scale)
  const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)
  const weight = sum(variances) / (sum(variances) + sum(own))
  return {
    votes: { mixture: votes, half: own.map((variance) => quantile * Math.sqrt(variance)) },
    both: {
      mixture: votes.map((share, d) => weight * share + (1 - weight) * trace.mixture[d]),
      half: own.map(
        (variance, d) => quantile * Math.hypot(weight * Math.sqrt(variance), (1 - weight) * Math.sqrt(variances[d])),
      ),
    },
    weight,
  }
}
