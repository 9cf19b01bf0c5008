// A lab, and the features of a selection, as Slurm job arrays on a cluster of one node, which fails in the middle.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { planLab, runLab, SlurmExecutor } from '../../lib/lab/index.js'
import { select } from '../../lib/select/index.js'
import { warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'
import { domainFile, trainableModel } from '../support/training.js'

const folder = mkdtempSync(join(tmpdir(), 'warp-slurm-')) // not one that is removed before its daemons are stopped
const slurm = (action: string) =>
  spawnSync(join(repositoryRoot, 'test/support/slurm'), [action, folder], { encoding: 'utf8' })
const missing = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'not root'
  if (spawnSync('slurmctld', ['-V']).status !== 0) return 'slurm-wlm is not installed'
  const { status, stderr } = slurm('start')
  return status === 0 ? undefined : `no Slurm here: ${stderr.trim()}`
}
const why = missing()
if (why) process.stderr.write(`skipped: the lab on Slurm: ${why}\n`)
const onSlurm = why ? test.skip : test

const environment = { ...process.env }
beforeAll(() => {
  process.env.SLURM_CONF = join(folder, 'slurm.conf')
})
afterAll(() => {
  slurm('stop')
  rmSync(folder, { recursive: true, force: true })
  process.env = environment
})

const plan = async (trials: number, epochs: number): Promise<string> => {
  const lab = temporaryDirectory()
  await planLab({
    base: trainableModel(),
    data: [domainFile(['animals', 'plants', 'stones'], 60)],
    output: lab,
    trials,
    texts: 40,
    probesPerDomain: 10,
    recipe: { epochs, batch: 4, learningRate: 1e-4 },
    paths: [{ points: 3 }],
    seed: 3,
  })
  return lab
}
const shares = (lab: string, index: number): unknown => {
  const { truth, paths, error } = JSON.parse(readFileSync(join(lab, 'trials', `000${index}`, 'trial.json'), 'utf8'))
  return { truth, paths, error }
}

onSlurm(
  'eight trials outlive the node they run on',
  async () => {
    const [lab, here] = [await plan(8, 60), await plan(8, 60)]
    const going = runLab({ lab, executor: new SlurmExecutor(undefined, 0.3), threads: 1 })
    const started = (): boolean =>
      existsSync(join(lab, 'trials')) &&
      readdirSync(join(lab, 'trials')).some((name) => existsSync(join(lab, 'trials', name, 'model')))
    while (!started()) await sleep(50)
    expect(slurm('kill').status).toBe(0)
    expect(
      readdirSync(join(lab, 'trials')).filter((name) => existsSync(join(lab, 'trials', name, 'trial.json'))).length,
    ).toBeLessThan(8)
    expect(slurm('node').status).toBe(0)
    expect(await going).toMatchObject({ trials: 8, done: 8, failed: [] })
    await runLab({ lab: here, workers: 2, threads: 1 })
    for (let i = 0; i < 8; i++) expect(shares(lab, i)).toEqual(shares(here, i))
  },
  300_000,
)

onSlurm(
  'a trial that fails says why; the command line',
  async () => {
    const lab = await plan(2, 1)
    mkdirSync(join(lab, 'trials', '0001'), { recursive: true })
    writeFileSync(join(lab, 'trials', '0001', 'model'), 'in the way')
    const { code, stdout } = await warp(['lab', 'run', lab, '--executor', 'slurm', '--json', '-q'])
    expect(JSON.parse(stdout)).toMatchObject({ done: 1, failed: [{ index: 1, code: 'OUTPUT_NOT_WRITABLE' }] })
    expect(code).toBe(3)
  },
  120_000,
)

onSlurm(
  'features of a selection',
  async () => {
    const { base, reference, probes } = makePair('bert')
    const common = { base, reference, corpus: [probes], count: 12, features: 'head' as const }
    const whole = await select({ ...common, output: temporaryDirectory() })
    const output = temporaryDirectory()
    const { documents } = await select({ ...common, output, shards: 2, executor: new SlurmExecutor(undefined, 0.3) })
    expect(documents).toEqual(whole.documents)
    expect(readdirSync(join(output, 'slurm'))).toHaveLength(2)
  },
  120_000,
)

test('without Slurm, or refused by it', async () => {
  const lab = await plan(2, 1)
  const refused = await warp(['lab', 'run', lab, '--executor', 'slurm', '--json', '-q'], {
    env: { PATH: temporaryDirectory() },
  })
  expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'SLURM_MISSING' } })
  expect(refused.code).toBe(4)
})
