// `train` on a disk that is full: its own code, the last good state kept, nothing half-written. Needs a tmpfs (root).
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { planLab } from '../../lib/lab/index.js'
import { parseRecipe, readLabelledTexts, trainOn, type TrainingResult } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { domainFile, trainableModel } from '../support/training.js'

const domains = ['animals', 'plants', 'stones']
const base = trainableModel()
const data = domainFile(domains, 16)
const recipe = parseRecipe({ epochs: 2, batch: 8, learningRate: 2e-3, dropout: 0.1 })
const page = 4096
const stateFile = 'warp.train.state.safetensors'

const disk = temporaryDirectory()
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]).status === 0
if (!mounted) process.stderr.write('skipped: a full disk while training: no tmpfs can be mounted here\n')
const withDisk = mounted ? test : test.skip

/** A state after every step. */
async function run(output: string, onStep: (done: number) => void = () => {}): Promise<TrainingResult> {
  const onProgress = ({ phase, done }: { phase: string; done: number }): void => {
    if (phase === 'train') onStep(done)
  }
  return trainOn(base, await readLabelledTexts([data], {}, domains), recipe, {
    output,
    threads: 1,
    stateSeconds: 0,
    onProgress,
  })
}

/** Leaves `bytes` free. */
function fill(bytes: number): void {
  const { bavail, bsize } = statfsSync(disk)
  writeFileSync(join(disk, 'ballast'), Buffer.alloc(bavail * bsize - bytes))
}

withDisk('a plan on a full disk: a matter of the disk, and no pilot stays', async () => {
  const output = join(disk, 'lab')
  for (const left of [page, 3 * page]) {
    fill(left)
    await expect(
      planLab({ base, data: [data], output, trials: 2, texts: 6, probesPerDomain: 3 }),
    ).rejects.toMatchObject({
      code: 'DISK_FULL',
    })
    rmSync(join(disk, 'ballast'))
    expect(readdirSync(disk)).toEqual([])
  }
})

const weights = (folder: string): Buffer => readFileSync(join(folder, 'model.safetensors'))

describe('a full disk', () => {
  afterAll(() => {
    if (mounted) spawnSync('umount', [disk])
  })

  // The state is some 80 pages: its temporary file breaks off at its beginning or at its end.
  withDisk.each([
    ['one page', () => page],
    ['all but one page', (size: number) => Math.floor((size - 1) / page) * page],
  ])(
    'the disk fills up with %s left for the state: the earlier state stays, and the run goes on from it',
    async (_, left) => {
      const whole = await run(join(temporaryDirectory(), 'out'))
      const output = join(disk, 'out')
      let state = Buffer.alloc(0)
      const failed = run(output, (done) => {
        if (done !== 5) return
        state = readFileSync(join(output, stateFile))
        fill(left(state.length))
      })
      await expect(failed).rejects.toMatchObject({
        code: 'DISK_FULL',
        exitCode: 4,
        details: { expected: expect.any(Number) },
      })
      expect(readdirSync(output)).toEqual([stateFile])
      expect(readFileSync(join(output, stateFile)).equals(state)).toBe(true)
      rmSync(join(disk, 'ballast'))
      const resumed = await run(output)
      expect(resumed.resumedAt).toBe(5)
      expect(weights(output).equals(weights(whole.output))).toBe(true)
      rmSync(output, { recursive: true })
    },
  )

  withDisk('no room for the model at the end: no model, the state of the last step', async () => {
    const output = join(disk, 'out')
    await expect(
      run(output, (done) => {
        if (done === 12) fill(5 * page)
      }),
    ).rejects.toMatchObject({ code: 'DISK_FULL', exitCode: 4 })
    expect(readdirSync(output).filter((name) => /model|part$|train\.json/.test(name))).toEqual([])
    rmSync(join(disk, 'ballast'))
    expect((await run(output)).resumedAt).toBe(12)
    expect(readdirSync(output).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'warp.train.json',
    ])
  })
})
