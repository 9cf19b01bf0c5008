// Trials belong to a plan and to a place, models to a training.
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { planLab, runLab, runTrial, type LabPlanOptions } from '../../lib/lab/index.js'
import { warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { domainFile, trainableModel } from '../support/training.js'

const base = trainableModel()
const data = domainFile(['animals', 'plants', 'stones'], 60)
const trialsOf = (lab: string): string => join(lab, 'trials')

async function plan(extra: Partial<LabPlanOptions> = {}): Promise<string> {
  const output = temporaryDirectory()
  const recipe = { epochs: 1, batch: 8, learningRate: 1e-3 }
  await planLab({
    base,
    data: [data],
    output,
    trials: 2,
    texts: 24,
    probesPerDomain: 10,
    recipe,
    paths: [{ points: 2 }],
    seed: 3,
    ...extra,
  })
  return output
}

test('one of another plan, one in the place of another, a model of another training', async () => {
  const lab = await plan({ trials: 2 })
  const other = await plan({ trials: 2, seed: 4 })
  for (const folder of [lab, other]) await runTrial(folder, 0, { threads: 1 })
  cpSync(join(trialsOf(other), '0000'), join(trialsOf(lab), '0000'), { recursive: true })
  await expect(runLab({ lab })).rejects.toMatchObject({ code: 'TRIAL_OTHER_PLAN', exitCode: 3 })
  expect(JSON.parse((await warp(['lab', 'fit', lab, '--json', '-q'])).stdout).error.code).toBe('TRIAL_OTHER_PLAN')
  rmSync(trialsOf(lab), { recursive: true })
  await runTrial(lab, 1, { threads: 1 })
  cpSync(join(trialsOf(lab), '0001'), join(trialsOf(lab), '0000'), { recursive: true })
  await expect(runLab({ lab })).rejects.toMatchObject({ code: 'TRIAL_MISPLACED', exitCode: 3 })
  rmSync(join(trialsOf(lab), '0000'), { recursive: true })
  const kept = await plan({ trials: 2, seed: 5, keep: 'weights' })
  await runTrial(kept, 0, { threads: 1 })
  cpSync(join(trialsOf(kept), '0000', 'model'), join(trialsOf(lab), '0000', 'model'), { recursive: true })
  await expect(runTrial(lab, 0, { threads: 1 })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
})
