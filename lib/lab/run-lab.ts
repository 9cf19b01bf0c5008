import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { resourceError, usageError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { checkOptions, type Kinds, runKinds } from '../options.js'
import type { Executor, TaskEnd } from './executor.js'
import { LocalExecutor } from './executor-local.js'
import { checkBase, checkIndex, readPlan, readPlanData, trialsFolder, type LabPlan } from './plan.js'
import { dropModel, recordFailure } from './run-trial.js'
import { readTrials } from './trial-record.js'

export interface LabRunOptions extends RunOptions {
  /** folder with a plan */
  lab: string
  /** child processes at a time; default: one per core, as far as memory allows */
  workers?: number
  /** threads of each; default: cores / workers */
  threads?: number
  /** bytes of native working memory of one worker's footprint */
  memory?: number
  /** only these trials */
  only?: number[]
  /** default: a local pool */
  executor?: Executor
}

const kinds: Kinds<LabRunOptions> = {
  ...runKinds,
  ...{ lab: 'text', workers: 'number', threads: 'number', memory: 'number', only: 'numbers', executor: 'object' },
}

export interface LabRunResult {
  schema: 'warp.lab.run/1'
  lab: string
  trials: number
  /** that were there before */
  earlier: number
  done: number
  failed: { index: number; code: string; message: string }[]
  seconds: number
}

/**
 * Runs the trials of a plan that are not there yet; earlier failures are tried again. A trial that fails is tried once
 * more, then recorded with its error. May run any number of times, also at the same time.
 * @throws WarpError of plans; DATA_CHANGED, BASE_CHANGED, before any trial; DISK_FULL; the signal's reason
 */
export async function runLab(options: LabRunOptions): Promise<LabRunResult> {
  const { plan, wanted, finished, executor, threads } = await prepareRun(options)
  const { lab, signal, onProgress, memory } = options
  for (const index of finished) await dropModel(lab, plan, index) // one may have been killed right after its record
  const started = performance.now()
  const fractions = new Map<number, number>(wanted.filter((index) => finished.has(index)).map((index) => [index, 1]))
  const earlier = fractions.size
  const report = (): void =>
    onProgress?.({
      phase: 'trials',
      done: [...fractions.values()].reduce((a, b) => a + b, 0),
      total: wanted.length,
      unit: 'trials',
    })
  report()
  const failures: Failures = new Map()
  const full = new AbortController()
  const stop = signal ? AbortSignal.any([signal, full.signal]) : full.signal
  for (
    let tasks = wanted.filter((index) => !finished.has(index));
    tasks.length > 0;
    tasks = await tasksAgain(lab, plan, failures, signal)
  ) {
    await executor.run({
      lab,
      tasks,
      threads,
      memory,
      signal: stop,
      onFraction: (index, fraction) => {
        fractions.set(index, Math.max(fractions.get(index) ?? 0, fraction * 0.999))
        report()
      },
      onEnd: ({ index, error }) => {
        if (error)
          failures.set(index, { ...error, times: (failures.get(index)?.times ?? 0) + Number(error.code !== locked) })
        else {
          failures.delete(index)
          fractions.set(index, 1)
        }
        if (error?.code === 'DISK_FULL') full.abort(diskFull(lab, error.message))
        report()
      },
    })
    stop.throwIfAborted()
  }
  await checkBase(plan, { signal }) // what the trials were trained from, to the last
  for (const [index, error] of failures) {
    if (await recordFailure(lab, plan, index, error)) failures.delete(index)
  }
  const failed = [...failures].map(([index, { code, message }]) => ({ index, code, message }))
  return {
    schema: 'warp.lab.run/1',
    lab: path.resolve(lab),
    trials: wanted.length,
    earlier,
    done: wanted.length - earlier - failed.length,
    failed,
    seconds: (performance.now() - started) / 1000,
  }
}

/** What `runLab` would do: the answer of `--dry-run`. */
export interface LabRunPlan {
  schema: 'warp.lab.run-plan/1'
  lab: string
  executor: string
  threads: number
  /** indices of trials that are done, and of those to run */
  earlier: number[]
  tasks: number[]
  /** those at the speed of the machine that made the plan, on all its cores */
  seconds: number
}

/** Checks everything that can be before a trial starts. @throws as `runLab` does then */
export async function planRun(options: LabRunOptions): Promise<LabRunPlan> {
  const { plan, wanted, finished, executor, threads } = await prepareRun(options)
  const tasks = wanted.filter((index) => !finished.has(index))
  return {
    schema: 'warp.lab.run-plan/1',
    lab: path.resolve(options.lab),
    executor: executor.name,
    threads,
    earlier: wanted.filter((index) => finished.has(index)),
    tasks,
    seconds: (plan.estimate.seconds * tasks.length) / plan.trials.length,
  }
}

interface PreparedRun {
  plan: LabPlan
  wanted: number[]
  finished: Set<number>
  executor: Executor
  threads: number
}

async function prepareRun(given: LabRunOptions): Promise<PreparedRun> {
  checkOptions('runLab', given, kinds, ['lab'])
  const { lab, signal, only, ...options } = given
  const plan = await readPlan(lab)
  only?.forEach((index) => checkIndex(plan, index))
  await readPlanData(plan, { signal })
  await checkBase(plan, { signal })
  const cores = os.availableParallelism()
  const workers =
    options.workers ?? workersThatFit(plan.trials.length, cores, process.availableMemory(), plan.estimate.bytes.memory)
  if (!Number.isInteger(workers) || workers < 1)
    throw usageError(
      'OPTION_RANGE',
      `workers must be a whole number of at least 1, not ${workers}`,
      { found: workers },
      'leave it out for one per core',
    )
  return {
    plan,
    wanted: plan.trials.map(({ index }) => index).filter((index) => only === undefined || only.includes(index)),
    finished: await finishedTrials(lab, plan),
    executor: options.executor ?? new LocalExecutor(workers),
    threads: options.threads ?? Math.max(1, Math.floor(cores / workers)),
  }
}

/** Trials at a time, each of so many bytes of memory; at least one. */
export function workersThatFit(trials: number, cores: number, available: number, each: number): number {
  return Math.max(1, Math.min(trials, cores, Math.floor(available / each)))
}

const locked = 'TRIAL_LOCKED'

/** By trial: the last error, and how often it failed by itself. */
type Failures = Map<number, NonNullable<TaskEnd['error']> & { times: number }>

/** The tasks to give once more: those that failed once, and those another runner is at, until it is done or dead. */
async function tasksAgain(lab: string, plan: LabPlan, failures: Failures, signal?: AbortSignal): Promise<number[]> {
  const again = [...failures].filter(([, { code, times }]) => code === locked || times < 2).map(([index]) => index)
  if (again.length > 0 && again.every((index) => failures.get(index)!.code === locked)) {
    await sleep(1000, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
  const finished = await finishedTrials(lab, plan)
  for (const index of again) if (finished.has(index)) failures.delete(index)
  return again.filter((index) => failures.has(index))
}

function diskFull(lab: string, message: string): Error {
  return resourceError('DISK_FULL', message, { file: lab }, `free some space; warp lab run ${lab} goes on from here`)
}

async function finishedTrials(lab: string, { digest }: LabPlan): Promise<Set<number>> {
  const trials = await readTrials(path.join(lab, trialsFolder), digest).catch((error: { code?: string }) => {
    if (error.code === 'TRIALS_MISSING') return []
    throw error
  })
  return new Set(trials.filter(({ error }) => !error).map(({ index }) => index))
}
