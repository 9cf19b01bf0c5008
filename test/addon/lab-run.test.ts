// A small lab from plan to report: what a plan holds, that trials survive kills and each other, what is refused.
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fitProjectors, planLab, readPlan, readTrials, reportTable, runLab, runTrial, type LabPlanOptions } from '../../lib/lab/index.js'
import { takeLock } from '../../lib/lab/lock.js'
import { membersOf, poolOf } from '../../lib/lab/plan.js'
import { readLabelledTexts } from '../../lib/train/index.js'
import { temporaryDirectory } from '../models.js'
import { repositoryRoot } from '../shared.js'
import { domainFile, trainableModel } from '../training.js'

const domains = ['animals', 'plants', 'stones']
const base = trainableModel()
const data = domainFile(domains, 60)

const plan = (extra: Partial<LabPlanOptions> = {}, output = temporaryDirectory()): Promise<string> =>
  planLab({ base, data: [data], output, trials: 6, texts: 24, probesPerDomain: 10, recipe: { epochs: 2, batch: 8, learningRate: 1e-3 }, paths: [{ points: 3 }], seed: 3, ...extra })
    .then(() => output)
const trialsOf = (lab: string): string => join(lab, 'trials')
/** Everything of a trial but the seconds it took. */
const resultOf = (lab: string, index: number): unknown => ({ ...JSON.parse(readFileSync(join(trialsOf(lab), `000${index}`, 'trial.json'), 'utf8')), timings: null })

test('a plan is the same for the same options, keeps probes out of training, says what is drawn', async () => {
  const lab = await plan()
  const made = await readPlan(lab)
  expect(readFileSync(join(await plan(), 'plan.json'))).toEqual(readFileSync(join(lab, 'plan.json')))
  expect(made.trials).toHaveLength(6)
  for (const { counts, mixture } of made.trials) {
    expect(counts.reduce((a, b) => a + b)).toBe(24)
    counts.forEach((count, d) => expect(Math.abs(count / 24 - mixture[d])).toBeLessThanOrEqual(1 / 24))
  }
  expect(made.probes).toHaveLength(30)
  const members = membersOf(await readLabelledTexts([data], {}, []))
  expect(poolOf(members, made.probes, 'disjoint').flat().some((row) => made.probes.includes(row))).toBe(false)
  expect(poolOf(members, made.probes, 'shared').flat()).toHaveLength(180)
  expect(new Set(made.trials.map(({ seed }) => seed)).size).toBe(6)
})

test('plan, run, fit, report', async () => {
  const lab = await plan()
  const seen: number[] = []
  const result = await runLab({ lab, workers: 2, threads: 1, onProgress: ({ done }) => seen.push(done) })
  expect(result).toMatchObject({ trials: 6, earlier: 0, done: 6, failed: [] })
  expect(seen.every((done, i) => i === 0 || done >= seen[i - 1])).toBe(true)
  const trials = await readTrials(trialsOf(lab))
  const { trials: planned } = await readPlan(lab)
  trials.forEach((trial, i) => expect(trial.counts).toEqual(planned[i].counts))
  expect(Object.keys(trials[0].paths[0].mixtures)).toEqual(expect.arrayContaining(['uniform', 'softmax', 'gradient-matching']))
  for (const { membership, counts } of trials) {
    expect(membership).toMatchObject({ containsTraining: true, pool: counts.map((count) => count + 10) })
  }
  expect(existsSync(join(trialsOf(lab), '0000', 'model'))).toBe(false)
  const before = readdirSync(trialsOf(lab)).map((name) => statSync(join(trialsOf(lab), name, 'trial.json')).mtimeMs)
  expect(await runLab({ lab })).toMatchObject({ earlier: 6, done: 0 })
  expect(readdirSync(trialsOf(lab)).map((name) => statSync(join(trialsOf(lab), name, 'trial.json')).mtimeMs)).toEqual(before)
  const { report } = await reportTable(trials, { folds: 3 })
  await expect(reportTable(trials.slice(0, 3), { folds: 3 })).rejects.toMatchObject({ code: 'TRIALS_FEW', details: { found: 2 } })
  expect(report.table.map(({ readout }) => readout)).toEqual(expect.arrayContaining(['uniform', 'random', 'softmax', 'mlp', 'equivariant']))
  expect((await fitProjectors(trials)).map(({ model }) => model.kind).sort()).toEqual(['equivariant', 'mlp'])
})

test('kill -9 of the runner loses nothing, a second runner changes nothing', async () => {
  const whole = await plan()
  await runLab({ lab: whole, workers: 2, threads: 1 })
  const lab = await plan()
  const runner = spawn(process.execPath, ['-e', `require(${JSON.stringify(join(repositoryRoot, 'dist/lib/lab/index.js'))}).runLab({ lab: ${JSON.stringify(lab)}, workers: 2, threads: 1 })`],
    { stdio: 'ignore' })
  const over = new Promise((resolve) => runner.on('exit', resolve))
  for (let i = 0; i < 600 && !existsSync(join(trialsOf(lab), '0000', 'trial.json')); i++) await sleep(20)
  runner.kill('SIGKILL')
  await over
  const [a, b] = await Promise.all([runLab({ lab, workers: 1, threads: 1 }), runLab({ lab, workers: 1, threads: 1 })])
  expect([a.failed, b.failed]).toEqual([[], []])
  for (let i = 0; i < 6; i++) expect(resultOf(lab, i)).toEqual(resultOf(whole, i))
})

test('weights are kept on request; footprints along several paths', async () => {
  const lab = await plan({ keep: 'weights', paths: [{ points: 2 }, { path: 'quadratic', points: 2 }, { path: 'trajectory', points: 2 }] })
  const trial = await runTrial(lab, 1, { threads: 1 })
  expect(trial.paths.map(({ path }) => path)).toEqual(['linear', 'quadratic', 'trajectory'])
  expect(existsSync(join(trialsOf(lab), '0001', 'model', 'model.safetensors'))).toBe(true)
})

test('a trial that fails is tried once more, recorded with its error, and the rest goes on', async () => {
  const lab = await plan({ recipe: { epochs: 2, batch: 8, learningRate: 1e30 }, trials: 2 })
  const result = await runLab({ lab, workers: 1, threads: 1 })
  expect(result.failed.map(({ index, code }) => [index, code])).toEqual([[0, 'TRAINING_DIVERGED'], [1, 'TRAINING_DIVERGED']])
  expect((await readTrials(trialsOf(lab))).map(({ error }) => error?.code)).toEqual(['TRAINING_DIVERGED', 'TRAINING_DIVERGED'])
})

test('an aborted run stops its children and goes on later', async () => {
  const lab = await plan()
  const controller = new AbortController()
  const onProgress = ({ done }: { done: number }): void => { if (done >= 1) controller.abort(new Error('enough')) }
  await expect(runLab({ lab, workers: 1, threads: 1, signal: controller.signal, onProgress })).rejects.toThrow('enough')
  const left = await runLab({ lab, workers: 2, threads: 1 })
  expect(left.earlier).toBeGreaterThanOrEqual(1)
  expect(left.earlier + left.done).toBe(6)
})

test('locks: one holder, given back by whoever dies', async () => {
  const file = join(temporaryDirectory(), 'lock')
  const take = `const lock = require(${JSON.stringify(join(repositoryRoot, 'dist/lib/lab/lock.js'))}).takeLock(${JSON.stringify(file)}); console.log(lock !== null);`
  const holder = spawn(process.execPath, ['-e', `${take} setInterval(() => lock, 1000)`], { stdio: ['ignore', 'pipe', 'inherit'] })
  const over = new Promise((resolve) => holder.on('exit', resolve))
  expect(String(await new Promise((resolve) => holder.stdout.once('data', resolve)))).toBe('true\n')
  expect(takeLock(file)).toBeNull()
  holder.kill('SIGKILL')
  await over
  const lock = takeLock(file)
  expect(lock).not.toBeNull()
  expect(takeLock(file)).toBeNull()
  lock!.close()
  takeLock(file)!.close()
  expect(() => takeLock(join(file, 'x'))).toThrow(expect.objectContaining({ code: 'FILE_NOT_LOCKABLE', exitCode: 4 }))
})

describe('refusals', () => {
  test('a mixture that asks for more than there is', () =>
    expect(plan({ texts: 160 })).rejects.toMatchObject({ code: 'MIXTURE_POOL_SMALL', exitCode: 3, details: { found: 50 } }))
  test('unknown keys of a recipe', () =>
    expect(plan({ recipe: { rate: 1 } as object })).rejects.toMatchObject({ code: 'RECIPE_INVALID', message: expect.stringContaining('rate') }))
  test('more probes than texts', () => expect(plan({ probesPerDomain: 60 })).rejects.toMatchObject({ code: 'PROBES_TOO_MANY' }))
  test('a plan that is there', async () => {
    const lab = await plan()
    await expect(plan({}, lab)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    await plan({ force: true }, lab)
  })
  test('no plan, another version, an edited one', async () => {
    await expect(readPlan(temporaryDirectory())).rejects.toMatchObject({ code: 'PLAN_MISSING', exitCode: 3 })
    const lab = await plan()
    const file = join(lab, 'plan.json')
    const text = readFileSync(file, 'utf8')
    for (const [from, to, code] of [['warp.lab.plan/1', 'warp.lab.plan/9', 'PLAN_VERSION'], ['"seed": 3', '"seed": 4', 'PLAN_EDITED'], ['"scope": "head"', '"scope": "tail"', 'PLAN_FORM']]) {
      writeFileSync(file, text.replace(from, to))
      await expect(runLab({ lab })).rejects.toMatchObject({ code, exitCode: 3 })
    }
  })
  test('data that changed, before any trial', async () => {
    const own = domainFile(domains, 60)
    const lab = await plan({ data: [own] })
    appendFileSync(own, '{"text": "w1 w2", "label": "animals"}\n')
    await expect(runLab({ lab })).rejects.toMatchObject({ code: 'DATA_CHANGED', exitCode: 3 })
    expect(existsSync(trialsOf(lab))).toBe(false)
  })
})
