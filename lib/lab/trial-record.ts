import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { readDocument, writeDocument } from '../document.js'
import { inputError } from '../errors.js'
import { footprintOf, readoutsFor } from '../readouts/index.js'
import { samplingIntervals } from '../readouts/intervals.js'
import { predictorOf } from '../readouts/sharing.js'
import { spreadOf } from '../readouts/spread.js'
import { countByDomain } from '../readouts/sums.js'
import type { FootprintStatistics, Readout } from '../readouts/types.js'
import { poolScoresOf, tallyMembers, type PoolLosses } from './membership.js'

const count = z.int().min(0)
const share = z.number().min(0).max(1)
const table = z.array(z.array(z.number()))

/** The footprint along one path; D domains, K points. */
export const trialPathSchema = z.strictObject({
  /** the family, or a name of the lab's own where a plan has one family twice */
  path: z.string(),
  lambdas: z.array(z.number()),
  /** of the alignment matrix */
  scope: z.string(),
  /** D */
  probes: z.array(count),
  /** D × K, mean Mimic Score S[d, k] */
  mean: table,
  /** D × K, standard deviation of the scores of the domain's probes; 0 for a domain of one probe */
  deviation: table,
  /** K, largest magnitude of a probe's score at each point */
  largest: z.array(z.number().min(0)),
  /** D × (K + 2), mean cross-entropy in nats at the base, the points, the reference */
  loss: table,
  /** shares in the order of the domains, by readout */
  mixtures: z.record(z.string(), z.array(share)),
  /** 90 % intervals of these shares under resampling of the probes, the method's own error not in them */
  sampling: z.record(z.string(), z.array(z.tuple([share, share]))).optional(),
  /** of the models; 0: language models */
  classes: count.optional(),
})

/** How many texts of a pool each threshold of the sweep calls members, T thresholds. */
export const memberTallySchema = z.strictObject({
  /** whether the training texts are among the pool's */
  containsTraining: z.boolean(),
  /** D, texts of the pool */
  pool: z.array(count),
  /** T, in per cent of the base's loss */
  thresholds: z.array(z.number()),
  /** D × T */
  above: z.array(z.array(count)),
})

/** `trials/NNNN/trial.json`: one model fine-tuned on a known mixture, and all that the readouts need of it. */
export const trialSchema = z
  .strictObject({
    schema: z.literal('warp.trial/1'),
    index: count,
    /** digest of the lab's plan, where there is one */
    plan: z.string().optional(),
    seed: count,
    domains: z.array(z.string()).min(2),
    /** D, texts trained on */
    counts: z.array(count),
    /** D, the mixture trained on: `counts` over their sum */
    truth: z.array(share),
    /** how the model was trained, as far as a reader may want to know */
    recipe: z.record(z.string(), z.unknown()),
    paths: z.array(trialPathSchema),
    membership: memberTallySchema.nullable(),
    /** seconds by phase, in order */
    timings: z.record(z.string(), z.number()),
    /** of a trial that failed; `paths` is empty then */
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  })
  .superRefine((trial, context) => {
    const D = trial.domains.length
    const wrong = (what: string) =>
      context.addIssue({ code: 'custom', message: `${what} is not one per domain`, path: [what] })
    for (const what of ['counts', 'truth'] as const) if (trial[what].length !== D) wrong(what)
    for (const { lambdas, mean, deviation, largest, loss, mixtures, sampling = {} } of trial.paths) {
      const K = lambdas.length
      const shaped = (rows: number[][], width: number) => rows.length === D && rows.every((row) => row.length === width)
      if (!shaped(mean, K) || !shaped(deviation, K) || !shaped(loss, K + 2) || largest.length !== K) wrong('paths')
      if (Object.values(mixtures).some((shares) => shares.length !== D)) wrong('mixtures')
      if (Object.values(sampling).some((intervals) => intervals.length !== D)) wrong('sampling')
    }
    const { membership } = trial
    if (
      membership &&
      (membership.pool.length !== D ||
        membership.above.length !== D ||
        membership.above.some((row) => row.length !== membership.thresholds.length))
    )
      wrong('membership')
  })

export type TrialPath = z.infer<typeof trialPathSchema>
export type MemberTally = z.infer<typeof memberTallySchema>
export type Trial = z.infer<typeof trialSchema>

/** What identifies a trial, whether it succeeded or not. */
export interface TrialFacts {
  index: number
  /** digest of the lab's plan */
  plan?: string
  seed: number
  domains: string[]
  /** D, texts trained on */
  counts: ArrayLike<number>
  recipe: Record<string, unknown>
  /** seconds by phase */
  timings: Record<string, number>
}

export interface TrialFootprint {
  statistics: FootprintStatistics
  /** of the alignment matrix, where `statistics` do not say */
  scope?: string
  /** where it is not the family's name that `statistics` carry */
  path?: string
  /** by readout, as `samplingOf` finds them */
  sampling?: TrialPath['sampling']
}

/** Losses that membership is inferred from; without a pool of its own, those of the probes of the first path. */
export interface TrialMembership {
  containsTraining: boolean
  pool?: PoolLosses
}

/**
 * The trial of a fine-tuned model from its footprints along one or several paths, whose domains are those of `facts`.
 */
export function statisticsToTrial(facts: TrialFacts, footprints: TrialFootprint[], membership: TrialMembership): Trial {
  const pool = membership.pool ?? poolScoresOf(footprints[0].statistics)
  return {
    ...emptyTrial(facts),
    paths: footprints.map(trialPath),
    membership: tallyMembers(pool, facts.domains.length, membership.containsTraining),
  }
}

/** The record of a trial that failed. */
export function failedTrial(facts: TrialFacts, error: { code?: string; message: string }): Trial {
  return { ...emptyTrial(facts), error: { code: error.code ?? 'INTERNAL', message: error.message } }
}

function emptyTrial({ index, plan, seed, domains, counts, recipe, timings }: TrialFacts): Trial {
  const texts = Array.from(counts)
  const total = texts.reduce((sum, n) => sum + n, 0)
  return {
    schema: 'warp.trial/1',
    index,
    ...(plan === undefined ? {} : { plan }),
    seed,
    domains,
    counts: texts,
    truth: texts.map((n) => (total > 0 ? n / total : 0)),
    recipe,
    paths: [],
    membership: null,
    timings,
  }
}

const readoutsOf = (statistics: FootprintStatistics): Readout[] =>
  readoutsFor(statistics).filter((readout) => readout.why(statistics) === null)

/** 90 % intervals under resampling of the probes, of every readout's shares. */
export const samplingOf = (
  statistics: FootprintStatistics,
  options: { seed: number; signal?: AbortSignal },
): Promise<NonNullable<TrialPath['sampling']>> =>
  samplingIntervals(statistics, readoutsOf(statistics), { replicates: 200, level: 0.9, ...options })

function trialPath({ statistics, scope, path, sampling }: TrialFootprint): TrialPath {
  const used = readoutsOf(statistics)
  return {
    path: path ?? statistics.path ?? 'linear',
    lambdas: [...statistics.lambdas],
    scope: scope ?? statistics.scope ?? 'head',
    probes: [...countByDomain(statistics.domain, statistics.domains.length)],
    ...spreadOf(statistics),
    loss: footprintOf(statistics).loss,
    mixtures: Object.fromEntries(used.map((readout) => [readout.name, [...predictorOf(readout, statistics)(null)]])),
    ...(sampling && { sampling, classes: statistics.classes.length }),
  }
}

/** The folder of a trial below `trials`, and its file there. */
export function trialFile(index: number): string {
  return path.join(String(index).padStart(4, '0'), 'trial.json')
}

/** Reads one trial. @throws TRIAL_UNREADABLE, TRIAL_NOT_JSON, TRIAL_VERSION, TRIAL_FORM, TRIAL_EDITED */
export const readTrial = (file: string): Promise<Trial> =>
  readDocument(file, {
    prefix: 'TRIAL',
    schema: 'warp.trial/1',
    form: trialSchema,
    again: 'remove the trial’s folder and run the lab again',
  })

/** Writes one trial in place of an earlier one. @throws DISK_FULL, OUTPUT_NOT_WRITABLE */
export const writeTrial = (file: string, trial: Trial): Promise<void> => writeDocument(file, trial, { force: true })

/** @throws TRIAL_MISPLACED, TRIAL_OTHER_PLAN */
function checkOwn(file: string, trial: Trial, index: number, plan: string | undefined): void {
  const hint = 'remove the trial’s folder and run the lab again'
  if (trial.index !== index) {
    const details = { file, expected: index, found: trial.index }
    throw inputError('TRIAL_MISPLACED', `${file}: is trial ${trial.index}, not ${index}`, details, hint)
  }
  if (plan === undefined || trial.plan === plan) return
  const details = { file, expected: plan, found: trial.plan ?? null }
  throw inputError('TRIAL_OTHER_PLAN', `${file}: is not a trial of this lab's plan`, details, hint)
}

/** The trials below a lab's `trials` folder, by index; folders without a `trial.json` are not finished yet. */
export async function readTrials(folder: string, plan?: string): Promise<Trial[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw inputError(
      'TRIALS_MISSING',
      `${folder}: cannot be read (${error.code})`,
      { file: folder },
      'run warp lab run first',
    )
  })
  const trials: Trial[] = []
  for (const name of names.filter((entry) => /^\d{4,}$/.test(entry)).sort((a, b) => Number(a) - Number(b))) {
    const entries = await readdir(path.join(folder, name))
    if (!entries.includes('trial.json')) continue
    const file = path.join(folder, name, 'trial.json')
    const trial = await readTrial(file)
    checkOwn(file, trial, Number(name), plan)
    trials.push(trial)
  }
  return trials
}
