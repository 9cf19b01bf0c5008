// What every task of an executor does around its work: see `taskCommand`.

export interface TaskRun {
  signal: AbortSignal
  /** tells the share that is done, at most five times a second */
  onFraction(fraction: number): void
}

/**
 * Runs one task of a process. It says {fraction} while it runs, and at the end {done: true} or {error: {code,
 * message}}: on the channel it was started with, where it also stops when that closes; else the end alone, as the last
 * line on stdout. The exit code is 0 when the task is done.
 */
export async function serveTask(work: (run: TaskRun) => Promise<void>): Promise<void> {
  const channel = process.send !== undefined
  const say = (message: object): void => void (process.connected && process.send!(message))
  const controller = new AbortController()
  const stop = (): void => controller.abort(new Error('stopped'))
  for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.on(event, stop)
  let last = 0
  const onFraction = (fraction: number): void => {
    if (performance.now() - last < 200) return
    last = performance.now()
    say({ fraction })
  }
  let end: object = { done: true }
  try {
    await work({ signal: controller.signal, onFraction })
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    end = {
      error: {
        code: controller.signal.aborted ? 'TRIAL_STOPPED' : code === 'ENOSPC' ? 'DISK_FULL' : (code ?? 'INTERNAL'),
        message,
      },
    }
    process.exitCode = 1
  }
  if (!channel) process.stdout.write(`${JSON.stringify(end)}\n`)
  say(end)
  if (process.connected) process.disconnect()
}
