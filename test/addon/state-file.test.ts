// The state a training run goes on from: any byte that was changed, cut, added or taken from elsewhere is noticed.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSafetensorsHeader } from '../../lib/checkpoint/index.js'
import { Random } from '../../lib/random.js'
import { train, type TrainOptions } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { domainFile, trainableModel } from '../support/training.js'

const base = trainableModel()
const data = domainFile(['animals', 'plants', 'stones'], 8)
const options: Omit<TrainOptions, 'output'> = {
  base,
  data: [data],
  epochs: 2,
  batch: 6,
  learningRate: 2e-3,
  threads: 1,
}
const stateFile = 'warp.train.state.safetensors'

/** The bytes of a state after `steps` steps. */
async function stateAfter(steps: number, extra: Partial<TrainOptions> = {}): Promise<Buffer> {
  const output = join(temporaryDirectory(), 'out')
  const controller = new AbortController()
  const onProgress = ({ phase, done }: { phase: string; done: number }): void => {
    if (phase === 'train' && done === steps) controller.abort('enough')
  }
  await train({ ...options, ...extra, output, signal: controller.signal, onProgress }).catch((reason: unknown) =>
    expect(reason).toBe('enough'),
  )
  return readFileSync(join(output, stateFile))
}

async function resumeFrom(bytes: Buffer): Promise<unknown> {
  const output = temporaryDirectory()
  writeFileSync(join(output, stateFile), bytes)
  const result = await train({ ...options, output }).catch((error: unknown) => error)
  rmSync(output, { recursive: true })
  return result
}

let good: Buffer
beforeAll(async () => {
  good = await stateAfter(3)
})

test('the untouched one is taken', async () => expect(await resumeFrom(good)).toMatchObject({ resumedAt: 3 }))

const random = new Random(5, 'mutants')
const below = (n: number): number => random.uint32() % n
const changes: Record<string, (bytes: Buffer) => Buffer> = {
  'a bit': (b) => {
    b[below(b.length)] ^= 1 << below(8)
    return b
  },
  'a bit of the header': (b) => {
    b[below(600)] ^= 1 << below(8)
    return b
  },
  'a cut': (b) => b.subarray(0, below(b.length)),
  'bytes more': (b) => Buffer.concat([b, Buffer.alloc(1 + below(64))]),
  'a swap': (b) => {
    const [from, to, size] = [below(b.length - 512), below(b.length - 512), 4 + below(508)]
    const piece = Buffer.from(b.subarray(from, from + size))
    if (piece.equals(b.subarray(to, to + size))) return b.subarray(1)
    b.copyWithin(from, to, to + size)
    piece.copy(b, to)
    return b
  },
  zeros: (b) => {
    let at = below(b.length)
    while (b[at] === 0) at = (at + 1) % b.length
    return b.fill(0, at, Math.min(b.length, at + 1 + below(4096)))
  },
  'a digit of the record': (b) => {
    const at = b.indexOf('\\"loss\\"') + 9 + below(20)
    b[at] = b[at] >= 0x30 && b[at] <= 0x39 ? 0x30 + ((b[at] - 0x2f) % 10) : 0x31
    return b
  },
}

test.each(Object.keys(changes))('%s: refused with one code, thirty times', async (change) => {
  for (let i = 0; i < 30; i++) {
    const bytes = changes[change](Buffer.from(good))
    expect(bytes.equals(good)).toBe(false)
    expect(await resumeFrom(bytes)).toMatchObject({ code: 'TRAIN_STATE_DAMAGED', exitCode: 3 })
  }
})

test('a number of steps that is not that of the parameters', async () => {
  const text = good.toString('latin1').replace('\\"step\\":3', '\\"step\\":2')
  expect(await resumeFrom(Buffer.from(text, 'latin1'))).toMatchObject({ code: 'TRAIN_STATE_DAMAGED' })
})

test('parameters of one step under the record of another', async () => {
  const other = await stateAfter(4)
  const { dataStart } = await readSafetensorsHeader(copy())
  const mixed = Buffer.concat([good.subarray(0, dataStart), other.subarray(other.length - (good.length - dataStart))])
  expect(await resumeFrom(mixed)).toMatchObject({ code: 'TRAIN_STATE_DAMAGED' })
})

test.each<[string, Partial<TrainOptions>, string]>([
  ['recipe', { learningRate: 1e-3 }, 'another recipe'],
  ['data', { data: [domainFile(['animals', 'plants', 'stones'], 9)] }, 'other texts'],
  ['base', { base: trainableModel('gpt2') }, 'another base'],
  ['configuration of the base', { base: withConfig({ hidden_dropout_prob: 0.3 }) }, 'another base'],
])('the state of a run with another %s says so', async (_, extra, message) => {
  expect(await resumeFrom(await stateAfter(2, extra))).toMatchObject({
    code: 'TRAIN_STATE_OTHER',
    exitCode: 3,
    message: expect.stringContaining(message),
  })
})

const places: Record<string, (path: string) => void> = {
  'a folder': (path) => mkdirSync(path),
  'a named pipe': (path) => void spawnSync('mkfifo', [path]),
  'a link to a state': (path) => symlinkSync(copy(), path),
  'a link to nothing': (path) => symlinkSync('/nowhere/at/all', path),
  'an empty file': (path) => writeFileSync(path, ''),
  'eight bytes': (path) => writeFileSync(path, Buffer.alloc(8, 255)),
  'a file of holes': (path) => {
    writeFileSync(path, '')
    truncateSync(path, 2 ** 33)
  },
}
test.each(Object.keys(places))('%s in its place', async (what) => {
  const output = temporaryDirectory()
  places[what](join(output, stateFile))
  await expect(train({ ...options, output })).rejects.toMatchObject({ code: 'TRAIN_STATE_DAMAGED', exitCode: 3 })
  expect(existsSync(join(output, 'model.safetensors'))).toBe(false)
})

function copy(): string {
  const file = join(temporaryDirectory(), 'state')
  writeFileSync(file, good)
  return file
}

function withConfig(change: object): string {
  const dir = trainableModel()
  const file = join(dir, 'config.json')
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...change }))
  return dir
}
