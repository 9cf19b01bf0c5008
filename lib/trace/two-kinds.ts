// Texts of a language model's training told from others by what it predicts of them.
import type { Turns } from '../turns.js'
import { line, mean } from './moments.js'
import { normalBelow } from './noise.js'

/** Classes of tokens by their probability under the base, each with its own variance: whole nats, all beyond in one. */
const classes = 16
const classOf = (base: number): number => Math.min(classes - 1, Math.floor(-base))

/**
 * By text, the sum of what its tokens gained above the expected, in standard deviations of such a sum of independent
 * tokens: the variance of each is that of the tokens about as probable.
 * @param values tokens: the gains above the expected
 * @param base tokens: log p₀
 */
export async function standardised(
  offsets: Uint32Array,
  values: Float64Array,
  base: Float64Array,
  turns: Turns,
): Promise<Float64Array> {
  const squares = new Float64Array(classes),
    counts = new Float64Array(classes)
  const texts = offsets.length - 1
  for (let text = 0; text < texts; text++) {
    if (turns.due) await turns.take()
    for (let at = offsets[text]; at < offsets[text + 1]; at++) {
      squares[classOf(base[at])] += values[at] ** 2
      counts[classOf(base[at])]++
    }
  }
  const whole = squares.reduce((a, b) => a + b, 0) / Math.max(1, values.length)
  // each class counts one token of the mean variance more
  const variance = squares.map((square, i) => (square + whole) / (counts[i] + 1))
  const result = new Float64Array(texts)
  for (let text = 0; text < texts; text++) {
    if (turns.due) await turns.take()
    let sum = 0,
      spread = 0
    for (let at = offsets[text]; at < offsets[text + 1]; at++) {
      sum += values[at]
      spread += variance[classOf(base[at])]
    }
    result[text] = spread > 0 ? sum / Math.sqrt(spread) : 0
  }
  return result
}

/** Texts of two kinds, told apart by their standardised sums. */
export interface TwoKinds {
  /** texts: log p(sum | member) − log p(sum | other), bounded; 0 of texts without tokens */
  evidence: Float64Array
  /** texts: of being a member, by what was known before and the evidence */
  probability: Float64Array
  /** expected sum of a text of mean length, of both kinds, and the deviation that both have */
  others: number
  members: number
  deviation: number
  /** where nothing was known before */
  alone: Alone | null
  converged: boolean
}

export interface Alone {
  /** of members among the texts */
  share: number
  /**
   * 2 (log likelihood of two kinds − that of one), and what it must exceed: 4 log texts, twice Schwarz's criterion, as
   * sums of real texts are not quite normal
   */
  gain: number
  needed: number
  /** others that are more likely members than not, by these figures */
  falsePositiveRate: number
}

/** Shares of the texts, those of the largest sums, that are taken for members at first. */
const starts = [0.05, 0.2, 0.4]
const mostRounds = 300
/** Gain in log likelihood of a round that is not worth another one. */
const littleGain = 1e-3
/** No text's sum says more than this, in nats. */
const mostEvidence = 8
/** Least share of either kind, and variance: neither vanishes. */
const least = 1e-6

/**
 * Two normal distributions of one deviation whose means go with the root of a text's length, as a sum of independent
 * tokens does: z ~ N(a √n, σ²), with one a for members and a lower one for others, by expectation and maximisation.
 * Where nothing was known before, the share of members is found with them; two kinds are to be believed then if they
 * explain the texts clearly better than one does (a line in √n): `alone.gain` above `alone.needed`.
 * @param z texts: standardised sums
 * @param tokens texts: how many tokens each sum has
 * @param odds texts: log odds of being a member, −∞ and ∞ where it is certain; undefined: nothing is known
 */
export async function tellKinds(
  z: Float64Array,
  tokens: Uint32Array,
  odds: Float64Array | undefined,
  turns: Turns,
): Promise<TwoKinds> {
  const used = Array.from(z.keys()).filter((text) => tokens[text] > 0)
  const middle = used.reduce((sum, text) => sum + tokens[text], 0) / Math.max(1, used.length)
  const texts: Texts = {
    y: Float64Array.from(used, (text) => z[text]),
    root: Float64Array.from(used, (text) => Math.sqrt(tokens[text] / middle)),
    odds: odds && Float64Array.from(used, (text) => odds[text]),
  }
  const fit = odds ? await climb(texts, texts.odds!.map(logistic), turns) : await climbAlone(texts, turns)
  const evidence = new Float64Array(z.length)
  used.forEach((text, i) => (evidence[text] = bounded(ratioOf(texts, fit, i))))
  const known = odds ?? new Float64Array(z.length).fill(Math.log(fit.share) - Math.log1p(-fit.share))
  return {
    evidence,
    probability: known.map((value, text) => logistic(value + evidence[text])),
    ...{ others: fit.low, members: fit.high, deviation: Math.sqrt(fit.variance) },
    alone: odds ? null : aloneOf(texts, fit),
    converged: fit.converged,
  }
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x))

interface Texts {
  y: Float64Array
  /** √(tokens / their mean) */
  root: Float64Array
  odds: Float64Array | undefined
}

interface Fit {
  share: number
  low: number
  high: number
  variance: number
  /** −log √(2π) of each text left out */
  likelihood: number
  converged: boolean
}

const bounded = (told: number): number => Math.min(mostEvidence, Math.max(-mostEvidence, told))

/** Members' sums are the higher ones, or nothing is told. */
function ratioOf(texts: Texts, fit: Pick<Fit, 'low' | 'high' | 'variance'>, i: number): number {
  const root = texts.root[i],
    gap = Math.max(0, fit.high - fit.low) * root
  return (gap * (texts.y[i] - ((fit.low + fit.high) * root) / 2)) / fit.variance
}

async function climbAlone(texts: Texts, turns: Turns): Promise<Fit> {
  const sorted = texts.y.slice().sort()
  let best: Fit | undefined
  for (const start of starts) {
    const limit = sorted[Math.floor((1 - start) * sorted.length)] ?? 0
    const found = await climb(
      texts,
      texts.y.map((value) => Number(value > limit)),
      turns,
    )
    if (!best || found.likelihood > best.likelihood) best = found
  }
  return best!
}

async function climb(texts: Texts, start: Float64Array, turns: Turns): Promise<Fit> {
  const { y, root, odds } = texts
  let chance = start,
    likelihood = -Infinity
  for (let round = 0; ; round++) {
    if (turns.due) await turns.take()
    const fit = maximise(texts, chance)
    const next = new Float64Array(y.length)
    let now = 0,
      change = 0
    for (let i = 0; i < y.length; i++) {
      const before = odds ? odds[i] : Math.log(fit.share) - Math.log1p(-fit.share)
      const told = ratioOf(texts, fit, i)
      next[i] = logistic(before + bounded(told))
      change = Math.max(change, Math.abs(next[i] - chance[i]))
      // log (p e^told + 1 − p) and the density of the others' kind
      now +=
        Math.max(0, told) +
        Math.log(logistic(before) * Math.exp(Math.min(0, told)) + logistic(-before) * Math.exp(-Math.max(0, told)))
      now -= (y[i] - fit.low * root[i]) ** 2 / (2 * fit.variance) + Math.log(fit.variance) / 2
    }
    chance = next
    const converged = change < 1e-5 || Math.abs(now - likelihood) < littleGain
    likelihood = now
    if (converged || round === mostRounds) return { ...fit, likelihood, converged }
  }
}

function maximise({ y, root }: Texts, chance: Float64Array): Pick<Fit, 'share' | 'low' | 'high' | 'variance'> {
  const slopeOf = (weight: (p: number) => number): number => {
    let along = 0,
      square = least
    chance.forEach((p, i) => {
      along += weight(p) * y[i] * root[i]
      square += weight(p) * root[i] ** 2
    })
    return along / square
  }
  const low = slopeOf((p) => 1 - p),
    high = slopeOf((p) => p)
  let total = 0,
    squares = 0
  chance.forEach((p, i) => {
    total += p
    squares += p * (y[i] - high * root[i]) ** 2 + (1 - p) * (y[i] - low * root[i]) ** 2
  })
  const n = Math.max(1, y.length)
  return {
    share: Math.min(1 - least, Math.max(least, total / n)),
    ...{ low, high },
    variance: Math.max(least, squares / n),
  }
}

function aloneOf(texts: Texts, { share, low, high, variance, likelihood }: Fit): Alone {
  const { root } = texts
  let wrong = 0
  for (const size of root) {
    // called where the evidence exceeds the odds: y − low √n > gap / 2 + σ² log((1 − share) / share) / gap
    const gap = (high - low) * size
    if (gap <= 0) continue
    const limit = gap / 2 + (variance * Math.log((1 - share) / share)) / gap
    wrong += 1 - normalBelow(limit / Math.sqrt(variance))
  }
  return {
    share,
    gain: 2 * (likelihood - oneKind(texts)),
    needed: 4 * Math.log(Math.max(2, root.length)),
    falsePositiveRate: wrong / Math.max(1, root.length),
  }
}

/** Log likelihood of a line in √n with one variance, −log √(2π) of each text left out. */
function oneKind({ y, root }: Texts): number {
  const { x, y: level, slope } = line(Array.from(root), Array.from(y))
  const variance = mean(y.map((value, i) => (value - level - slope * (root[i] - x)) ** 2))
  return (-y.length / 2) * (Math.log(Math.max(least, variance)) + 1)
}
