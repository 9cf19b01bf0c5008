import { z } from 'zod'
import type { RunOptions } from '../native/task.js'
import { absoluteError, fitsOf, foldsFor, foldsOf, SELECTION_FOLDS } from './crossval.js'
import { crossValidate } from './fold-pool.js'
import { methodErrorOf } from '../readouts/index.js'
import { widened, type Interval } from '../readouts/intervals.js'
import { learnersFor } from './learners.js'
import { fixedThreshold, membersAt, thresholds } from './membership.js'
import { sampleMixtures, type Sampler } from './mixtures.js'
import type { Trial } from './trial-record.js'
import { requireNested, trialSet, type TrialSet } from './trial-set.js'

const row = z.object({
  readout: z.string(),
  /** null where the readout looks at the two ends alone */
  path: z.string().nullable(),
  /** mean over the trials of mean_d |π̂_d − π_d|, and standard deviation */
  mae: z.number(),
  maeSd: z.number(),
  mse: z.number(),
  mseSd: z.number(),
  /** that the readout applied to */
  trials: z.int(),
  /** share of the true shares that lie in their 90 % intervals; null where trials have none */
  coverage: z.number().nullable().optional(),
  /** whether it chose a setting by looking at the answers */
  oracle: z.boolean(),
})

/** What `warp lab report --json` prints. */
export const labReportSchema = z.object({
  schema: z.literal('warp.lab/1'),
  domains: z.array(z.string()),
  trials: z.array(z.object({ index: z.int(), fold: z.int(), counts: z.array(z.int()), truth: z.array(z.number()) })),
  failed: z.array(z.object({ index: z.int(), code: z.string(), message: z.string() })),
  folds: z.int(),
  seed: z.int(),
  table: z.array(row),
  notes: z.array(z.string()),
})

export type LabReport = z.infer<typeof labReportSchema>
export type LabRow = z.infer<typeof row>

/** One row of the table with the shares behind it, null where the readout did not apply to a trial. */
export interface Estimates {
  readout: string
  path: string | null
  oracle: boolean
  shares: (ArrayLike<number> | null)[]
  /** of sampling alone, by trial and domain */
  sampling?: (Interval[] | undefined)[]
  /** of the models; 0: language models */
  classes?: number
}

/** The report, and what does not go into it: shares by row and trial. */
export interface Reported {
  report: LabReport
  estimates: Estimates[]
}

export interface ReportOptions extends RunOptions {
  /** of the cross-validation; default 10, with fewer trials leave-one-out */
  folds?: number
  /** default 42 */
  seed?: number
  /** of the trials' mixtures, for the row `random`; default `paper` */
  sampler?: Sampler
  /** the network also sees the standard deviations of the domains' scores; default false */
  deviations?: boolean
}

/** Readouts that look at the base and the reference alone, the same whatever the path. */
const pathless = ['uniform', 'membership', 'mean-probability', 'stationary', 'prior-shift']

/**
 * Every readout's error on the same trials, as the paper's Table 1: baselines, the readouts without parameters, and
 * the trained ones by cross-validation with their settings chosen inside the training folds.
 * @throws TRIALS_NONE, TRIALS_DIFFER, TRIALS_FEW, the signal's reason
 */
export async function reportTable(all: Trial[], options: ReportOptions = {}): Promise<Reported> {
  const { seed = 42, sampler = 'paper' } = options
  const set = trialSet(all)
  const folds = foldsFor(set.trials.length, options.folds)
  requireNested(set.trials.length, folds, SELECTION_FOLDS)
  const members = membershipRows(set)
  const estimates = [
    ...parameterFree(set).filter(({ readout }) => readout === 'uniform'),
    randomRow(set, sampler, seed),
    ...members.estimates,
    ...parameterFree(set).filter(({ readout }) => readout !== 'uniform'),
    ...(await trainedRows(set, { ...options, folds, seed })),
  ]
  const fold = foldsOf(set.trials.length, folds, seed)
  const report: LabReport = {
    schema: 'warp.lab/1',
    domains: set.domains,
    trials: set.trials.map(({ index, counts, truth }, i) => ({ index, fold: fold[i], counts, truth })),
    failed: set.failed,
    folds,
    seed,
    table: estimates.map((estimate) => rowOf(estimate, set)),
    notes: members.notes,
  }
  return { report, estimates }
}

/** The rows without a path first, then those of each path. */
function parameterFree({ trials, paths }: TrialSet): Estimates[] {
  const rows = paths.flatMap(({ path, examples }, p) => {
    const names = new Set(examples.flatMap(({ summary }) => Object.keys(summary.mixtures)))
    return [...names]
      .filter((name) => p === 0 || !pathless.includes(name))
      .map((readout) => ({
        readout,
        path: pathless.includes(readout) ? null : path,
        oracle: false,
        shares: trials.map((trial) => trial.paths[p].mixtures[readout] ?? null),
        sampling: trials.map((trial) => trial.paths[p].sampling?.[readout]),
        classes: trials[0].paths[p].classes,
      }))
  })
  return [...rows.filter(({ path }) => path === null), ...rows.filter(({ path }) => path !== null)]
}

/** Mixtures drawn as the trials' own were, independently of them. */
function randomRow({ domains, trials }: TrialSet, sampler: Sampler, seed: number): Estimates {
  const shares = sampleMixtures({ sampler, domains: domains.length, trials: trials.length, seed, name: 'lab/random' })
  return { readout: 'random', path: null, oracle: false, shares }
}

/** The paper's membership inference: the histogram of the pool's members, at one threshold for all trials. */
function membershipRows({ trials }: TrialSet): { estimates: Estimates[]; notes: string[] } {
  const tallies = trials.map(({ membership }) => membership)
  if (tallies.some((tally) => tally?.thresholds.length !== thresholds.length)) return { estimates: [], notes: [] }
  const at = (t: number) => tallies.map((tally) => membersAt(tally!, t))
  const errors = thresholds.map((_, t) =>
    at(t).reduce((sum, shares, i) => sum + absoluteError(shares, trials[i].truth), 0),
  )
  const best = errors.indexOf(Math.min(...errors))
  const notes = [
    `membership[best] calls a text a member above ${thresholds[best].toFixed(1)}, chosen with the answers ` +
      `known; membership[fixed] above ${thresholds[fixedThreshold].toFixed(1)}`,
  ]
  if (tallies.some((tally) => !tally!.containsTraining)) {
    notes.push('membership was inferred over texts that were not trained on, unlike the paper’s pool')
  } else {
    const sizes = tallies.map((tally) => sum(tally!.pool))
    notes.push(
      `membership was inferred over pools of ${range(sizes)} texts, all ` +
        `${range(trials.map(({ counts }) => sum(counts)))} trained on among them`,
    )
  }
  return {
    estimates: [
      { readout: 'membership[fixed]', path: null, oracle: false, shares: at(fixedThreshold) },
      { readout: 'membership[best]', path: null, oracle: true, shares: at(best) },
    ],
    notes,
  }
}

const sum = (counts: number[]): number => counts.reduce((a, b) => a + b, 0)
const range = (values: number[]): string => [...new Set([Math.min(...values), Math.max(...values)])].join(' to ')

async function trainedRows(
  { paths }: TrialSet,
  { folds, seed, deviations, signal, onProgress }: ReportOptions & { folds: number; seed: number },
): Promise<Estimates[]> {
  const jobs = paths.flatMap(({ path, examples }) =>
    learnersFor(examples, { seed, deviations }).map((learner) => ({ path, examples, learner })),
  )
  const total = jobs.reduce((sum, { learner }) => sum + fitsOf(learner, folds), 0)
  let done = 0
  const onFit = () => onProgress?.({ phase: 'cross-validate', done: ++done, total, unit: 'fits' })
  const predicted = await crossValidate(jobs, { folds, seed, deviations, signal, onFit })
  return jobs.map(({ path, learner }, job) => ({ readout: learner.name, path, oracle: false, shares: predicted[job] }))
}

/** Per trial, mean absolute and mean squared error over the domains; null where there is no estimate. */
export function errorsOf({ shares }: Estimates, truths: ArrayLike<number>[]): ({ mae: number; mse: number } | null)[] {
  return shares.map((estimate, i) => {
    if (!estimate) return null
    const truth = Array.from(truths[i])
    const mse = truth.reduce((sum, share, d) => sum + (estimate[d] - share) ** 2, 0) / truth.length
    return { mae: absoluteError(estimate, truth), mse }
  })
}

function rowOf(estimates: Estimates, { trials }: TrialSet): LabRow {
  const errors = errorsOf(
    estimates,
    trials.map(({ truth }) => truth),
  ).filter((error) => error !== null)
  const [mae, maeSd] = meanAndDeviation(errors.map((error) => error.mae))
  const [mse, mseSd] = meanAndDeviation(errors.map((error) => error.mse))
  const { readout, path, oracle } = estimates
  const coverage = coverageOf(
    estimates,
    trials.map(({ truth }) => truth),
  )
  return { readout, path, mae, maeSd, mse, mseSd, trials: errors.length, coverage, oracle }
}

/** How many of the true shares lie in the intervals that `recover` would give; null without intervals. */
function coverageOf({ readout, shares, sampling = [], classes = 1 }: Estimates, truths: number[][]): number | null {
  const inside = sampling.flatMap((intervals, i) => {
    const estimate = shares[i]
    if (!intervals || !estimate) return []
    const methodError = methodErrorOf(readout, intervals.length, classes)
    return intervals.map((interval, d): number => {
      const [low, high] = widened(interval, estimate[d], methodError)
      return Number(low <= truths[i][d] && truths[i][d] <= high)
    })
  })
  return inside.length > 0 ? inside.reduce((sum, one) => sum + one, 0) / inside.length : null
}

/** Deviation of one value: 0. */
function meanAndDeviation(values: number[]): [mean: number, deviation: number] {
  const n = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return [mean, n > 1 ? Math.sqrt(squares / (n - 1)) : 0]
}
