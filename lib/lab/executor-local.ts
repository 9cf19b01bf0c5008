import { spawn } from 'node:child_process'
import { died, taskCommand, taskEnvironment, type Executor, type ExecutorRun, type TaskEnd } from './executor.js'

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
  error?: TaskEnd['error']
  done?: boolean
}

/** One task in a child process, which ends with this one: its channel closes. */
function runChild(run: ExecutorRun, index: number): Promise<TaskEnd> {
  return new Promise((resolve) => {
    const [command, ...args] = taskCommand(run, index)
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env: taskEnvironment(run) })
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
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)))
    const finish = (how: string): void => {
      run.signal?.removeEventListener('abort', stop)
      if (done) resolve({ index })
      else resolve(error ? { index, error } : died(index, `${how} ${complaint}`.trim()))
    }
    child.on('error', (cause) => finish(cause.message))
    child.on('close', (code, signal) => finish(signal ?? `exit ${code}`))
  })
}
