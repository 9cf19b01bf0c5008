import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { Estimator, Handle } from '../native/types.js'
import { Random } from '../random.js'

/** What the calibration chooses from for the mixture. Strengths are in texts. */
const estimators: Estimator[] = [
  ...[100, 300, 1000].map((strength) => ({ strength, inside: true })),
  ...[30, 60, 120, 250, 500, 1000, 2000].map((strength) => ({ strength, inside: false })),
]
/** Which of the pool's texts are members, and how many, hardly depends on the strength. */
const forMembers = 1
export const memberEstimator = estimators[forMembers]

/** Nominal coverage of the intervals. */
export const level = 0.9

/** Texts by domain, as the estimator gives them. */
export interface RawEstimate {
  inside: Float64Array
  outside: Float64Array
}

export interface Calibrated {
  /** the estimator of the mixture */
  estimator: Estimator
  /** D, shares that sum to 1 */
  mixture: Float64Array
  interval: [low: number, high: number][]
  /** number of training texts, and how many of them are in the pool */
  texts: number
  textsInterval: [low: number, high: number]
  inside: number
  insideInterval: [low: number, high: number]
  /** mean absolute error of a share over the synthetic training sets */
  expectedError: number
  sets: number
  /** the pool could not supply sets as large as the training set */
  short: boolean
}

/** What one estimate comes to: number of texts, share of them inside the pool, mixture. */
interface Figures {
  texts: number
  insideShare: number
  mixture: Float64Array
}

const sum = (values: ArrayLike<number>) => {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]
  return total
}
const mean = (values: number[]) => sum(values) / values.length
const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value))

function figures(inside: ArrayLike<number>, outside: ArrayLike<number>): Figures {
  const texts = sum(inside) + sum(outside)
  return {
    texts, insideShare: texts > 0 ? sum(inside) / texts : 0,
    mixture: Float64Array.from(inside, (count, d) => (texts > 0 ? (count + outside[d]) / texts : 1 / inside.length)),
  }
}

/** Shares that are not negative and sum to 1. */
function shares(values: Float64Array): Float64Array {
  const positive = values.map((value) => Math.max(0, value))
  const total = sum(positive)
  return positive.map((value) => (total > 0 ? value / total : 1 / values.length))
}

/** Least squares y ≈ b₀ + b₁x; the slope is 0 where x does not vary. */
function line(x: number[], y: number[]): (at: number) => number {
  const middle = mean(x), level = mean(y)
  const spread = sum(x.map((value) => (value - middle) ** 2))
  const slope = spread > 1e-12 ? sum(x.map((value, i) => (value - middle) * (y[i] - level))) / spread : 0
  return (at) => level + slope * (clamp(at, Math.min(...x), Math.max(...x)) - middle)
}

interface Trials {
  inside: Uint32Array
  outside: Uint32Array
  hidden: Uint32Array
  truth: Figures[]
  /** of the wanted size, that of the sets and that of the pool that is left for them */
  scale: number
}

/**
 * Trials with so many texts. The texts outside the pool are taken from it, and so many more that every trial and every
 * domain keep the same share of the pool; the training set is made smaller by that share too, since what the
 * estimator makes of a set depends on its size, and on its strength, against the pool's. At most half of the pool is
 * taken. Smaller sets err more: the intervals are rather too wide than too narrow for it.
 */
function plan(sets: { texts: number; insideShare: number; mixture: Float64Array }[], pool: Uint32Array): Trials {
  const domains = pool.length, size = sets.length * domains
  const inside = new Uint32Array(size), outside = new Uint32Array(size), hidden = new Uint32Array(size)
  const needed = Math.max(...sets.map((set) => Math.max(...set.mixture.map((share, d) => (set.texts * share * (1 - set.insideShare)) / pool[d]))))
  const scale = Math.max(0.5, 1 / (1 + needed))
  sets.forEach((set, i) => set.mixture.forEach((share, d) => {
    const at = i * domains + d, gone = Math.floor(pool[d] * (1 - scale)), texts = set.texts * share * scale
    outside[at] = Math.min(Math.round(texts * (1 - set.insideShare)), gone)
    hidden[at] = gone - outside[at]
    inside[at] = Math.min(Math.round(texts * set.insideShare), pool[d] - gone)
  }))
  const truth = sets.map((_, i) => figures(inside.subarray(i * domains, (i + 1) * domains), outside.subarray(i * domains, (i + 1) * domains)))
  return { inside, outside, hidden, truth, scale }
}

/** A correction learned from trials: number of texts, share inside, shares of the domains. */
interface Correction {
  apply(raw: Figures): Figures
  /** root mean square error of a share over the trials it was learned from */
  error: number
}

/** An estimator that answers a change of the mixture by less than this says nothing. */
const leastSlope = 0.2

function learn(raw: Figures[], truth: Figures[]): Correction {
  const domains = raw[0].mixture.length
  const ratio = line(raw.map((figure) => figure.insideShare), raw.map((figure, i) => Math.log(truth[i].texts / Math.max(figure.texts, 1e-9))))
  const inside = line(raw.map((figure) => figure.insideShare), truth.map((figure) => figure.insideShare))
  // estimate on truth, one slope for all domains, one intercept for each: turned round, it has no pull to the trials' mean
  const estimated = Array.from({ length: domains }, (_, d) => mean(raw.map((figure) => figure.mixture[d])))
  const actual = Array.from({ length: domains }, (_, d) => mean(truth.map((figure) => figure.mixture[d])))
  let shared = 0, spread = 0
  truth.forEach((figure, i) => {
    for (let d = 0; d < domains; d++) {
      const x = figure.mixture[d] - actual[d]
      shared += x * (raw[i].mixture[d] - estimated[d])
      spread += x * x
    }
  })
  const slope = spread > 1e-12 ? Math.max(leastSlope, shared / spread) : 1
  const apply = (figure: Figures): Figures => ({
    texts: figure.texts * Math.exp(ratio(figure.insideShare)),
    insideShare: clamp(inside(figure.insideShare), 0, 1),
    mixture: shares(figure.mixture.map((share, d) => actual[d] + (share - estimated[d]) / slope)),
  })
  const squares = raw.map((figure, i) => mean(Array.from(apply(figure).mixture, (share, d) => (share - truth[i].mixture[d]) ** 2)))
  return { apply, error: Math.sqrt(mean(squares)) }
}

/** Quantile of Student's t that 1 − (1 − level)/2 of it lie below (Cornish and Fisher's expansion about the normal's). */
function student(freedom: number): number {
  const z = 1.6448536
  const g1 = (z ** 3 + z) / 4, g2 = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96
  return z + g1 / freedom + g2 / freedom ** 2
}

/** Mean of the errors and half the width of the interval that a new error falls into. */
function spread(errors: number[]): { bias: number; half: number; deviation: number } {
  const bias = mean(errors)
  const deviation = Math.sqrt(sum(errors.map((error) => (error - bias) ** 2)) / Math.max(1, errors.length - 1))
  return { bias, deviation, half: deviation * Math.sqrt(1 + 1 / errors.length) * student(Math.max(1, errors.length - 1)) }
}

async function tryTrials(pool: Handle, state: Uint8Array, trials: Trials, estimators: Estimator[], seed: number, options: RunOptions): Promise<Figures[][]> {
  const domains = trials.inside.length / trials.truth.length
  const { inside, outside, hidden, scale } = trials
  const scaled = estimators.map((estimator) => ({ ...estimator, strength: estimator.strength * scale }))
  const flat = await runTask((onProgress) => addon().tryMembers(pool, { state, estimators: scaled, inside, outside, hidden, seed }, onProgress),
    'calibration', 'estimates', options)
  return estimators.map((_, s) => trials.truth.map((_, i) => {
    const at = (i * estimators.length + s) * 2 * domains
    return figures(flat.subarray(at, at + domains), flat.subarray(at + domains, at + 2 * domains))
  }))
}

export interface CalibrationInput {
  pool: Handle
  /** tokens: untrained, trained or undecided */
  state: Uint8Array
  /** D, texts of the pool */
  sizes: Uint32Array
  /** texts of the pool without an untrained token: no more of them can be training texts */
  possible: number
  /** synthetic training sets: a third to find number and place of the texts, the rest for the mixture and the intervals */
  sets: number
  seed: number
  estimate: (estimator: Estimator) => Promise<RawEstimate>
}

/**
 * Tries the estimators on training sets drawn from the pool itself, and corrects the estimate by what they show: first
 * sets of many sizes and places for the number of texts and their share inside the pool, then sets of that number and
 * place about the mixture, by which the best estimator is chosen, corrected, and given its intervals. No model is
 * trained: which tokens are trained follows from the texts.
 */
export async function calibrate(input: CalibrationInput, options: RunOptions = {}): Promise<Calibrated> {
  const { pool, state, sizes, seed } = input
  const domains = sizes.length
  const first = Math.max(8, Math.round(input.sets / 3)), second = Math.max(12, input.sets - first)
  const random = new Random(seed, 'trace/calibration')
  const raw = async (estimator: Estimator) => {
    const { inside, outside } = await input.estimate(estimator)
    return figures(inside, outside)
  }
  const about = (mixture: Float64Array, sure: number) => random.dirichlet(mixture.map((share) => 0.5 + sure * domains * share))

  const start = await raw(estimators[forMembers])
  const wide = plan(Array.from({ length: first }, () => ({
    texts: start.texts * (0.8 + 0.8 * random.uniform()),
    insideShare: clamp(start.insideShare + 0.7 * (random.uniform() - 0.5), 0, 1),
    mixture: about(start.mixture, 1.5),
  })), sizes)
  const [roughly] = await tryTrials(pool, state, wide, [estimators[forMembers]], seed * 2, options)
  const rough = learn(roughly, wide.truth)
  const middle = rough.apply(start)

  const near = plan(Array.from({ length: second }, () => ({
    texts: middle.texts * Math.exp(0.05 * random.normal()), insideShare: middle.insideShare, mixture: about(middle.mixture, 5),
  })), sizes)
  const tried = await tryTrials(pool, state, near, estimators, seed * 2 + 1, options)
  const corrections = tried.map((figures) => learn(figures, near.truth))
  const best = corrections.reduce((least, { error }, e) => (error < corrections[least].error ? e : least), 0)
  const { mixture } = corrections[best].apply(await raw(estimators[best]))
  const error = Array.from({ length: domains }, (_, d) =>
    spread(tried[best].map((figure, i) => corrections[best].apply(figure).mixture[d] - near.truth[i].mixture[d])))

  const counted = tried[forMembers].map((figure) => rough.apply(figure))
  const size = spread(counted.map((figure, i) => Math.log(figure.texts / near.truth[i].texts)))
  const held = spread(counted.map((figure, i) => {
    const truth = near.truth[i]
    return (figure.insideShare * figure.texts - truth.insideShare * truth.texts) / truth.texts
  }))
  const texts = middle.texts * Math.exp(-size.bias)
  const inside = clamp(middle.insideShare * middle.texts - held.bias * texts, 0, Math.min(texts, input.possible))
  return {
    estimator: estimators[best], mixture, texts, inside, sets: first + second,
    short: mean(near.truth.map((truth) => truth.texts)) < 0.8 * near.scale * middle.texts,
    interval: error.map(({ half }, d) => [Math.max(0, mixture[d] - half), Math.min(1, mixture[d] + half)]),
    textsInterval: [texts * Math.exp(-size.half), texts * Math.exp(size.half)],
    insideInterval: [Math.max(0, inside - held.half * texts), Math.min(input.possible, inside + held.half * texts)],
    expectedError: mean(error.map(({ deviation }) => deviation * Math.sqrt(2 / Math.PI))),
  }
}
