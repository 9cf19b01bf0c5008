// Scores of tokens as a mixture of those that were not trained and those that were, by when each was met first.
import type { Turns } from '../turns.js'
import { normalBelow, normalQuantile } from './noise.js'

export interface Normal {
  mean: number
  deviation: number
}

/**
 * A row of an output layer moves with the others until its token is met, and hardly with them from then on: its score
 * falls linearly with the time of that, to little above an untrained row's at the end of the training.
 */
export interface Trained {
  /** expected scores of tokens that were met at the very beginning, and at the very end */
  early: number
  late: number
  deviation: number
}

export interface Components {
  untrained: Normal
  trained: Trained
  /** share of trained tokens, by how many texts hold a token */
  share: Float64Array
  /** of the trained tokens, by the part of the training in which each was met first */
  parts: Float64Array
}

/** Equal parts of the training that are told apart. */
export const parts = 24
const middleOf = (part: number): number => (part + 0.5) / parts

/** Expected score of a token that was met first in this part. */
const scoreOf = (part: number, { early, late }: Trained): number => early + (late - early) * middleOf(part)

const density = (z: number, { mean, deviation }: Normal): number =>
  Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / deviation

/**
 * Untrained tokens of texts are commoner than those that no text holds, and stand out a little more: before any score
 * is seen, their mean is taken to be this far above, in deviations of those, with the weight of so many scores.
 */
const assumed = { shift: 0.5, weight: 50 }
/** The least that a row met in the last step is expected to stand out by. */
const leastAhead = 0.4
const leastDeviation = 0.3
const rounds = 500

/** Bins of `Components.share`: floor(log2(texts that hold the token)). */
const bins = 32
const binOf = (texts: number): number => Math.floor(Math.log2(Math.max(1, texts)))

const leastShare = 1e-4
const bounded = (share: number): number => Math.min(1 - leastShare, Math.max(leastShare, share))

/** Of being trained before its score is seen, of a token that so many texts hold. */
export const shareOf = (texts: number, { share }: Components): number =>
  bounded(texts === 0 ? share[0] / 10 : share[binOf(texts)])

/** When a token is met first, if it is met at a constant rate and at all with this probability: 1 − e^−rate. */
function firstMet(share: number): Float64Array {
  const rate = -Math.log1p(-bounded(share))
  const weights = Float64Array.from({ length: parts }, (_, part) => Math.exp(-rate * middleOf(part)))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / sum)
}

/** What a round gathers of the scores, weighted by how likely each is of the kind. */
interface Sums {
  untrained: { weight: number; score: number; square: number }
  /** by part */
  weight: Float64Array
  score: Float64Array
  square: Float64Array
  /** by bin */
  trained: Float64Array
  likelihood: number
}

/**
 * Expectation and maximisation from the known untrained scores, which have mean 0 and deviation 1.
 * @param texts texts that hold each token: common tokens are trained more often, and earlier
 */
export async function fitComponents(scores: Float64Array, texts: Uint32Array, turns: Turns): Promise<Components> {
  const sorted = scores.slice().sort()
  const high = sorted[Math.min(sorted.length - 1, Math.floor(0.97 * sorted.length))] ?? 0
  const counts = new Float64Array(bins)
  texts.forEach((count) => counts[binOf(count)]++)
  let found: Components = {
    untrained: { mean: assumed.shift, deviation: 1 },
    trained: { early: Math.max(assumed.shift + 3, high), late: assumed.shift + 1, deviation: 1 },
    share: new Float64Array(bins).fill(0.3),
    parts: new Float64Array(parts).fill(1 / parts),
  }
  let before = -Infinity
  for (let round = 0; round < rounds; round++) {
    const sums = await gather(scores, texts, found, turns)
    const total = sums.weight.reduce((a, b) => a + b, 0)
    const untrained = untrainedFrom(sums)
    found = {
      untrained,
      trained: trainedFrom(sums, untrained),
      share: sums.trained.map((sum, bin) => (sum + 0.3) / (counts[bin] + 1)),
      parts: sums.weight.map((weight) => (weight + 1 / parts) / (total + 1)),
    }
    if (Math.abs(sums.likelihood - before) < 1e-8 * Math.abs(sums.likelihood)) break
    before = sums.likelihood
  }
  return found
}

async function gather(scores: Float64Array, texts: Uint32Array, found: Components, turns: Turns): Promise<Sums> {
  const { untrained, trained, share } = found
  const sums: Sums = {
    untrained: { weight: 0, score: 0, square: 0 },
    weight: new Float64Array(parts),
    score: new Float64Array(parts),
    square: new Float64Array(parts),
    trained: new Float64Array(bins),
    likelihood: 0,
  }
  const times = Array.from(share, firstMet)
  const own = new Float64Array(parts)
  const means = own.map((_, part) => scoreOf(part, trained))
  for (const [i, z] of scores.entries()) {
    if (turns.due) await turns.take()
    const bin = binOf(texts[i]),
      t = bounded(share[bin]),
      not = (1 - t) * density(z, untrained)
    let there = 0
    for (let part = 0; part < parts; part++) {
      own[part] = t * times[bin][part] * density(z, { mean: means[part], deviation: trained.deviation })
      there += own[part]
    }
    if (there + not < 1e-290 && z > untrained.mean) there = own[0] = 1e-290 // far above both
    const all = Math.max(there + not, 1e-300)
    sums.likelihood += Math.log(all)
    for (let part = 0; part < parts; part++) {
      const weight = own[part] / all
      sums.weight[part] += weight
      sums.score[part] += weight * z
      sums.square[part] += weight * z * z
    }
    const rest = 1 - there / all
    sums.trained[bin] += there / all
    sums.untrained.weight += rest
    sums.untrained.score += rest * z
    sums.untrained.square += rest * z * z
  }
  return sums
}

function untrainedFrom({ untrained: { weight, score, square } }: Sums): Normal {
  const { shift, weight: prior } = assumed
  const mean = (prior * shift + score) / (prior + weight)
  const spread = square - 2 * mean * score + mean * mean * weight
  return { mean, deviation: Math.max(leastDeviation, Math.sqrt((prior + spread) / (prior + weight))) }
}

/** The line of scores on time, by least squares; through its least end where it falls below that. */
function trainedFrom({ weight, score, square }: Sums, untrained: Normal): Trained {
  let n = 1e-9,
    time = 0,
    level = 0
  for (let part = 0; part < parts; part++) {
    n += weight[part]
    time += weight[part] * middleOf(part)
    level += score[part]
  }
  time /= n
  level /= n
  let across = 0,
    along = 1e-12
  for (let part = 0; part < parts; part++) {
    const away = middleOf(part) - time
    across += away * (score[part] - level * weight[part])
    along += weight[part] * away * away
  }
  let early = level - (across / along) * time,
    late = early + across / along
  const least = untrained.mean + leastAhead
  if (late > early) {
    early = late = Math.max(least, level) // all were met early
  } else if (late < least) {
    let product = 0,
      squares = 1e-12
    for (let part = 0; part < parts; part++) {
      const left = 1 - middleOf(part)
      product += left * (score[part] - least * weight[part])
      squares += weight[part] * left * left
    }
    late = least
    early = Math.max(least, least + product / squares)
  }
  let spread = 1
  for (let part = 0; part < parts; part++) {
    const mean = early + (late - early) * middleOf(part)
    spread += square[part] - 2 * mean * score[part] + mean * mean * weight[part]
  }
  return { early, late, deviation: Math.max(leastDeviation, Math.sqrt(Math.max(0, spread) / (n + 1))) }
}

/** No score says more than this, in nats. */
const mostEvidence = 8
/** Scores are looked up in a table of so many steps to a deviation, this far beyond the means. */
const steps = 32,
  beyond = 12

/**
 * log p(z | trained) − log p(z | untrained), made monotone on both sides of the untrained mean where two deviations
 * would turn it round, and bounded.
 */
export function evidenceOf({ untrained, trained, parts: weights }: Components): (z: number) => number {
  const low = Math.min(untrained.mean, trained.late) - beyond,
    high = Math.max(untrained.mean, trained.early) + beyond
  const raw = (z: number): number => {
    const logs = weights.map(
      (weight, part) => Math.log(weight) - 0.5 * ((z - scoreOf(part, trained)) / trained.deviation) ** 2,
    )
    const top = Math.max(...logs)
    const there = top + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - top), 0)) - Math.log(trained.deviation)
    return there + 0.5 * ((z - untrained.mean) / untrained.deviation) ** 2 + Math.log(untrained.deviation)
  }
  const at = (i: number): number => low + i / steps
  const table = Float64Array.from({ length: Math.ceil((high - low) * steps) + 1 }, (_, i) => raw(at(i)))
  const middle = Math.round((untrained.mean - low) * steps)
  for (let i = middle + 1; i < table.length; i++) table[i] = Math.max(table[i], table[i - 1])
  for (let i = middle - 1; i >= 0; i--) table[i] = Math.min(table[i], table[i + 1])
  return (z) => {
    const place = Math.min(table.length - 1, Math.max(0, (z - low) * steps)),
      from = Math.min(table.length - 2, Math.floor(place))
    const value = table[from] + (table[from + 1] - table[from]) * (place - from)
    return Math.min(mostEvidence, Math.max(-mostEvidence, value))
  }
}

/** What the addon takes: 1 − p(z | untrained) / p(z | trained). */
export const pullOf = (evidence: number): number => -Math.expm1(-evidence)

/** Equally likely scores of untrained tokens, and of trained ones by the part in which they were met first. */
export function drawsOf(
  { untrained, trained }: Components,
  count: number,
): { untrained: Float64Array; trained: Float64Array } {
  const quantile = (i: number, of: number): number => normalQuantile((i + 0.5) / of)
  const each = Math.ceil(count / parts)
  return {
    untrained: Float64Array.from(
      { length: count },
      (_, i) => untrained.mean + untrained.deviation * quantile(i, count),
    ),
    trained: Float64Array.from(
      { length: each * parts },
      (_, i) => scoreOf(Math.floor(i / each), trained) + trained.deviation * quantile(i % each, each),
    ),
  }
}

/** The trained tokens' scores, all parts together. */
export function overall({ trained, parts: weights }: Components): Normal {
  const mean = weights.reduce((sum, weight, part) => sum + weight * scoreOf(part, trained), 0)
  const variance = weights.reduce((sum, weight, part) => sum + weight * (scoreOf(part, trained) - mean) ** 2, 0)
  return { mean, deviation: Math.hypot(trained.deviation, Math.sqrt(variance)) }
}

/** Of the trained tokens, those whose score lies below. */
export const trainedBelow = (z: number, { trained, parts: weights }: Components): number =>
  weights.reduce((sum, weight, part) => sum + weight * normalBelow((z - scoreOf(part, trained)) / trained.deviation), 0)
