import { setImmediate as nextTurn } from 'node:timers/promises'
import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import type { Estimator, Handle, Members, TrialsRequest } from '../native/types.js'
import { Random } from '../random.js'
import { line, mean, moments, student, sum } from './moments.js'
import { threadsOf, type TraceRun } from './trace-run.js'

/**
 * What the calibration chooses from for the mixture; strengths in texts of an average domain. The first one also finds
 * the members and their number, which hardly depend on the strength.
 */
export const estimators: Estimator[] = [
  ...[0.15, 0.05, 0.5].map((strength) => ({ strength, inside: true })),
  ...[0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1].map((strength) => ({ strength, inside: false })),
]

/** Nominal coverage of the intervals. */
export const level = 0.9

export interface Calibrated {
  /** the estimator of the mixture */
  estimator: Estimator
  /** D, shares that sum to 1 */
  mixture: Float64Array
  interval: [low: number, high: number][]
  /** number of training texts, and how many of them are in the pool; high is null where nothing bounds it */
  texts: number
  textsInterval: [low: number, high: number | null]
  inside: number
  insideInterval: [low: number, high: number]
  /** mean absolute error of a share over the synthetic training sets */
  expectedError: number
  sets: number
  /** of a set in texts of the training set, on average */
  size: number
  /** the pool could not supply sets as large as the training set: nothing vouches for the estimate */
  short: boolean
  /** nearly every text is possible, yet not a member: nothing vouches for how many are */
  blurred: boolean
}

/** What one estimate comes to: number of texts, share of them inside the pool, mixture. */
interface Figures {
  texts: number
  insideShare: number
  mixture: Float64Array
}

/** log of a quotient of numbers of texts, one of which may be none: half a text stands for that. */
const logRatio = (texts: number, others: number): number => Math.log(Math.max(0.5, texts) / Math.max(0.5, others))

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value))

/**
 * Where nearly the whole vocabulary is used up, the estimators find any number of texts outside the pool: no more than
 * so many for each of its texts are believed.
 */
const mostOutside = 10_000

/** @param pool texts of it, by domain; without it the numbers are true */
function figures(inside: ArrayLike<number>, found: ArrayLike<number>, pool?: Uint32Array): Figures {
  const outside = pool ? Array.from(pool, (texts, d) => Math.min(found[d], mostOutside * texts)) : found
  const texts = sum(inside) + sum(outside)
  return {
    texts,
    insideShare: texts > 0 ? sum(inside) / texts : 0,
    mixture: Float64Array.from(inside, (count, d) => (texts > 0 ? (count + outside[d]) / texts : 1 / inside.length)),
  }
}

/** Shares that are not negative and sum to 1. */
function shares(values: Float64Array): Float64Array {
  const positive = values.map((value) => Math.max(0, value))
  const total = sum(positive)
  return positive.map((value) => (total > 0 ? value / total : 1 / values.length))
}

interface Trials {
  inside: Uint32Array
  outside: Uint32Array
  hidden: Uint32Array
  truth: Figures[]
  /** trials, of the wanted size: that of the set and that of the pool that is left for it */
  scale: Float64Array
}

/** With more of the pool's texts possible, the trained tokens hardly tell a member from another text. */
const mostPossible = 0.95

/** Trials keep at least this share of the pool. */
const leastPool = 0.2

/**
 * Trials with so many texts. The texts outside the pool are taken from it, and so many more that every domain keeps
 * the same share of it; the training set is made smaller by that share too, since what the estimator makes of a set
 * depends on its size against the pool's. `smaller` makes pool and set smaller still.
 */
function plan(sets: Figures[], pool: Uint32Array, smaller = 1): Trials {
  const domains = pool.length,
    size = sets.length * domains
  const inside = new Uint32Array(size),
    outside = new Uint32Array(size),
    hidden = new Uint32Array(size)
  const scale = Float64Array.from(
    sets,
    ({ texts, insideShare, mixture }) =>
      Math.max(
        leastPool,
        1 / (1 + Math.max(...mixture.map((share, d) => (texts * share * (1 - insideShare)) / pool[d]))),
      ) * smaller,
  )
  sets.forEach((set, i) =>
    set.mixture.forEach((share, d) => {
      const at = i * domains + d,
        gone = Math.floor(pool[d] * (1 - scale[i])),
        texts = set.texts * share * scale[i]
      outside[at] = Math.min(Math.round(texts * (1 - set.insideShare)), gone)
      hidden[at] = gone - outside[at]
      inside[at] = Math.min(Math.round(texts * set.insideShare), pool[d] - gone)
    }),
  )
  const truth = sets.map((_, i) =>
    figures(inside.subarray(i * domains, (i + 1) * domains), outside.subarray(i * domains, (i + 1) * domains)),
  )
  return { inside, outside, hidden, truth, scale }
}

/** An estimator that answers a change by less than this much of it says nothing. */
const leastSlope = 0.2

interface SizeCorrection {
  correct: (raw: Figures) => Omit<Figures, 'mixture'>
  /** standard deviation of the corrected share inside the pool, wide where the estimator hardly answers to it */
  unsure: number
}

/**
 * Number of texts and share inside the pool as trials correct them: estimate on truth, turned round, so that nothing
 * is pulled to the trials' mean.
 */
function learnSize(raw: Figures[], truth: Figures[]): SizeCorrection {
  const at = truth.map((figure) => figure.insideShare)
  const inside = line(
    at,
    raw.map((figure) => figure.insideShare),
  )
  const ratio = line(
    at,
    raw.map((figure, i) => logRatio(truth[i].texts, figure.texts)),
  )
  const off = raw.map((figure, i) => figure.insideShare - inside.y - inside.slope * (at[i] - inside.x))
  return {
    correct: ({ texts, insideShare }) => {
      const corrected = clamp(inside.x + (insideShare - inside.y) / Math.max(leastSlope, inside.slope), 0, 1)
      return { texts: texts * Math.exp(ratio.y + ratio.slope * (corrected - ratio.x)), insideShare: corrected }
    },
    unsure: moments(off).deviation / Math.max(leastSlope / 10, inside.slope),
  }
}

/**
 * The mixture as trials correct it: estimate on truth, one slope for all domains, one intercept for each; turned
 * round, it has no pull to the trials' mean.
 */
function learnMixture(raw: Float64Array[], truth: Float64Array[]): (raw: Float64Array) => Float64Array {
  const domains = raw[0].length
  const estimated = Array.from({ length: domains }, (_, d) => mean(raw.map((mixture) => mixture[d])))
  const actual = Array.from({ length: domains }, (_, d) => mean(truth.map((mixture) => mixture[d])))
  let shared = 0,
    spread = 0
  truth.forEach((mixture, i) =>
    mixture.forEach((share, d) => {
      shared += (share - actual[d]) * (raw[i][d] - estimated[d])
      spread += (share - actual[d]) ** 2
    }),
  )
  const slope = spread > 1e-12 ? Math.max(leastSlope, shared / spread) : 1
  return (mixture) => shares(mixture.map((share, d) => actual[d] + (share - estimated[d]) / slope))
}

/** The estimator that errs least over some trials, and its corrected mixture. */
interface MixtureEstimate {
  /** number of the estimator */
  best: number
  mixture: Float64Array
  /** trials × D, what a correction learned from the other trials leaves */
  errors: Float64Array[]
}

async function chooseMixture(
  raw: Figures[],
  tried: Figures[][],
  { truth }: Trials,
  signal: AbortSignal | undefined,
): Promise<MixtureEstimate> {
  const drawn = truth.map(({ mixture }) => mixture)
  const mixtures = raw.map((_, e) => tried.map((trial) => trial[e].mixture))
  const errors: Float64Array[][] = []
  for (const found of mixtures) {
    const own: Float64Array[] = []
    for (const [i, mixture] of found.entries()) {
      const others = (list: Float64Array[]) => list.filter((_, j) => j !== i)
      own.push(learnMixture(others(found), others(drawn))(mixture).map((share, d) => share - drawn[i][d]))
      await nextTurn() // many domains take their time
      signal?.throwIfAborted()
    }
    errors.push(own)
  }
  const squares = errors.map((trials) => mean(trials.map((error) => sum(error.map((value) => value * value)))))
  const best = squares.indexOf(Math.min(...squares))
  return { best, mixture: learnMixture(mixtures[best], drawn)(raw[best].mixture), errors: errors[best] }
}

/**
 * Half the width of the interval that a new error falls into.
 * @param uncertainty variance of the error's expectation, in that of one error
 */
const halfWidth = (deviation: number, trials: number, uncertainty: number): number =>
  deviation * Math.sqrt(1 + uncertainty) * student(Math.max(1, trials - 1))

/**
 * The error to expect at the pool's full size, from trials with less of it: what a vocabulary gives the estimator goes
 * with a power of the size. For the mean that is its root (Heaps' law), by least squares; for the deviation it is
 * found. A deviation that grows towards smaller sizes is taken as it is.
 * @param far errors of trials that are smaller than those of `near` by as much as these are than the full size, or half
 */
function extrapolate(near: Errors, far: Errors): { bias: number; half: number } {
  const errors = [...near.errors, ...far.errors],
    at = [...near.scale, ...far.scale].map(Math.sqrt)
  const { x, y, slope, spread } = line(at, errors)
  const [close, distant] = [near, far].map((trials) => moments(trials.errors).deviation)
  const [closeAt, distantAt] = [near, far].map((trials) => mean(trials.scale.map(Math.log)))
  const power = close > distant && distant > 0 ? Math.min(1, Math.log(close / distant) / (closeAt - distantAt)) : 0
  const uncertainty = 1 / errors.length + (spread > 0 ? (1 - x) ** 2 / spread : 0)
  return {
    bias: y + slope * (1 - x),
    half: halfWidth(close * Math.exp(-power * closeAt), near.errors.length, uncertainty),
  }
}

/** Errors of trials, and the share of the wanted size that each has. */
interface Errors {
  errors: number[]
  scale: Float64Array
}

/** Estimates as native code gives them, from the `at`th on: one for each estimator of a list. */
function estimatesFrom(flat: Float64Array, at: number, count: number, sizes: Uint32Array): Figures[] {
  const domains = sizes.length
  return Array.from({ length: count }, (_, e) => {
    const start = (at + e) * 2 * domains
    const [inside, outside] = [start, start + domains].map((from) => flat.subarray(from, from + domains))
    return figures(inside, outside, sizes)
  })
}

/** trials × estimators */
async function tryTrials(
  input: CalibrationInput,
  trials: Trials,
  tried: Estimator[],
  seed: number,
  options: TraceRun,
): Promise<Figures[][]> {
  const { pool, known } = input,
    { inside, outside, hidden } = trials
  const request = { ...known, estimators: tried, inside, outside, hidden, seed, threads: threadsOf(options) }
  const flat = await runTask(
    (onProgress) => addon().tryMembers(pool, request, onProgress),
    'calibration',
    'estimates',
    options,
  )
  return trials.truth.map((_, i) => estimatesFrom(flat, i * tried.length, tried.length, input.sizes))
}

export interface CalibrationInput {
  pool: Handle
  /** of each token: untrained, trained or undecided; or scores */
  known: Pick<TrialsRequest, 'state' | 'pull' | 'untrained' | 'trained' | 'parts'>
  /** D, texts of the pool */
  sizes: Uint32Array
  /** texts of the pool without an untrained token: no more of them can be training texts */
  possible: number
  /**
   * synthetic training sets: a third to find number and place of the texts, the rest for the mixture and the intervals
   */
  sets: number
  seed: number
  /** what `estimators` make of the pool */
  members: Members
}

/**
 * Tries the estimators on training sets drawn from the pool itself, and corrects the estimate by what they show: first
 * sets of many sizes and places for the number of texts and their share inside the pool, then sets of that number and
 * place about the mixture, by which the best estimator is chosen, corrected, and given its intervals. No model is
 * trained: which tokens are trained follows from the texts.
 */
export async function calibrate(input: CalibrationInput, options: TraceRun = {}): Promise<Calibrated> {
  const { sizes, seed } = input
  const domains = sizes.length
  const first = Math.max(8, Math.round(input.sets / 3)),
    second = Math.max(12, input.sets - first)
  const random = new Random(seed, 'trace/calibration')
  const about = (mixture: Float64Array, sure: number) =>
    random.dirichlet(mixture.map((share) => 0.5 + sure * domains * share))

  const raw = estimatesFrom(input.members.estimates, 0, estimators.length, sizes),
    [start] = raw
  const wide = plan(
    Array.from({ length: first }, () => ({
      texts: start.texts * (0.8 + 0.8 * random.uniform()),
      insideShare: clamp(start.insideShare + 0.7 * (random.uniform() - 0.5), 0, 1),
      mixture: about(start.mixture, 1.5),
    })),
    sizes,
  )
  const roughly = await tryTrials(input, wide, estimators, seed * 2, options)
  const rough = learnSize(
    roughly.map(([first]) => first),
    wide.truth,
  )
  const middle = { ...rough.correct(start), mixture: (await chooseMixture(raw, roughly, wide, options.signal)).mixture }

  const close = Array.from({ length: second }, () => ({
    texts: middle.texts * Math.exp(0.05 * random.normal()),
    insideShare: clamp(middle.insideShare + rough.unsure * random.normal(), 0, 1),
    mixture: about(middle.mixture, 5),
  }))
  const near = plan(close, sizes),
    far = plan(close.slice(0, second >> 1), sizes, Math.max(0.5, mean(near.scale)))
  const tried = await tryTrials(input, near, estimators, seed * 2 + 1, options)
  const farther = await tryTrials(input, far, [estimators[0]], seed * 2 + 1, options)

  const { best, mixture, errors } = await chooseMixture(raw, tried, near, options.signal)
  const spread = Array.from(mixture, (_, d) => moments(errors.map((error) => error[d])).deviation)
  const errorsOf = (
    trials: Trials,
    results: Figures[][],
    error: (found: Figures, truth: Figures) => number,
  ): Errors => ({
    errors: results.map(([found], i) => error({ ...found, ...rough.correct(found) }, trials.truth[i])),
    scale: trials.scale,
  })
  const atFull = (error: (found: Figures, truth: Figures) => number) =>
    extrapolate(errorsOf(near, tried, error), errorsOf(far, farther, error))
  const number = atFull((found, truth) => logRatio(found.texts, truth.texts))
  const held = atFull(
    (found, truth) => (found.insideShare * found.texts - truth.insideShare * truth.texts) / Math.max(0.5, truth.texts),
  )
  const texts = middle.texts * Math.exp(-number.bias)
  const inside = clamp(middle.insideShare * middle.texts - held.bias * texts, 0, Math.min(texts, input.possible))
  const shareHalf = spread.map((deviation) => halfWidth(deviation, second, 0)),
    insideHalf = held.half * texts
  const size = mean(near.truth.map((truth) => truth.texts)) / Math.max(0.5, middle.texts),
    short = size < 0.8 * mean(near.scale)
  const blurred = input.possible > mostPossible * sum(sizes) && inside < mostPossible * input.possible
  return {
    estimator: estimators[best],
    mixture,
    texts,
    inside,
    sets: first + second,
    size,
    short,
    blurred,
    interval: shareHalf.map((half, d) =>
      short ? [0, 1] : [Math.max(0, mixture[d] - half), Math.min(1, mixture[d] + half)],
    ),
    textsInterval: [texts * Math.exp(-number.half), short ? null : texts * Math.exp(number.half)],
    insideInterval:
      short || blurred
        ? [0, input.possible]
        : [Math.max(0, Math.floor(inside - insideHalf)), Math.min(input.possible, Math.ceil(inside + insideHalf))],
    expectedError: mean(spread) * Math.sqrt(2 / Math.PI),
  }
}
