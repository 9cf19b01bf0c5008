import { isDeepStrictEqual } from 'node:util'
import { inputError } from '../errors.js'
import type { Example } from '../readouts/spread.js'
import { list } from '../text/place.js'
import type { Trial, TrialPath } from './trial-record.js'

/** The trials that succeeded, which agree in all that a table or a projector needs. */
export interface TrialSet {
  domains: string[]
  trials: Trial[]
  failed: { index: number; code: string; message: string }[]
  paths: PathExamples[]
}

/** One path's footprints of all trials, in their order. */
export interface PathExamples extends Pick<TrialPath, 'path' | 'lambdas' | 'scope'> {
  examples: Example[]
}

/** Sorts out failures. @throws TRIALS_NONE without a success; TRIALS_DIFFER naming two trials and what differs */
export function trialSet(all: Trial[]): TrialSet {
  const trials = all.filter(({ error }) => !error)
  const failed = all.flatMap(({ index, error }) => (error ? [{ index, ...error }] : []))
  if (trials.length === 0) {
    const [first] = failed
    throw inputError(
      'TRIALS_NONE',
      first
        ? `none of ${all.length} trials succeeded; trial ${first.index}: ${first.message}`
        : 'there is no finished trial',
      { found: all.length },
      'run warp lab run first',
    )
  }
  const [first, ...others] = trials
  for (const other of others) {
    const differs = difference(first, other)
    if (differs) {
      throw inputError(
        'TRIALS_DIFFER',
        `trials ${first.index} and ${other.index} differ in ${differs}`,
        { expected: first.index, found: other.index },
        'trials of one plan belong together; keep others elsewhere',
      )
    }
  }
  const paths = first.paths.map(({ path, lambdas, scope }, p) => ({
    path,
    lambdas,
    scope,
    examples: trials.map((trial) => ({ summary: trial.paths[p], truth: trial.truth })),
  }))
  return { domains: first.domains, trials, failed, paths }
}

function difference(one: Trial, other: Trial): string | null {
  if (!isDeepStrictEqual(one.domains, other.domains))
    return `their domains: ${list(one.domains)}, ${list(other.domains)}`
  const names = ({ paths }: Trial) => paths.map(({ path }) => path)
  if (!isDeepStrictEqual(names(one), names(other))) return `their paths: ${list(names(one))}, ${list(names(other))}`
  for (const [p, path] of one.paths.entries()) {
    if (path.scope !== other.paths[p].scope) return `the scope of path ${path.path}`
    if (!isDeepStrictEqual(path.lambdas, other.paths[p].lambdas)) return `the points of path ${path.path}`
  }
  return null
}

/** @throws TRIALS_FEW */
export function requireTrials(found: number, folds: number): void {
  if (found >= folds) return
  throw inputError(
    'TRIALS_FEW',
    `${folds} folds need at least ${folds} trials, there are ${found}`,
    { expected: folds, found },
    `run more trials, or --folds ${Math.max(2, found)}`,
  )
}

/**
 * Refuses too few trials for settings to be chosen inside every training fold.
 * @throws TRIALS_FEW
 */
export function requireNested(found: number, folds: number, inner: number): void {
  requireTrials(found, folds)
  const left = found - Math.ceil(found / folds)
  if (left >= inner) return
  throw inputError(
    'TRIALS_FEW',
    `${folds} folds of ${found} trials leave ${left} to choose settings on; at least ${inner} are needed`,
    { expected: inner, found: left },
    `run more trials: ${inner + 1} are the least, with --folds ${inner + 1}`,
  )
}
