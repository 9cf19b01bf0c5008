// One trial of a lab in a process of its own: node trial-worker.js LAB INDEX THREADS [MEMORY].
import { access } from 'node:fs/promises'
import path from 'node:path'
import { removeParts } from '../claim.js'
import { makeFolders } from '../folders.js'
import { takeLock } from '../lock.js'
import { trialsFolder } from './plan.js'
import { runTrial } from './run-trial.js'
import { serveTask, type TaskRun } from './task-worker.js'
import { readTrial, trialFile } from './trial-record.js'

// Training takes most of a trial's time; the rest is scoring.
const shares: Record<string, [begin: number, share: number]> = { train: [0, 0.8], score: [0.8, 0.2] }

const [lab, number, threads, memory] = process.argv.slice(2)
const index = Number(number)

async function main({ signal, onFraction }: TaskRun): Promise<void> {
  const file = path.join(lab, trialsFolder, trialFile(index))
  await makeFolders(path.dirname(file))
  const lock = takeLock(path.join(path.dirname(file), 'lock'))
  if (!lock) throw Object.assign(new Error(`another process is at trial ${index}`), { code: 'TRIAL_LOCKED' })
  try {
    await removeParts(path.dirname(file), [path.basename(file)])
    const finished = await access(file).then(
      () => readTrial(file),
      () => undefined,
    )
    if (finished && !finished.error) return
    await runTrial(lab, index, {
      threads: Number(threads),
      memory: memory === undefined ? undefined : Number(memory),
      signal,
      onProgress: ({ phase, done, total }) => {
        const place = shares[phase]
        if (place) onFraction(place[0] + (place[1] * done) / total)
      },
    })
  } finally {
    lock.close()
  }
}

void serveTask(main)
