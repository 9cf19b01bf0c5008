import path from 'node:path'

/** How one task of a lab ended. */
export interface TaskEnd {
  index: number
  /** what it said went wrong; undefined: it succeeded */
  error?: { code: string; message: string }
}

export interface ExecutorRun {
  /** the lab's folder, or another one that says what its tasks are */
  lab: string
  /** script that runs one; default: that of a lab's trials */
  worker?: string
  /** indices of trials; any task may be given again, and two runners may give the same one */
  tasks: number[]
  /** of one task */
  threads: number
  memory?: number
  signal?: AbortSignal
  /** share of a running task that is done, in [0, 1]; an executor that cannot know does not call it */
  onFraction(index: number, fraction: number): void
  /** called once a task; a task is over only when its trial.json is there */
  onEnd(end: TaskEnd): void
}

/**
 * Where the tasks of a lab run. An executor starts `taskCommand` for every task and reports how each ended; it decides
 * when and where. A task is idempotent: what is done stays done, what was stopped goes on, and a task that somebody
 * else is at ends with the code TRIAL_LOCKED. A task whose process dies without a word ends with TRIAL_PROCESS_DIED;
 * `runLab` gives a task that failed once more, and waits for those of others. On abort an executor stops its tasks and
 * returns. To add one: implement this, pass it to `runLab` as `executor`, and name it in bin/commands/lab/run.ts.
 */
export interface Executor {
  name: string
  run(run: ExecutorRun): Promise<void>
}

/**
 * The command of one task: `node trial-worker.js LAB INDEX THREADS [MEMORY]`; exit code 0: its trial.json is there.
 * Without a channel to a parent, the last line on stdout is {"done":true} or {"error":{"code","message"}}.
 */
export function taskCommand(
  {
    lab,
    worker = path.join(__dirname, 'trial-worker.js'),
    threads,
    memory,
  }: Pick<ExecutorRun, 'lab' | 'worker' | 'threads' | 'memory'>,
  index: number | string,
): string[] {
  return [
    process.execPath,
    worker,
    path.resolve(lab),
    String(index),
    String(threads),
    ...(memory === undefined ? [] : [String(memory)]),
  ]
}

/** For any BLAS a task may load: it keeps to the task's own threads. */
export function taskEnvironment({ threads }: Pick<ExecutorRun, 'threads'>): NodeJS.ProcessEnv {
  const count = String(threads)
  return { ...process.env, OMP_NUM_THREADS: count, OPENBLAS_NUM_THREADS: count, MKL_NUM_THREADS: count }
}

/** The end of a task whose process said nothing. */
export function died(index: number, how: string): TaskEnd {
  return { index, error: { code: 'TRIAL_PROCESS_DIED', message: `the process of task ${index} ended (${how})` } }
}
