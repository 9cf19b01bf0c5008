// Scores of tokens as a mixture of those that were not trained and those that were, by when each was met first.
import type { Turns } from '../turns.js'
import { normalBelow, normalQuantile } from './noise.js'

export interface Normal {
  mean: number
  deviation: number
}

/**
 * A row of an output layer moves with the others until its token is met, and hardly with them from then on: its score
 * is what was left of the others' way, and falls to little above an untrained row's at the end of the training.
 */
export interface Trained {
  /** expected scores of tokens that were met at the very beginning, and at the very end */
  early: number
  late: number
  deviation: number
}

export interface Components {
  untrained: Normal
  /** of the untrained mean, with every doubling of the texts that hold a token; `untrained` is of 2^at texts */
  rise?: { slope: number; at: number }
  trained: Trained
  /** share of trained tokens, by how many texts hold a token */
  share: Float64Array
  /** of the trained tokens, by the part of the training in which each was met first */
  parts: Float64Array
  /** how the learning rate fell */
  schedule: Schedule
}

export type Schedule = keyof typeof schedules

/** Of the way that a rate takes, what lies behind at a time from 0 to 1: the integral of the rate. */
export const schedules = {
  constant: (time: number): number => time,
  linear: (time: number): number => time * (2 - time),
  cosine: (time: number): number => time + Math.sin(Math.PI * time) / Math.PI,
}

/** Equal parts of the training that are told apart. */
export const parts = 24
const middleOf = (part: number): number => (part + 0.5) / parts

/** The share of the way that lies behind in the middle of a part. */
const behind = (part: number, schedule: Schedule): number => schedules[schedule](middleOf(part))

/** Expected score of a token that was met first in this part. */
const scoreOf = (part: number, { trained: { early, late }, schedule }: Pick<Components, 'trained' | 'schedule'>) =>
  early + (late - early) * behind(part, schedule)

const density = (z: number, { mean, deviation }: Normal): number =>
  Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / deviation

/**
 * Untrained tokens of texts are commoner than those that no text holds, and stand out a little more: before any score
 * is seen, their mean is taken to be this far above, in deviations of those, with the weight of so many scores.
 */
const assumed = { shift: 0.5, weight: 50 }
/** The same where it rises: of tokens in one text, and of those in 2^`later` of them. */
const assumedRise = { first: 0.1, last: 0.6, later: 5 }
/** The least that a row met in the last step is expected to stand out by. */
const leastAhead = 0.4
const leastDeviation = 0.3
const rounds = 500

/** Bins of `Components.share`: floor(log2(texts that hold the token)). */
const bins = 32
const binOf = (texts: number): number => Math.floor(Math.log2(Math.max(1, texts)))

const leastShare = 1e-4
const bounded = (share: number): number => Math.min(1 - leastShare, Math.max(leastShare, share))

/** Untrained tokens that a number of texts of this bin hold. */
const untrainedIn = (bin: number, { untrained, rise }: Pick<Components, 'untrained' | 'rise'>): Normal =>
  rise ? { ...untrained, mean: untrained.mean + rise.slope * (bin - rise.at) } : untrained

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
  /** of these, by bin */
  rest: { weight: Float64Array; score: Float64Array }
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
 * @param schedule of the rate, which scores tell badly: experts of a constant rate on long texts look like those whose
 *   rate fell (benchmarks/results/trace.md)
 * @param rises whether untrained tokens stand out the more the commoner they are: of ordinary language, whose tokens
 *   differ in that by far more than those of candidate texts
 */
export async function fitComponents(
  scores: Float64Array,
  texts: Uint32Array,
  schedule: Schedule,
  turns: Turns,
  rises = false,
): Promise<Components> {
  const sorted = scores.slice().sort()
  const high = sorted[Math.min(sorted.length - 1, Math.floor(0.97 * sorted.length))] ?? 0
  const cells = cellsOf(scores, texts)
  const counts = new Float64Array(bins)
  for (const { bin, count } of cells) counts[bin] += count
  let found: Components = {
    untrained: { mean: assumed.shift, deviation: 1 },
    ...(rises && {
      rise: { slope: (assumedRise.last - assumedRise.first) / assumedRise.later, at: assumedRise.later },
    }),
    trained: { early: Math.max(assumed.shift + 3, high), late: assumed.shift + 1, deviation: 1 },
    share: new Float64Array(bins).fill(0.3),
    parts: new Float64Array(parts).fill(1 / parts),
    schedule,
  }
  let before = -Infinity
  for (let round = 0; round < rounds; round++) {
    const sums = await gather(cells, found, turns)
    const total = sums.weight.reduce((a, b) => a + b, 0)
    const kind = rises ? risingFrom(sums) : { untrained: untrainedFrom(sums) }
    found = {
      ...kind,
      trained: trainedFrom(sums, kind.untrained, schedule),
      share: sums.trained.map((sum, bin) => (sum + 0.3) / (counts[bin] + 1)),
      parts: sums.weight.map((weight) => (weight + 1 / parts) / (total + 1)),
      schedule,
    }
    if (Math.abs(sums.likelihood - before) < 1e-8 * Math.abs(sums.likelihood)) break
    before = sums.likelihood
  }
  return found
}

/** Scores are told apart by so much of a deviation. */
const grain = 1 / 64

/** Scores that are told as one, of tokens in one bin: how many there are. Rising by score. */
interface Cell {
  z: number
  bin: number
  count: number
}

function cellsOf(scores: Float64Array, texts: Uint32Array): Cell[] {
  const counts = new Map<number, number>()
  scores.forEach((z, i) => {
    const key = Math.round(z / grain) * bins + binOf(texts[i])
    counts.set(key, (counts.get(key) ?? 0) + 1)
  })
  const keys = [...counts.keys()].sort((a, b) => a - b)
  return keys.map((key) => {
    const place = Math.floor(key / bins)
    return { z: place * grain, bin: key - place * bins, count: counts.get(key)! }
  })
}

async function gather(cells: readonly Cell[], found: Components, turns: Turns): Promise<Sums> {
  const { trained, share } = found
  const untrained = Array.from(share, (_, bin) => untrainedIn(bin, found))
  const sums: Sums = {
    untrained: { weight: 0, score: 0, square: 0 },
    rest: { weight: new Float64Array(bins), score: new Float64Array(bins) },
    weight: new Float64Array(parts),
    score: new Float64Array(parts),
    square: new Float64Array(parts),
    trained: new Float64Array(bins),
    likelihood: 0,
  }
  const times = Array.from(share, firstMet)
  const own = new Float64Array(parts)
  const means = own.map((_, part) => scoreOf(part, found))
  let last = NaN
  const here = new Float64Array(parts)
  for (const { z, bin, count } of cells) {
    if (z !== last) {
      if (turns.due) await turns.take()
      for (let part = 0; part < parts; part++)
        here[part] = density(z, { mean: means[part], deviation: trained.deviation })
      last = z
    }
    const t = bounded(share[bin]),
      not = (1 - t) * density(z, untrained[bin])
    let there = 0
    for (let part = 0; part < parts; part++) there += own[part] = t * times[bin][part] * here[part]
    if (there + not < 1e-290 && z > untrained[bin].mean) there = own[0] = 1e-290 // far above both
    const all = Math.max(there + not, 1e-300)
    sums.likelihood += count * Math.log(all)
    for (let part = 0; part < parts; part++) {
      const weight = (count * own[part]) / all
      sums.weight[part] += weight
      sums.score[part] += weight * z
      sums.square[part] += weight * z * z
    }
    const rest = count * (1 - there / all)
    sums.trained[bin] += (count * there) / all
    sums.untrained.weight += rest
    sums.untrained.score += rest * z
    sums.untrained.square += rest * z * z
    sums.rest.weight[bin] += rest
    sums.rest.score[bin] += rest * z
  }
  return sums
}

function untrainedFrom({ untrained: { weight, score, square } }: Sums): Normal {
  const { shift, weight: prior } = assumed
  const mean = (prior * shift + score) / (prior + weight)
  const spread = square - 2 * mean * score + mean * mean * weight
  return { mean, deviation: Math.max(leastDeviation, Math.sqrt((prior + spread) / (prior + weight))) }
}

/** The line of the untrained mean on the logarithm of the texts, by least squares, with what is assumed of it. */
function risingFrom({ untrained, rest }: Sums): Pick<Components, 'untrained' | 'rise'> {
  const { first, last, later } = assumedRise
  const [weight, score] = [rest.weight.slice(), rest.score.slice()]
  for (const [bin, mean] of [
    [0, first],
    [later, last],
  ]) {
    weight[bin] += assumed.weight / 2
    score[bin] += (assumed.weight / 2) * mean
  }
  const sum = (of: (bin: number) => number): number => weight.reduce((total, _, bin) => total + of(bin), 0)
  const all = sum((bin) => weight[bin])
  const at = sum((bin) => weight[bin] * bin) / all
  const mean = sum((bin) => score[bin]) / all
  const slope = sum((bin) => (bin - at) * score[bin]) / sum((bin) => weight[bin] * (bin - at) ** 2)
  const line = (bin: number): number => mean + slope * (bin - at)
  const spread = untrained.square + sum((bin) => line(bin) * (rest.weight[bin] * line(bin) - 2 * rest.score[bin]))
  const deviation = Math.sqrt((assumed.weight + Math.max(0, spread)) / (assumed.weight + untrained.weight))
  return { untrained: { mean, deviation: Math.max(leastDeviation, deviation) }, rise: { slope, at } }
}

/** The line of scores on the way behind, by least squares; through its least end where it falls below that. */
function trainedFrom({ weight, score, square }: Sums, untrained: Normal, schedule: Schedule): Trained {
  const at = Float64Array.from({ length: parts }, (_, part) => behind(part, schedule))
  let n = 1e-9,
    time = 0,
    level = 0
  for (let part = 0; part < parts; part++) {
    n += weight[part]
    time += weight[part] * at[part]
    level += score[part]
  }
  time /= n
  level /= n
  let across = 0,
    along = 1e-12
  for (let part = 0; part < parts; part++) {
    const away = at[part] - time
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
      const left = 1 - at[part]
      product += left * (score[part] - least * weight[part])
      squares += weight[part] * left * left
    }
    late = least
    early = Math.max(least, least + product / squares)
  }
  let spread = 1
  for (let part = 0; part < parts; part++) {
    const mean = early + (late - early) * at[part]
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
 * @param texts that hold the token, where that counts
 */
export function evidenceOf(components: Components, texts?: number): (z: number) => number {
  const { trained, parts: weights } = components
  const untrained = texts === undefined ? components.untrained : untrainedIn(binOf(texts), components)
  const low = Math.min(untrained.mean, trained.late) - beyond,
    high = Math.max(untrained.mean, trained.early) + beyond
  const raw = (z: number): number => {
    const logs = weights.map(
      (weight, part) => Math.log(weight) - 0.5 * ((z - scoreOf(part, components)) / trained.deviation) ** 2,
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

/** The same of tokens that so many texts hold. */
export function evidenceByTexts(components: Components): (z: number, texts: number) => number {
  const byBin = new Map<number, (z: number) => number>()
  return (z, texts) => {
    const bin = components.rise ? binOf(texts) : 0
    if (!byBin.has(bin)) byBin.set(bin, evidenceOf(components, 2 ** bin))
    return byBin.get(bin)!(z)
  }
}

/** What the addon takes: 1 − p(z | untrained) / p(z | trained). */
export const pullOf = (evidence: number): number => -Math.expm1(-evidence)

/** Equally likely scores of untrained tokens, and of trained ones by the part in which they were met first. */
export function drawsOf(components: Components, count: number): { untrained: Float64Array; trained: Float64Array } {
  const { untrained, trained } = components
  const quantile = (i: number, of: number): number => normalQuantile((i + 0.5) / of)
  const each = Math.ceil(count / parts)
  return {
    untrained: Float64Array.from(
      { length: count },
      (_, i) => untrained.mean + untrained.deviation * quantile(i, count),
    ),
    trained: Float64Array.from(
      { length: each * parts },
      (_, i) => scoreOf(Math.floor(i / each), components) + trained.deviation * quantile(i % each, each),
    ),
  }
}

/** The trained tokens' scores, all parts together. */
export function overall(components: Components): Normal {
  const { trained, parts: weights } = components
  const mean = weights.reduce((sum, weight, part) => sum + weight * scoreOf(part, components), 0)
  const variance = weights.reduce((sum, weight, part) => sum + weight * (scoreOf(part, components) - mean) ** 2, 0)
  return { mean, deviation: Math.hypot(trained.deviation, Math.sqrt(variance)) }
}

/** Of the trained tokens, those whose score lies below. */
export function trainedBelow(z: number, components: Components): number {
  const { trained, parts: weights } = components
  const below = (part: number): number => normalBelow((z - scoreOf(part, components)) / trained.deviation)
  return weights.reduce((sum, weight, part) => sum + weight * below(part), 0)
}
