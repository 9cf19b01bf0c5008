// A small lab from plan to report: what a plan holds, that trials survive kills and each other, what is refused.
import { execFileSync, spawn } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  fitProjectors,
  planLab,
  planRun,
  readPlan,
  readTrials,
  reportTable,
  runLab,
  runTrial,
  type LabPlanOptions,
} from '../../lib/lab/index.js'
import { takeLock } from '../../lib/lock.js'
import { membersOf, poolOf } from '../../lib/lab/plan.js'
import { workersThatFit } from '../../lib/lab/run-lab.js'
import { readLabelledTexts } from '../../lib/train/index.js'
import { warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'
import { domainFile, trainableModel } from '../support/training.js'

const domains = ['animals', 'plants', 'stones']
const base = trainableModel()
const data = domainFile(domains, 60)

const plan = (extra: Partial<LabPlanOptions> = {}, output = temporaryDirectory()): Promise<string> =>
  planLab({
    base,
    data: [data],
    output,
    trials: 6,
    texts: 24,
    probesPerDomain: 10,
    recipe: { epochs: 2, batch: 8, learningRate: 1e-3 },
    paths: [{ points: 3 }],
    seed: 3,
    ...extra,
  }).then(() => output)
const trialsOf = (lab: string): string => join(lab, 'trials')
/** Everything of a trial but the seconds it took, and the digest that covers them. */
const resultOf = (lab: string, index: number): unknown => ({
  ...JSON.parse(readFileSync(join(trialsOf(lab), `000${index}`, 'trial.json'), 'utf8')),
  timings: null,
  digest: null,
})

test('a plan is the same for the same options, keeps probes out of training, says what is drawn', async () => {
  const lab = await plan()
  const made = await readPlan(lab)
  expect({ ...(await readPlan(await plan())), estimate: null }).toEqual({ ...made, estimate: null })
  expect(made.trials).toHaveLength(6)
  for (const { counts, mixture } of made.trials) {
    expect(counts.reduce((a, b) => a + b)).toBe(24)
    counts.forEach((count, d) => expect(Math.abs(count / 24 - mixture[d])).toBeLessThanOrEqual(1 / 24))
  }
  expect(made.probes).toHaveLength(30)
  const members = membersOf(await readLabelledTexts([data], {}, []))
  expect(
    poolOf(members, made.probes, 'disjoint')
      .flat()
      .some((row) => made.probes.includes(row)),
  ).toBe(false)
  expect(poolOf(members, made.probes, 'shared').flat()).toHaveLength(180)
  expect(new Set(made.trials.map(({ seed }) => seed)).size).toBe(6)
})

test('a plan estimates what its trials take, after a pilot that leaves nothing', async () => {
  const lab = await plan({
    recipe: { epochs: 5, batch: 4, accumulate: 2 },
    paths: [{ points: 3 }, { path: 'trajectory', points: 2 }],
    keep: 'weights',
  })
  const {
    estimate: { pilot, trial, seconds, bytes },
  } = await readPlan(lab)
  expect(readdirSync(lab).sort()).toEqual(['plan.json', 'probes.jsonl'])
  expect([pilot.steps, pilot.probes]).toEqual([3, 24])
  expect(trial.steps).toBe(15)
  expect(trial.trainSeconds).toBeCloseTo(15 * pilot.secondsPerStep, 9)
  // of ten probes a domain the pilot took eight
  expect(trial.footprintSeconds).toBeCloseTo(pilot.openSeconds + (pilot.scoreSeconds * 10) / 8, 9)
  expect(bytes.memory).toBeGreaterThan(1e7)
  expect(seconds).toBeCloseTo(6 * (trial.trainSeconds + trial.footprintSeconds), 9)
  await runTrial(lab, 0, { threads: 1 })
  const size = (folder: string): number =>
    readdirSync(folder, { withFileTypes: true, recursive: true }).reduce(
      (sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
      0,
    )
  // the same files, but for the lengths of numbers in records
  expect(bytes.kept / 6 / size(join(trialsOf(lab), '0000'))).toBeCloseTo(1, 1)
  expect(
    await planLab({ base, data: [data], output: join(lab, 'none'), texts: 24, probesPerDomain: 10, dryRun: true }),
  ).toMatchObject({ seed: 0 })
  expect(existsSync(join(lab, 'none'))).toBe(false)
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
  expect(Object.keys(trials[0].paths[0].mixtures)).toEqual(
    expect.arrayContaining(['uniform', 'softmax', 'gradient-matching']),
  )
  for (const { membership, counts } of trials) {
    expect(membership).toMatchObject({ containsTraining: true, pool: counts.map((count) => count + 10) })
  }
  expect(existsSync(join(trialsOf(lab), '0000', 'model'))).toBe(false)
  const before = readdirSync(trialsOf(lab)).map((name) => statSync(join(trialsOf(lab), name, 'trial.json')).mtimeMs)
  expect(await runLab({ lab })).toMatchObject({ earlier: 6, done: 0 })
  expect(readdirSync(trialsOf(lab)).map((name) => statSync(join(trialsOf(lab), name, 'trial.json')).mtimeMs)).toEqual(
    before,
  )
  const { report } = await reportTable(trials, { folds: 3 })
  await expect(reportTable(trials.slice(0, 3), { folds: 3 })).rejects.toMatchObject({
    code: 'TRIALS_FEW',
    details: { found: 2 },
  })
  expect(report.table.map(({ readout }) => readout)).toEqual(
    expect.arrayContaining(['uniform', 'random', 'softmax', 'mlp', 'equivariant']),
  )
  expect((await fitProjectors(trials)).map(({ model }) => model.kind).sort()).toEqual(['equivariant', 'mlp'])
})

test('kill -9 of the runner loses nothing, a second runner changes nothing', async () => {
  const whole = await plan()
  await runLab({ lab: whole, workers: 2, threads: 1 })
  const lab = await plan()
  const runner = spawn(
    process.execPath,
    [
      '-e',
      `require(${JSON.stringify(join(repositoryRoot, 'dist/lib/lab/index.js'))}).runLab({ lab: ` +
        `${JSON.stringify(lab)}, workers: 2, threads: 1 })`,
    ],
    { stdio: 'ignore' },
  )
  const over = new Promise((resolve) => runner.on('exit', resolve))
  for (let i = 0; i < 600 && !existsSync(join(trialsOf(lab), '0000', 'trial.json')); i++) await sleep(20)
  runner.kill('SIGKILL')
  await over
  const [a, b] = await Promise.all([runLab({ lab, workers: 1, threads: 1 }), runLab({ lab, workers: 1, threads: 1 })])
  expect([a.failed, b.failed]).toEqual([[], []])
  for (let i = 0; i < 6; i++) expect(resultOf(lab, i)).toEqual(resultOf(whole, i))
})

test('the model of a trial that was killed right after its record goes with the next run', async () => {
  const lab = await plan()
  await runTrial(lab, 0, { threads: 1 })
  const record = resultOf(lab, 0)
  const model = join(trialsOf(lab), '0000', 'model')
  mkdirSync(join(model, 'checkpoint-2'), { recursive: true })
  writeFileSync(join(model, 'checkpoint-2', 'model.safetensors'), 'left')
  await planRun({ lab, only: [0] })
  expect(existsSync(model)).toBe(true)
  expect(await runLab({ lab, only: [0] })).toMatchObject({ earlier: 1, done: 0 })
  expect(existsSync(model)).toBe(false)
  expect(resultOf(lab, 0)).toEqual(record)
})

test('weights are kept on request; footprints along several paths', async () => {
  const lab = await plan({
    keep: 'weights',
    paths: [{ points: 2 }, { path: 'quadratic', points: 2 }, { path: 'trajectory', points: 2 }],
  })
  const trial = await runTrial(lab, 1, { threads: 1 })
  expect(trial.paths.map(({ path }) => path)).toEqual(['linear', 'quadratic', 'trajectory'])
  expect(await runLab({ lab, only: [1] })).toMatchObject({ earlier: 1, done: 0 })
  expect(existsSync(join(trialsOf(lab), '0001', 'model', 'model.safetensors'))).toBe(true)
})

test('a trial that fails is tried once more, recorded with its error, and the rest goes on', async () => {
  const lab = await plan({ trials: 3 })
  mkdirSync(join(trialsOf(lab), '0000'), { recursive: true })
  writeFileSync(join(trialsOf(lab), '0000', 'model'), 'in the way')
  const result = await runLab({ lab, workers: 1, threads: 1 })
  expect(result).toMatchObject({ done: 2, failed: [{ index: 0, code: 'OUTPUT_NOT_WRITABLE' }] })
  expect((await readTrials(trialsOf(lab))).map(({ error }) => error?.code)).toEqual([
    'OUTPUT_NOT_WRITABLE',
    undefined,
    undefined,
  ])
  rmSync(join(trialsOf(lab), '0000', 'model'))
  expect(await runLab({ lab, workers: 1, threads: 1 })).toMatchObject({ earlier: 2, done: 1, failed: [] })
})

test('an aborted run stops its children and goes on later', async () => {
  const lab = await plan()
  const controller = new AbortController()
  const onProgress = ({ done }: { done: number }): void => {
    if (done >= 1) controller.abort(new Error('enough'))
  }
  await expect(runLab({ lab, workers: 1, threads: 1, signal: controller.signal, onProgress })).rejects.toThrow('enough')
  const left = await runLab({ lab, workers: 2, threads: 1 })
  expect(left.earlier).toBeGreaterThanOrEqual(1)
  expect(left.earlier + left.done).toBe(6)
})

test.each([
  [8, 4, 100, 1, 4],
  [3, 4, 100, 1, 3],
  [8, 4, 2.5, 1, 2],
  [8, 4, 0.5, 1, 1],
])('%i trials, %i cores, %d GB free, %d GB each: %i at a time', (trials, cores, available, each, workers) =>
  expect(workersThatFit(trials, cores, available, each)).toBe(workers),
)

test('locks: one holder, given back by whoever dies', async () => {
  const file = join(temporaryDirectory(), 'lock')
  const take = `const { takeLock } = require(${JSON.stringify(join(repositoryRoot, 'dist/lib/lock.js'))})
    const lock = takeLock(${JSON.stringify(file)})
    console.log(lock !== null);`
  const holder = spawn(process.execPath, ['-e', `${take} setInterval(() => lock, 1000)`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
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

test('the command line: what would be planned and run, and the run', async () => {
  const folder = join(temporaryDirectory(), 'lab')
  const args = [
    '--base',
    base,
    '--data',
    data,
    '--trials',
    '3',
    '--texts',
    '24',
    '--probes-per-domain',
    '10',
    '--epochs',
    '1',
    '-q',
    '-o',
    folder,
  ]
  const dry = await warp(['lab', 'plan', ...args, '-n'])
  expect(dry.stdout).toMatch(
    /3 trials of 24 texts, 30 probes.*time {2}about.*disk.*pilot of 1 steps.*nothing was written\n$/s,
  )
  expect(existsSync(folder)).toBe(false)
  expect((await warp(['lab', 'plan', ...args])).stdout).toMatch(/run it: warp lab run /)
  const planned = await warp(['lab', 'run', folder, '--only', '0,2', '--threads', '1', '-n', '--json', '-q'])
  expect(JSON.parse(planned.stdout)).toMatchObject({
    schema: 'warp.lab.run-plan/1',
    executor: 'local',
    threads: 1,
    earlier: [],
    tasks: [0, 2],
  })
  expect(existsSync(trialsOf(folder))).toBe(false)
  expect(await warp(['lab', 'run', folder, '--only', '0,2', '--threads', '1', '-q'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('2 of 2 trials done'),
  })
  expect((await warp(['lab', 'run', folder, '-n', '-q'])).stdout).toMatch(
    /^1 trials to run[\s\S]*; 2 are there\n {2}trials 1\n/,
  )
  const few = await warp(['lab', 'report', folder, '--json', '-q'])
  expect([few.code, JSON.parse(few.stdout).error]).toEqual([
    3,
    expect.objectContaining({ code: 'TRIALS_FEW', details: { expected: 3, found: 1 } }),
  ])
})

describe('refusals', () => {
  test('a mixture that asks for more than there is', () =>
    expect(plan({ texts: 160 })).rejects.toMatchObject({
      code: 'MIXTURE_POOL_SMALL',
      exitCode: 3,
      details: { found: 50 },
    }))
  test('unknown keys of a recipe', () =>
    expect(plan({ recipe: { rate: 1 } as object })).rejects.toMatchObject({
      code: 'RECIPE_INVALID',
      exitCode: 3,
      message: expect.stringContaining('rate'),
    }))
  test('a rate that diverges, before there is a plan', async () => {
    const output = temporaryDirectory()
    await expect(plan({ recipe: { batch: 8, learningRate: 1e30 } }, output)).rejects.toMatchObject({
      code: 'TRAINING_DIVERGED',
    })
    expect(readdirSync(output)).toEqual([])
  })
  test('more probes than texts', () =>
    expect(plan({ probesPerDomain: 60 })).rejects.toMatchObject({ code: 'PROBES_TOO_MANY' }))
  test('a plan that is there', async () => {
    const lab = await plan()
    await expect(plan({}, lab)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    await plan({ force: true, seed: 4 }, lab)
    await runLab({ lab, only: [0] })
    await plan({ force: true, seed: 4 }, lab)
    await expect(plan({ force: true, seed: 5 }, lab)).rejects.toMatchObject({ code: 'PLAN_HAS_TRIALS', exitCode: 3 })
    await expect(runLab({ lab, only: [6] })).rejects.toMatchObject({ code: 'TRIAL_INDEX' })
  })
  test('a named pipe in the place of a plan, which nobody writes into', async () => {
    const lab = temporaryDirectory()
    execFileSync('mkfifo', [join(lab, 'plan.json')])
    await expect(plan({}, lab)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    expect((await readPlan(await plan({ force: true }, lab))).trials).not.toEqual([])
  })
  test('no plan, another version, an edited one', async () => {
    await expect(readPlan(temporaryDirectory())).rejects.toMatchObject({ code: 'PLAN_MISSING', exitCode: 3 })
    const lab = await plan()
    const file = join(lab, 'plan.json')
    const text = readFileSync(file, 'utf8')
    for (const [from, to, code] of [
      ['warp.lab.plan/1', 'warp.lab.plan/9', 'PLAN_VERSION'],
      ['"seed": 3', '"seed": 4', 'PLAN_EDITED'],
      ['"scope": "head"', '"scope": 3', 'PLAN_FORM'],
    ]) {
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
  test('a base that changed, before any trial', async () => {
    const own = trainableModel()
    const lab = await plan({ base: own })
    const file = join(own, 'model.safetensors')
    const bytes = readFileSync(file)
    bytes[bytes.length - 1] ^= 1
    writeFileSync(file, bytes)
    await expect(runLab({ lab })).rejects.toMatchObject({ code: 'BASE_CHANGED', exitCode: 3, details: { file } })
    expect(existsSync(trialsOf(lab))).toBe(false)
  })
})

const mounted = process.platform === 'linux' && process.getuid?.() === 0
if (!mounted) process.stderr.write('skipped: a full disk: only root can mount one\n')
const onSmallDisk = mounted ? test : test.skip
onSmallDisk('a disk that fills up: its own code, earlier trials intact, goes on when there is space', async () => {
  const lab = temporaryDirectory()
  const {
    estimate: { bytes },
  } = await plan({ keep: 'weights' }).then(readPlan)
  const mount = (...args: string[]): void => void execFileSync('mount', args)
  // room for three trials and a half
  mount('-t', 'tmpfs', '-o', `size=${Math.ceil(((bytes.kept / 6) * 3.5) / 4096) * 4}k`, 'tmpfs', lab)
  try {
    await plan({ keep: 'weights' }, lab)
    await expect(runLab({ lab, workers: 1, threads: 1 })).rejects.toMatchObject({ code: 'DISK_FULL', exitCode: 4 })
    const there = await readTrials(trialsOf(lab))
    expect(there.length).toBeGreaterThanOrEqual(2)
    expect(there.every(({ error }) => !error)).toBe(true)
    mount('-o', `remount,size=${bytes.kept * 2}`, lab)
    expect(await runLab({ lab, workers: 1, threads: 1 })).toMatchObject({
      earlier: there.length,
      done: 6 - there.length,
      failed: [],
    })
    for (const { index } of there)
      expect(existsSync(join(trialsOf(lab), `000${index}`, 'model', 'model.safetensors'))).toBe(true)
  } finally {
    execFileSync('umount', ['-l', lab])
  }
})
