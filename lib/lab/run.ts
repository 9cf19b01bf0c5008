import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { usageError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { LocalExecutor, type Executor, type TaskEnd } from './executor.js'
import { readPlan, readPlanData, trialsFolder } from './plan.js'
import { recordFailure } from './task.js'
import { readTrials } from './trial.js'

export interface LabRunOptions extends RunOptions {
  /** folder with a plan */
  lab: string
  /** child processes at a time; default: one per core */
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
 * @throws WarpError of plans; DATA_CHANGED, before any trial; the signal's reason
 */
export async function runLab(options: LabRunOptions): Promise<LabRunResult> {
  const { lab, signal, onProgress, memory, only } = options
  const plan = await readPlan(lab)
  await readPlanData(plan, { signal })
  const cores = os.availableParallelism()
  const workers = options.workers ?? Math.max(1, Math.min(cores, plan.trials.length))
  if (!Number.isInteger(workers) || workers < 1) throw usageError('OPTION_RANGE', `workers must be a whole number of at least 1, not ${workers}`, { found: workers }, '--workers 2')
  const threads = options.threads ?? Math.max(1, Math.floor(cores / workers))
  const executor = options.executor ?? new LocalExecutor(workers)
  const started = performance.now()
  const finished = await finishedTrials(lab)
  const wanted = plan.trials.map(({ index }) => index).filter((index) => only === undefined || only.includes(index))
  const fractions = new Map<number, number>(wanted.filter((index) => finished.has(index)).map((index) => [index, 1]))
  const earlier = fractions.size
  const report = (): void => onProgress?.({ phase: 'trials', done: [...fractions.values()].reduce((a, b) => a + b, 0), total: wanted.length, unit: 'trials' })
  report()
  const failures = new Map<number, NonNullable<TaskEnd['error']>>()
  const once = async (tasks: number[]): Promise<void> => executor.run({
    lab, tasks, threads, memory, signal,
    onFraction: (index, fraction) => {
      fractions.set(index, Math.max(fractions.get(index) ?? 0, fraction * 0.999))
      report()
    },
    onEnd: ({ index, error }) => {
      if (error) failures.set(index, error)
      else {
        failures.delete(index)
        fractions.set(index, 1)
      }
      report()
    },
  })
  await once(wanted.filter((index) => !finished.has(index)))
  signal?.throwIfAborted()
  await waitForOthers(lab, failures, once, signal)
  await once([...failures.keys()])
  signal?.throwIfAborted()
  for (const [index, error] of failures) await recordFailure(lab, plan, index, error)
  const failed = [...failures].map(([index, error]) => ({ index, ...error }))
  return {
    schema: 'warp.lab.run/1', lab: path.resolve(lab), trials: wanted.length, earlier, done: wanted.length - earlier - failed.length, failed,
    seconds: (performance.now() - started) / 1000,
  }
}

/** Trials that another runner is at: waits for them, takes them over when that runner dies. */
async function waitForOthers(lab: string, failures: Map<number, { code: string }>, once: (tasks: number[]) => Promise<void>, signal?: AbortSignal): Promise<void> {
  for (;;) {
    const locked = [...failures].filter(([, { code }]) => code === 'TRIAL_LOCKED').map(([index]) => index)
    if (locked.length === 0) return
    await sleep(1000, undefined, { signal }).catch(() => signal?.throwIfAborted())
    const finished = await finishedTrials(lab)
    for (const index of locked) if (finished.has(index)) failures.delete(index)
    await once(locked.filter((index) => failures.has(index)))
    signal?.throwIfAborted()
  }
}

async function finishedTrials(lab: string): Promise<Set<number>> {
  const trials = await readTrials(path.join(lab, trialsFolder)).catch((error: { code?: string }) => {
    if (error.code === 'TRIALS_MISSING') return []
    throw error
  })
  return new Set(trials.filter(({ error }) => !error).map(({ index }) => index))
}
