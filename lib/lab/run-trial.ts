import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { openModel, whileUnchanged, writeFileAtomic } from '../checkpoint/index.js'
import type { RunOptions } from '../native/task.js'
import { parseRecipe, pick, stepsOf, trainOn } from '../train/index.js'
import { footprintsOf } from './footprints.js'
import { takeLock } from '../lock.js'
import {
  checkBase,
  checkIndex,
  probeLines,
  probesFile,
  readPlan,
  readPlanData,
  trialRows,
  trialsFolder,
  type LabPlan,
} from './plan.js'
import {
  failedTrial,
  readTrial,
  samplingOf,
  statisticsToTrial,
  trialFile,
  writeTrial,
  type Trial,
  type TrialFacts,
} from './trial-record.js'
import type { WarpError } from '../errors.js'
import { makeFolders } from '../folders.js'

export interface TrialOptions extends RunOptions {
  threads?: number
  /** bytes of native working memory of a footprint */
  memory?: number
}

const modelFolder = (lab: string, index: number): string =>
  path.join(lab, trialsFolder, path.dirname(trialFile(index)), 'model')

/**
 * One trial of a lab: fine-tune, footprint along every path, write `trials/NNNN/trial.json` whole. A trial that was
 * stopped goes on where its training stood.
 * @throws WarpError of plans, training and footprints; DATA_CHANGED, BASE_CHANGED; the signal's reason
 */
export async function runTrial(lab: string, index: number, options: TrialOptions = {}): Promise<Trial> {
  const plan = await readPlan(lab)
  return whileUnchanged([plan.base.path], () => runPlanned(lab, plan, index, options))
}

async function runPlanned(lab: string, plan: LabPlan, index: number, options: TrialOptions): Promise<Trial> {
  const { signal, onProgress } = options
  const { seed } = checkIndex(plan, index)
  const timings: Record<string, number> = {}
  const timed = async <T>(phase: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now()
    const result = await work()
    timings[phase] = (timings[phase] ?? 0) + (performance.now() - start) / 1000
    return result
  }
  const all = await timed('read', () => readPlanData(plan, { signal }))
  await checkBase(plan, { trust: true, signal })
  const rows = trialRows(plan, all, index)
  const recipe = parseRecipe({ ...plan.recipe, seed })
  const output = modelFolder(lab, index)
  await makeFolders(path.dirname(output))
  await timed('train', () =>
    trainOnce(output, () =>
      trainOn(plan.base.path, pick(all, rows), recipe, {
        output,
        dtype: plan.dtype,
        threads: options.threads,
        saveSteps: saveStepsOf(plan),
        signal,
        onProgress,
      }),
    ),
  )
  const probes = await probesOf(lab, () => probeLines(plan, all))
  const kept = new Set(plan.probes)
  const trained = pick(
    all,
    Int32Array.from(new Set(rows)).filter((row) => !kept.has(row)),
  )
  const { footprints, pool } = await timed('footprint', () =>
    footprintsOf(plan, { ...options, reference: output, probes, trained }),
  )
  await timed('resample', async () => {
    for (const footprint of footprints)
      footprint.sampling = await samplingOf(footprint.statistics, { seed: plan.seed, signal })
  })
  const facts = { ...factsOf(plan, index), recipe: { ...recipe }, timings }
  const trial = statisticsToTrial(facts, footprints, { containsTraining: true, pool })
  await writeTrial(path.join(lab, trialsFolder, trialFile(index)), trial)
  await dropModel(lab, plan, index)
  return trial
}

/** Of a trial, before anything was done for it. @throws TRIAL_INDEX */
function factsOf(plan: LabPlan, index: number): TrialFacts {
  const { counts, seed } = checkIndex(plan, index)
  const { digest, domains, recipe } = plan
  return { index, plan: digest, seed, domains, counts, recipe, timings: {} }
}

/** Of a trial that is done: its model goes, unless weights are kept. */
export async function dropModel(lab: string, { keep }: LabPlan, index: number): Promise<void> {
  if (keep === 'footprints') await rm(modelFolder(lab, index), { recursive: true, force: true })
}

/** Writes the record of a trial that failed, unless somebody is at it. @returns whether it succeeded meanwhile */
export async function recordFailure(
  lab: string,
  plan: LabPlan,
  index: number,
  error: { code?: string; message: string },
): Promise<boolean> {
  const facts = factsOf(plan, index)
  const file = path.join(lab, trialsFolder, trialFile(index))
  await makeFolders(path.dirname(file))
  const lock = takeLock(path.join(path.dirname(file), 'lock'))
  if (!lock) return false
  try {
    const there = await readTrial(file).catch(() => undefined)
    if (there && !there.error) return true
    await writeTrial(file, failedTrial(facts, error))
    return false
  } finally {
    lock.close()
  }
}

/** Trains unless the model is there from an earlier run that was stopped after it. */
async function trainOnce(output: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const { code, details } = error as WarpError
    if (code !== 'OUTPUT_EXISTS' || !details.sameRun) throw error
    await openModel(output)
  }
}

/** Real checkpoints for a `trajectory` path: as many as the path has points. */
function saveStepsOf({ paths, recipe, trials }: LabPlan): number | undefined {
  const trajectory = paths.find(({ path: family }) => family === 'trajectory')
  if (!trajectory) return undefined
  const texts = trials[0].counts.reduce((a, b) => a + b, 0)
  const steps = stepsOf(parseRecipe(recipe), texts)
  return Math.max(1, Math.floor(steps / (Number(trajectory.points ?? 5) + 1)))
}

async function probesOf(lab: string, lines: () => string): Promise<string> {
  const file = path.join(lab, probesFile)
  const want = lines()
  const there = await readFile(file, 'utf8').catch(() => undefined)
  if (there !== want) await writeFileAtomic(file, want, { force: true })
  return file
}
