// Paths through the addon on the committed random-weight models: names, λ, filters, trajectories, handles.
import { readFileSync } from 'node:fs'
import { openModel, openPair } from '../../lib/checkpoint/index.js'
import { openPairPath, openPath, pathFamilies, type OpenedPath } from '../../lib/paths/index.js'
import { fixtureModel } from '../support/models.js'

const [base, reference] = [fixtureModel('bert/base'), fixtureModel('bert/reference')]
const tensor = 'encoder.layer.0.attention.self.query.weight'

const paths: OpenedPath[] = []
afterEach(() => paths.splice(0).forEach((path) => path.close()))
async function opened(...args: Parameters<typeof openPath>): Promise<OpenedPath> {
  const path = await openPath(...args)
  paths.push(path)
  return path
}

async function stored(dir: string, name: string): Promise<Float32Array> {
  const model = await openModel(dir)
  const { file, offset, length, dtype } = model.tensors.get(name)!
  expect(dtype).toBe('F32')
  const bytes = readFileSync(model.files[file].path)
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + length))
}

test('linear is linear, and its ends are the models', async () => {
  const path = await opened(base, reference, { baseHead: 'zeros' })
  const [l, r] = [await stored(base, tensor), await stored(reference, tensor)]
  expect(await path.tensor(tensor, 0)).toEqual(l)
  expect(await path.tensor(tensor, 1)).toEqual(r)
  const middle = await path.tensor(tensor, 0.3)
  middle.forEach((value, i) => expect(value).toBe(Math.fround(l[i] - 0.3 * (l[i] - r[i]))))
  expect([...(await path.tensor('classifier.weight', 0))].every((value) => value === 0)).toBe(true)
})

test.each(pathFamilies.filter((family) => family !== 'trajectory'))(
  '%s moves every tensor and records what it did',
  async (family) => {
    const path = await opened(base, reference, { path: family, baseHead: 'zeros' })
    expect(path.record.map((entry) => entry.name)).toEqual(path.pair.tensorNames)
    let moved = 0
    for (const { name, elements } of path.record) {
      const [l, m] = [await path.tensor(name, 0), await path.tensor(name, 0.5)]
      expect(m).toHaveLength(elements)
      expect(m.every(Number.isFinite)).toBe(true)
      moved += m.some((value, i) => value !== l[i]) ? 1 : 0
    }
    // a one-element mask may keep nothing; anything larger than a few elements does move
    expect(moved).toBeGreaterThanOrEqual(path.record.filter(({ elements }) => elements > 8).length)
  },
)

test('a mask is the same whatever is asked first, and another with another seed', async () => {
  const open = (seed: number) => opened(base, reference, { path: 'dare', density: 0.5, seed, baseHead: 'zeros' })
  const a = await open(1)
  const b = await open(1)
  const c = await open(2)
  await b.tensor('pooler.dense.weight', 0.5)
  expect(await a.tensor(tensor, 0.7)).toEqual(await b.tensor(tensor, 0.7))
  expect(await a.tensor(tensor, 0.7)).not.toEqual(await c.tensor(tensor, 0.7))
})

test('filters leave tensors at the base and say so', async () => {
  const path = await opened(base, reference, { only: ['encoder.*'], baseHead: 'zeros' })
  expect(await path.tensor('pooler.dense.weight', 0.9)).toEqual(await stored(base, 'pooler.dense.weight'))
  expect(await path.tensor(tensor, 0.9)).not.toEqual(await stored(base, tensor))
  expect(path.record.find(({ name }) => name === 'pooler.dense.weight')).toMatchObject({
    branch: 'fixed at the base',
    kept: 0,
  })
  expect(path.notes.join('\n')).toMatch(/stay at the base/)
})

test('a trajectory takes its points from its checkpoints', async () => {
  const path = await opened(base, reference, {
    path: 'trajectory',
    checkpoint: [reference, reference],
    baseHead: 'zeros',
  })
  expect(path.lambdas).toEqual([1 / 3, 2 / 3])
  expect(await path.tensor(tensor, 1 / 3)).toEqual(await stored(reference, tensor))
  await expect(path.tensor(tensor, 0.5)).rejects.toMatchObject({ code: 'LAMBDA_UNKNOWN' })
  await expect(
    openPath(base, reference, { path: 'trajectory', checkpoint: [fixtureModel('gpt2/reference')], baseHead: 'zeros' }),
  ).rejects.toMatchObject({ code: 'PAIR_ARCHITECTURE' })
})

test('refuses what is not there, and stops when asked to', async () => {
  const pair = await openPair(base, reference, { baseHead: 'zeros' })
  const path = await openPairPath(pair)
  await expect(async () => path.tensor('no.such', 0.5)).rejects.toMatchObject({ code: 'TENSOR_UNKNOWN' })
  await expect(async () => path.tensor(tensor, 1.5)).rejects.toMatchObject({ code: 'LAMBDA_RANGE' })
  const reason = new Error('enough')
  await expect(path.tensor(tensor, 0.5, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  await expect(openPairPath(pair, { path: 'ties', signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  path.close()
  await expect(async () => path.tensor(tensor, 0.5)).rejects.toMatchObject({ code: 'HANDLE_CLOSED' })
  await expect(openPairPath(pair, { only: ['nothing.*'] })).rejects.toMatchObject({ code: 'FILTER_MATCHES_NOTHING' })
})

test('progress goes from nothing to all bytes', async () => {
  const seen: number[] = []
  let total = 0
  const path = await opened(base, reference, {
    path: 'slerp',
    baseHead: 'zeros',
    onProgress: (p) => {
      seen.push(p.done)
      total = p.total
      expect(p.unit).toBe('bytes')
    },
  })
  expect(seen.every((done, i) => i === 0 || done >= seen[i - 1])).toBe(true)
  expect(seen.at(-1)).toBe(total)
  expect(path.record.some(({ branch }) => branch === 'slerp')).toBe(true)
})
