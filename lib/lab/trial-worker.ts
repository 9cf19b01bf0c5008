// One task of a lab in a process of its own: node trial-worker.js LAB INDEX THREADS [MEMORY]. It says {fraction} while
// it runs, and at the end {done: true} or {error: {code, message}}: on the channel it was started with, where it also
// stops when that closes; else the end alone, as the last line on stdout. The exit code is 0 when the trial is done.
import { access } from 'node:fs/promises'
import path from 'node:path'
import { makeFolders } from '../folders.js'
import type { Handle } from '../native/types.js'
import { takeLock } from '../lock.js'
import { trialsFolder } from './plan.js'
import { runTrial } from './run-trial.js'
import { readTrial, trialFile } from './trial-record.js'

const channel = process.send !== undefined
const say = (message: object): void => void (process.connected && process.send!(message))

// Training takes most of a trial's time; the rest is scoring.
const shares: Record<string, [begin: number, share: number]> = { train: [0, 0.8], score: [0.8, 0.2] }

async function main([lab, number, threads, memory]: string[]): Promise<void> {
  const index = Number(number)
  const file = path.join(lab, trialsFolder, trialFile(index))
  const controller = new AbortController()
  const stop = (): void => controller.abort(new Error('stopped'))
  for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.on(event, stop)
  let last = 0
  let lock: Handle | null = null
  let end: object = { done: true }
  try {
    await makeFolders(path.dirname(file))
    lock = takeLock(path.join(path.dirname(file), 'lock'))
    if (!lock) throw Object.assign(new Error(`another process is at trial ${index}`), { code: 'TRIAL_LOCKED' })
    const finished = await access(file).then(
      () => readTrial(file),
      () => undefined,
    )
    if (!finished || finished.error) {
      await runTrial(lab, index, {
        threads: Number(threads),
        memory: memory === undefined ? undefined : Number(memory),
        signal: controller.signal,
        onProgress: ({ phase, done, total }) => {
          const place = shares[phase]
          if (!place || performance.now() - last < 200) return
          last = performance.now()
          say({ fraction: place[0] + (place[1] * done) / total })
        },
      })
    }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    end = {
      error: {
        code: controller.signal.aborted ? 'TRIAL_STOPPED' : code === 'ENOSPC' ? 'DISK_FULL' : (code ?? 'INTERNAL'),
        message,
      },
    }
    process.exitCode = 1
  } finally {
    lock?.close()
  }
  if (!channel) process.stdout.write(`${JSON.stringify(end)}\n`)
  say(end)
  if (process.connected) process.disconnect()
}

void main(process.argv.slice(2))
