// Gradients of tokens' rows, cosines of rows, and votes of a trained classifier, against plain sums over the same.
import { headTensors, requiredTensors } from '../../lib/models/facts.js'
import { addon } from '../../lib/native/load.js'
import { callNative, runTask } from '../../lib/native/task.js'
import { noTarget } from '../../lib/native/types.js'
import { Random } from '../../lib/random.js'
import { networkFixtures } from '../support/networks.js'
import { largest, setup, type Setup } from '../support/scored.js'

const noGroup = 2 ** 32 - 1
const memory = 2 ** 30

const tokenTable = ({ network }: Setup) =>
  requiredTensors(network).find(({ group, shape }) => group === 'embedding' && shape[0] === network.vocabularySize)!

/** Σ over each group's tokens of the gradient of its row, at the base. */
async function gradients(s: Setup, group: Uint32Array, groups: number, threads: number): Promise<Float32Array> {
  const path = callNative(() => addon().openPath(s.base, s.moved, { family: 'linear', lambdas: [0] }))
  try {
    const request = { ...s.texts, path, network: s.network, group, groups, point: 0, threads, memory }
    return await runTask((report) => addon().tokenGradients(request, report), 'tokens', 'texts')
  } finally {
    path.close()
  }
}

describe.each(networkFixtures())('%s', (name) => {
  let s: Setup
  beforeAll(async () => {
    s = await setup(name)
  })
  afterAll(() => s.close())

  // a group for every row of the table: its gradient; float32 against float64: 1e-4 of the largest
  test("tokens' gradients are those of transformers", async () => {
    const { ids, targets } = s.texts
    const name = tokenTable(s).name
    // the gradient of a table that is also the output layer has more in it
    if (s.network.objective === 'language' && headTensors(s.network).last.includes(name)) return
    const want = s.gold(`gradient.${s.stored.get(name)}`)
    const rows = s.network.vocabularySize,
      width = want.length / rows
    const got = await gradients(s, Uint32Array.from(ids), rows, 2)
    expect(got.length).toBe(want.length)
    const count = targets ? [...targets].filter((t) => t !== noTarget).length : s.texts.offsets.length - 1
    const scale = largest(want)
    for (const id of new Set(ids)) {
      const own = Array.from(want).slice(id * width, (id + 1) * width)
      if (largest(own) === 0) continue // a padding row, which training leaves alone
      const sum = got.slice(id * width, (id + 1) * width)
      expect(largest(own.map((value, j) => value - sum[j]! / count))).toBeLessThan(1e-4 * scale)
    }
  })

  test('groups add up, and threads change no bit', async () => {
    const { ids } = s.texts
    const random = new Random(1, name)
    const group = Uint32Array.from(ids, () => (random.below(3) === 0 ? noGroup : random.below(5)))
    const some = await gradients(s, group, 5, 1)
    expect(await gradients(s, group, 5, 3)).toEqual(some)
    const single = await gradients(s, Uint32Array.from(ids.keys()), ids.length, 2)
    const width = single.length / ids.length
    const sums = new Float64Array(some.length)
    group.forEach((to, token) => {
      for (let j = 0; to !== noGroup && j < width; j++) sums[to * width + j] += single[token * width + j]!
    })
    const scale = largest(single)
    expect(largest(sums.map((value, i) => value - some[i]!))).toBeLessThan(1e-5 * scale * ids.length)
  })
})

test('cosines of rows with directions', async () => {
  const s = await setup(networkFixtures()[0]!)
  const table = tokenTable(s)
  const [rows, width] = table.shape as [number, number]
  const path = callNative(() => addon().openPath(s.base, s.moved, { family: 'linear', lambdas: [0.5] }))
  try {
    const [a, b] = [
      await addon().pathTensor(path, table.name, 0).promise,
      await addon().pathTensor(path, table.name, 1).promise,
    ]
    const alpha = -0.25
    const random = new Random(3, 'directions')
    const directions = Float32Array.from({ length: 3 * width }, () => random.normal())
    const chosen = Uint32Array.from([rows - 1, 0, 2, 2])
    const request = { name: table.name, rows: chosen, alpha, directions, threads: 2 }
    const got = await runTask((report) => addon().rowDirections(s.base, s.moved, request, report), 'rows', 'rows')
    chosen.forEach((row, i) => {
      const moved = Array.from({ length: width }, (_, j) => b[row * width + j]! - (1 + alpha) * a[row * width + j]!)
      const norm = Math.sqrt(moved.reduce((sum, value) => sum + value * value, 0))
      for (let d = 0; d < 3; d++) {
        const sum = moved.reduce((total, value, j) => total + value * directions[d * width + j]!, 0)
        expect(got[i * 3 + d]).toBeCloseTo(sum / norm, 5)
      }
    })
    const none = await runTask(
      (report) => addon().rowDirections(s.base, s.base, { ...request, alpha: 0, rows: Uint32Array.of(1) }, report),
      'rows',
      'rows',
    )
    expect([...none]).toEqual([0, 0, 0])
  } finally {
    path.close()
    s.close()
  }
})
