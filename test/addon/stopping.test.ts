// Work that is stopped at any point and repeated ends with the same bytes as work that was left alone.
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { planLab, runTrial } from '../../lib/lab/index.js'
import { merge } from '../../lib/merge/index.js'
import { addon } from '../../lib/native/load.js'
import { train, type TrainOptions } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'
import { stopEverywhere } from '../support/stopping.js'
import { domainFile, trainableModel } from '../support/training.js'

const domains = ['animals', 'plants', 'stones']
const base = trainableModel()
const data = domainFile(domains, 8)
const options: Omit<TrainOptions, 'output'> = {
  base,
  data: [data],
  epochs: 1,
  batch: 6,
  learningRate: 2e-3,
  seed: 4,
  threads: 1,
  saveSteps: 2,
}

/** Every file below a folder with its bytes. */
function contents(folder: string): Record<string, string> {
  const names = (readdirSync(folder, { recursive: true }) as string[]).filter((name) =>
    statSync(join(folder, name)).isFile(),
  )
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}

const place = (): string => join(temporaryDirectory(), 'out')

test('training that is stopped wherever its signal is looked at', async () => {
  const whole = place()
  await train({ ...options, output: whole })
  let output = place()
  const stopped = await stopEverywhere(
    (signal) => train({ ...options, output, signal }),
    async () => {
      await train({ ...options, output })
      expect(contents(output)).toEqual(contents(whole))
      output = place()
    },
  )
  expect(stopped).toBeGreaterThan(8)
  expect(contents(output)).toEqual(contents(whole))
})

// the cancellation comes while the step's result is on its way: the step is taken, and must be counted once
test.each(['at once', 'when the step is told', 'when its result is there'])(
  'a step that is cancelled %s',
  async (when) => {
    const whole = place()
    await train({ ...options, output: whole })
    const real = addon().trainSteps
    for (let step = 1; step <= 4; step++) {
      const output = place()
      const controller = new AbortController()
      let calls = 0
      addon().trainSteps = (trainer, request, report) => {
        const stop = (): void => controller.abort(new Error('enough'))
        const mine = ++calls === step
        const task = real(trainer, request, (done, total) => {
          if (mine && when === 'when the step is told') stop()
          report?.(done, total)
        })
        if (mine && when === 'at once') queueMicrotask(stop)
        return !mine || when !== 'when its result is there' ? task : { ...task, promise: task.promise.finally(stop) }
      }
      try {
        await expect(train({ ...options, output, signal: controller.signal })).rejects.toThrow('enough')
      } finally {
        addon().trainSteps = real
      }
      await train({ ...options, output })
      expect(contents(output)).toEqual(contents(whole))
    }
  },
)

test('a merge of a whole path that is stopped wherever its signal is looked at', async () => {
  const { base: from, reference } = makePair('bert')
  const path = { base: from, reference, points: 3, maxShard: 20_000 }
  const whole = place()
  await merge({ ...path, output: whole })
  let output = place()
  const stopped = await stopEverywhere(
    (signal) => merge({ ...path, output, signal }),
    async () => {
      await merge({ ...path, output })
      expect(contents(output)).toEqual(contents(whole))
      output = place()
    },
  )
  expect(stopped).toBeGreaterThan(5)
})

test('a trial of a lab that is stopped wherever its signal is looked at', async () => {
  const lab = place()
  const plan = (output: string): Promise<unknown> =>
    planLab({
      base,
      data: [data],
      output,
      trials: 1,
      texts: 9,
      probesPerDomain: 3,
      recipe: { epochs: 1, batch: 3, learningRate: 1e-3 },
      paths: [{ points: 2 }],
      seed: 3,
    })
  const untimed = (trial: object): object => ({ ...trial, timings: null })
  await plan(lab)
  const whole = untimed(await runTrial(lab, 0, { threads: 1 }))
  let other = place()
  await plan(other)
  const stopped = await stopEverywhere(
    (signal) => runTrial(other, 0, { threads: 1, signal }),
    async () => {
      expect(untimed(await runTrial(other, 0, { threads: 1 }))).toEqual(whole)
      other = place()
      await plan(other)
    },
    (look) => look + 3,
  )
  expect(stopped).toBeGreaterThan(3)
})
