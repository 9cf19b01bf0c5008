import { spawn } from 'node:child_process'
import path from 'node:path'

/** How one task of a lab ended. */
export interface TaskEnd {
  index: number
  /** what it said went wrong; undefined: it succeeded */
  error?: { code: string; message: string }
}

export interface ExecutorRun {
  /** the lab's folder */
  lab: string
  /** indices of trials; any task may be given again, and two runners may give the same one */
  tasks: number[]
  /** of one task */
  threads: number
  memory?: number
  signal?: AbortSignal
  /** share of a running task that is done, in [0, 1] */
  onFraction(index: number, fraction: number): void
  /** called once a task; a task is over only when its trial.json is there */
  onEnd(end: TaskEnd): void
}

/**
 * Where the tasks of a lab run. An executor starts `taskCommand` for every task and reports how each ended; it decides
 * when and where. A task is idempotent: what is done stays done, what was stopped goes on, and a task that somebody
 * else is at ends with the code TRIAL_LOCKED.
 */
export interface Executor {
  name: string
  run(run: ExecutorRun): Promise<void>
}

/** The command of one task: `node worker.js LAB INDEX THREADS [MEMORY]`; exit code 0: its trial.json is there. */
export function taskCommand({ lab, threads, memory }: Pick<ExecutorRun, 'lab' | 'threads' | 'memory'>, index: number): string[] {
  const worker = path.join(__dirname, 'worker.js')
  return [process.execPath, worker, path.resolve(lab), String(index), String(threads), ...(memory === undefined ? [] : [String(memory)])]
}

/** So many child processes at a time on this machine. */
export class LocalExecutor implements Executor {
  readonly name = 'local'
  constructor(readonly workers: number) {}

  async run(run: ExecutorRun): Promise<void> {
    const queue = [...run.tasks]
    const serve = async (): Promise<void> => {
      for (let index = queue.shift(); index !== undefined && !run.signal?.aborted; index = queue.shift()) {
        run.onEnd(await runChild(run, index))
      }
    }
    await Promise.all(Array.from({ length: Math.min(this.workers, queue.length) }, serve))
  }
}

interface WorkerMessage {
  fraction?: number
  error?: { code: string; message: string }
  done?: boolean
}

/** One task in a child process, which ends with this one: its channel closes. */
function runChild(run: ExecutorRun, index: number): Promise<TaskEnd> {
  return new Promise((resolve) => {
    const [command, ...args] = taskCommand(run, index)
    // one thread for any BLAS a task may load: the tasks themselves fill the machine
    const env = { ...process.env, OMP_NUM_THREADS: String(run.threads), OPENBLAS_NUM_THREADS: String(run.threads), MKL_NUM_THREADS: String(run.threads) }
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env })
    const stop = (): void => void child.kill('SIGTERM')
    run.signal?.addEventListener('abort', stop, { once: true })
    let error: TaskEnd['error']
    let done = false
    let complaint = ''
    child.on('message', (said: WorkerMessage) => {
      if (said.fraction !== undefined) run.onFraction(index, said.fraction)
      error = said.error ?? error
      done ||= said.done === true
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => complaint = (complaint + text).slice(-2000))
    const finish = (how: string): void => {
      run.signal?.removeEventListener('abort', stop)
      if (done) return resolve({ index })
      resolve({ index, error: error ?? { code: 'TRIAL_PROCESS_DIED', message: `the process of trial ${index} ended (${how}) ${complaint.trim()}`.trim() } })
    }
    child.on('error', (cause) => finish(cause.message))
    child.on('close', (code, signal) => finish(signal ?? `exit ${code}`))
  })
}
