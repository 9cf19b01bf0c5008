import { Random } from '../random.js'
import type { Example } from '../readouts/spread.js'
import type { Candidate, Fitted, Learner } from './learners.js'

/** Folds within the training trials that a setting is chosen by. */
export const SELECTION_FOLDS = 3

export interface CrossValidation {
  folds: number
  seed: number
  signal?: AbortSignal
  /** after each model fitted */
  onFit?: () => void
}

/** Folds unless asked otherwise. */
const usualFolds = 10

/** As many as are asked for; else ten, or with fewer trials one for each: leave-one-out. */
export const foldsFor = (trials: number, asked?: number): number => asked ?? Math.max(2, Math.min(usualFolds, trials))

/** `10-fold cross-validation`, `leave-one-out cross-validation`. */
export const foldsText = (folds: number, trials: number): string =>
  `${folds === trials ? 'leave-one-out' : `${folds}-fold`} cross-validation`

/** Models that a cross-validation fits. */
export function fitsOf({ candidates }: Learner, folds: number): number {
  return folds * selectionFits(candidates.length)
}

/** Models that choosing a setting, and then fitting it, fits. */
export function selectionFits(candidates: number): number {
  return candidates * SELECTION_FOLDS + 1
}

/** Mean absolute error over the domains. */
export function absoluteError(estimate: ArrayLike<number>, truth: ArrayLike<number>): number {
  let sum = 0
  for (let d = 0; d < truth.length; d++) sum += Math.abs(estimate[d] - truth[d])
  return sum / truth.length
}

/** n, the fold of each trial: shuffled, sizes equal or one apart. */
export function foldsOf(n: number, folds: number, seed: number, name = 'lab/folds'): Int32Array {
  const fold = new Int32Array(n)
  new Random(seed, name).permutation(n).forEach((trial, i) => {
    fold[trial] = Math.floor((i * folds) / n)
  })
  return fold
}

/**
 * For every trial of fold f, the shares by a model that was fitted, its setting included, on the other folds alone.
 * @returns by number of the trial; holes elsewhere
 */
export async function predictFold(
  learner: Learner,
  examples: Example[],
  options: CrossValidation,
  f: number,
): Promise<number[][]> {
  const fold = foldsOf(examples.length, options.folds, options.seed)
  const { predict } = await selectAndFit(
    learner,
    examples.filter((_, i) => fold[i] !== f),
    options,
  )
  const shares: number[][] = []
  examples.forEach(({ summary }, i) => {
    if (fold[i] === f) shares[i] = [...predict(summary)]
  })
  return shares
}

export interface Selected extends Fitted {
  chosen: Candidate['setting']
  /** mean absolute error of the chosen setting on the trials left out */
  error: number
}

/** Chooses the setting that errs least on folds of these examples, and fits it on all of them. */
export async function selectAndFit(
  learner: Learner,
  examples: Example[],
  { seed, signal, onFit }: Omit<CrossValidation, 'folds'>,
): Promise<Selected> {
  const fold = foldsOf(examples.length, SELECTION_FOLDS, seed, 'lab/selection')
  let best: { candidate: Candidate; error: number } | null = null
  for (const candidate of learner.candidates) {
    let error = 0
    for (let f = 0; f < SELECTION_FOLDS; f++) {
      const { predict } = await candidate.fit(examples.filter((_, i) => fold[i] !== f))
      for (const { summary, truth } of examples.filter((_, i) => fold[i] === f)) {
        error += absoluteError(predict(summary), truth) / examples.length
      }
      onFit?.()
      signal?.throwIfAborted()
    }
    if (!best || error < best.error) best = { candidate, error }
  }
  const fitted = await best!.candidate.fit(examples)
  onFit?.()
  return { ...fitted, chosen: best!.candidate.setting, error: best!.error }
}
