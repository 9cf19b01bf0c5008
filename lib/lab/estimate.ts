import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { explain } from '../checkpoint/atomic.js'
import { writeFileAtomic } from '../checkpoint/index.js'
import type { RunOptions } from '../native/task.js'
import { parseRecipe, pick, stepsOf, trainOn, type LabelledTexts } from '../train/index.js'
import { footprintsOf } from './footprints.js'
import { probeLines, type Decided, type LabPlan } from './plan.js'
import { statisticsToTrial } from './trial-record.js'
import { stat } from '../stat.js'

const STEPS = 4
const PROBES_PER_DOMAIN = 8

const pilotPrefix = '.pilot-'

/** Removes the pilots of killed runs from a claimed folder. */
export async function removePilots(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(pilotPrefix)) await rm(path.join(folder, name), { recursive: true, force: true })
  }
}

/**
 * What the trials of a plan will take: trains a few steps and footprints a few probes, in a folder of its own below
 * `folder`, which it removes.
 * @param rows a trial's texts
 * @throws WarpError of training and footprints, as a trial would
 */
export async function estimate(
  plan: Decided,
  all: LabelledTexts,
  rows: Int32Array,
  folder: string,
  control: RunOptions,
): Promise<LabPlan['estimate']> {
  const threads = os.availableParallelism()
  const recipe = parseRecipe({ ...plan.recipe, seed: plan.trials[0].seed, epochs: 1 })
  const place = await mkdtemp(path.join(folder, pilotPrefix)).catch((cause: unknown) => {
    throw explain(cause, folder, 0)
  })
  try {
    const { output, probes } = await writeProbes(plan, all, place)
    const step = recipe.batch * recipe.accumulate
    const trajectory = plan.paths.find(({ path: family }) => family === 'trajectory')
    // as many checkpoints as the path has points
    const pilotSteps = Math.max(STEPS, trajectory ? Number(trajectory.points ?? 5) + 1 : 0)
    const took: number[] = []
    let last = performance.now()
    const training = await trainOn(plan.base.path, pick(all, rows.subarray(0, pilotSteps * step)), recipe, {
      output,
      dtype: plan.dtype,
      threads,
      saveSteps: trajectory ? 1 : undefined,
      signal: control.signal,
      onProgress: ({ phase }) => {
        if (phase === 'train') took.push((performance.now() - last) / 1000)
        last = performance.now()
      },
    })
    // the first step also reads and allocates; the last of a pilot may be short of texts
    const secondsPerStep = median(took.length > 2 ? took.slice(1, -1) : took)
    const share = probes.count / plan.probes.length
    const trained = pick(all, rows.subarray(0, Math.ceil(share * rows.length)))
    const started = performance.now()
    const { footprints, pool, scoreSeconds } = await footprintsOf(plan, {
      reference: output,
      probes: probes.file,
      trained,
      threads,
      signal: control.signal,
    })
    const openSeconds = (performance.now() - started) / 1000 - scoreSeconds
    const facts = {
      index: 0,
      seed: 0,
      domains: plan.domains,
      counts: plan.trials[0].counts,
      recipe: { ...recipe },
      timings: {},
    }
    const record = JSON.stringify(statisticsToTrial(facts, footprints, { containsTraining: true, pool })).length
    const model = await bytesOf(output)
    const steps = stepsOf(parseRecipe(plan.recipe), rows.length)
    const trial = { steps, trainSeconds: steps * secondsPerStep, footprintSeconds: openSeconds + scoreSeconds / share }
    return {
      pilot: { threads, steps: training.steps, secondsPerStep, probes: probes.count, openSeconds, scoreSeconds },
      trial,
      seconds: plan.trials.length * (trial.trainSeconds + trial.footprintSeconds),
      bytes: {
        kept: plan.trials.length * (record + (plan.keep === 'weights' ? model : 0)),
        // beside the model, the state to go on from: weights and two moments in F32
        running: record + model + 12 * training.trained.parameters,
        memory: 1024 * process.resourceUsage().maxRSS,
      },
    }
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

async function writeProbes(plan: Decided, all: LabelledTexts, folder: string) {
  const taken = new Array<number>(plan.domains.length).fill(0)
  const rows = plan.probes.filter((row) => ++taken[all.domain[row]] <= PROBES_PER_DOMAIN)
  const file = path.join(folder, 'probes.jsonl')
  await writeFileAtomic(file, probeLines({ ...plan, probes: rows }, all))
  return { output: path.join(folder, 'model'), probes: { file, count: rows.length } }
}

/** Of the files in a folder, and below it. */
async function bytesOf(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true })
  const sizes = await Promise.all(
    names.map(async (name) => {
      const found = await stat(path.join(folder, name))
      return found.isFile() ? found.size : 0
    }),
  )
  return sizes.reduce((a, b) => a + b, 0)
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1]
}
