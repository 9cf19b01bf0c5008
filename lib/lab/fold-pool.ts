import os from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Example } from '../readouts/spread.js'
import type { Learner } from './learners.js'

/** One fold of a cross-validation. */
export interface FoldTask {
  learner: Learner['name']
  examples: Example[]
  folds: number
  fold: number
  seed: number
  deviations?: boolean
}

/** What the thread of a fold says: after each model fitted, and at the end. */
export type FoldMessage = { fitted: true } | { shares: number[][] }

export interface FoldOptions extends Pick<FoldTask, 'folds' | 'seed' | 'deviations'> {
  signal?: AbortSignal
  /** after each model fitted */
  onFit?: () => void
}

/** For every job the shares of each trial, by a model fitted on the other folds. @throws the signal's reason */
export async function crossValidate(
  jobs: { examples: Example[]; learner: Pick<Learner, 'name'> }[],
  { folds, seed, deviations, ...run }: FoldOptions,
): Promise<number[][][]> {
  const tasks = jobs.flatMap(({ examples, learner: { name } }) =>
    Array.from({ length: folds }, (_, fold): FoldTask => ({ learner: name, examples, folds, fold, seed, deviations })),
  )
  const predicted = await predictFolds(tasks, run)
  return jobs.map((_, job) => {
    const shares: number[][] = []
    for (const part of predicted.slice(job * folds, (job + 1) * folds)) part.forEach((row, i) => (shares[i] = row))
    return shares
  })
}

/**
 * The tasks on as many threads as there are cores; what `predictFold` gives for each, in their order.
 * @throws the signal's reason
 */
async function predictFolds(
  tasks: FoldTask[],
  { signal, onFit }: { signal?: AbortSignal; onFit?: () => void },
): Promise<number[][][]> {
  const results: number[][][] = []
  const queue = [...tasks.keys()]
  const workers = Array.from(
    { length: Math.min(os.availableParallelism(), tasks.length) },
    () => new Worker(path.join(__dirname, 'fold-worker.js')),
  )
  const run = (worker: Worker, task: FoldTask): Promise<number[][]> =>
    new Promise((resolve, reject) => {
      worker.removeAllListeners()
      worker.on('message', (message: FoldMessage) => ('shares' in message ? resolve(message.shares) : onFit?.()))
      worker.on('error', reject)
      worker.postMessage(task)
    })
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal!.reason as Error)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
  })
  aborted.catch(() => undefined)
  try {
    const serve = async (worker: Worker): Promise<void> => {
      for (let at = queue.shift(); at !== undefined; at = queue.shift()) results[at] = await run(worker, tasks[at])
    }
    await Promise.race([Promise.all(workers.map(serve)), aborted])
    return results
  } finally {
    signal?.removeEventListener('abort', stop)
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}
