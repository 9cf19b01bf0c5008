// One task of a lab in a process of its own: node worker.js LAB INDEX THREADS [MEMORY]. Where it was started with a
// channel, it says on it how far it is ({fraction}), and at the end {done: true} or {error: {code, message}}, and it
// stops when the channel closes. The exit code is 0 when the trial is done.
import { access, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { takeLock } from './lock.js'
import { trialsFolder } from './plan.js'
import { runTrial } from './task.js'
import { readTrial, trialFile } from './trial.js'

const say = (message: object): void => void (process.connected && process.send!(message))

// Training takes most of a trial's time; the rest is scoring.
const shares: Record<string, [begin: number, share: number]> = { train: [0, 0.8], score: [0.8, 0.2] }

async function main([lab, number, threads, memory]: string[]): Promise<void> {
  const index = Number(number)
  const file = path.join(lab, trialsFolder, trialFile(index))
  await mkdir(path.dirname(file), { recursive: true })
  const controller = new AbortController()
  const stop = (): void => controller.abort(new Error('stopped'))
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('disconnect', stop)
  const lock = await takeLock(path.join(path.dirname(file), 'lock'))
  if (!lock) {
    say({ error: { code: 'TRIAL_LOCKED', message: `another process is at trial ${index}` } })
    process.exitCode = 1
    return process.disconnect?.()
  }
  let last = 0
  try {
    const finished = await access(file).then(() => readTrial(file), () => undefined)
    if (!finished || finished.error) {
      await runTrial(lab, index, {
        threads: Number(threads), memory: memory === undefined ? undefined : Number(memory), signal: controller.signal,
        onProgress: ({ phase, done, total }) => {
          const place = shares[phase]
          if (!place || performance.now() - last < 200) return
          last = performance.now()
          say({ fraction: place[0] + place[1] * done / total })
        },
      })
    }
    say({ done: true })
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    say({ error: { code: controller.signal.aborted ? 'TRIAL_STOPPED' : code ?? 'INTERNAL', message } })
    process.exitCode = 1
  } finally {
    await lock.release()
    if (process.connected) process.disconnect()
  }
}

void main(process.argv.slice(2))
