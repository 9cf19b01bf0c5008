// Gradients of tokens' rows, cosines of rows, and votes of a trained classifier, against plain sums over the same.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { headTensors, requiredTensors } from '../../lib/models/facts.js'
import { addon } from '../../lib/native/load.js'
import { callNative, runTask } from '../../lib/native/task.js'
import { noTarget } from '../../lib/native/types.js'
import { Random } from '../../lib/random.js'
import { trace, type TraceOptions } from '../../lib/trace/index.js'
import { train } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { networkFixtures } from '../support/networks.js'
import { largest, setup, type Setup } from '../support/scored.js'
import { domainTexts, trainableModel } from '../support/training.js'

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

describe('votes of a trained classifier', () => {
  const domains = ['a', 'b', 'c']
  const base = trainableModel()
  const reference = join(temporaryDirectory(), 'trained')
  const texts = domainTexts(domains, 60)
  const pool = texts.filter((_, i) => i % 2 === 0).map(({ text, label }) => ({ text, domain: label }))
  const run = (probes: typeof pool, extra: Partial<TraceOptions> = {}) =>
    trace({ base, reference, probes, votes: true, calibrate: 20, ...extra })

  beforeAll(async () => {
    const file = join(temporaryDirectory(), 'training.jsonl')
    const training = texts.filter(({ label }, i) => i % 2 === 1 && (label !== 'c' || i % 4 === 1))
    writeFileSync(file, training.map((row) => `${JSON.stringify(row)}\n`).join(''))
    await train({
      base,
      data: [file],
      output: reference,
      labels: domains,
      epochs: 20,
      batch: 8,
      learningRate: 1e-3,
      dropout: 0,
    })
  })

  test('stand beside the mixture and in one with it', async () => {
    const { result } = await run(pool)
    expect(result.votes).toMatchObject({ verdict: 'counted', counts: { texts: pool.length, lambda: 0.4 } })
    expect(result.mixtures.map(({ readout }) => readout)).toEqual(['trace', 'votes', 'trace+votes'])
    const [own, votes, both] = result.mixtures
    const { weight } = result.votes!.counts!
    expect(weight).toBeGreaterThan(0)
    expect(weight).toBeLessThan(1)
    for (const { mixture, interval } of [votes, both]) {
      expect(domains.reduce((sum, name) => sum + mixture[name], 0)).toBeCloseTo(1, 10)
      for (const name of domains) {
        const [low, high] = interval[name]
        expect(low).toBeLessThanOrEqual(mixture[name])
        expect(high).toBeGreaterThanOrEqual(mixture[name])
      }
    }
    for (const name of domains)
      expect(both.mixture[name]).toBeCloseTo(weight * votes.mixture[name] + (1 - weight) * own.mixture[name], 10)
    // half as many texts of c as of a or b
    expect(votes.mixture.c).toBeLessThan(votes.mixture.a)
    expect(votes.mixture.c).toBeLessThan(votes.mixture.b)
  })

  test('depend on neither threads nor the order of texts', async () => {
    const shuffled = new Random(4, 'order').shuffle([...pool])
    const [one, other] = [await run(pool, { threads: 1 }), await run(shuffled, { threads: 3 })]
    for (const name of domains) {
      for (const i of [1, 2])
        expect(other.result.mixtures[i].mixture[name]).toBeCloseTo(one.result.mixtures[i].mixture[name], 9)
    }
  })

  test('say why they do not apply', async () => {
    const reason = async (probes: typeof pool, extra: Partial<TraceOptions> = {}): Promise<string> => {
      const { result } = await run(probes, extra)
      expect(result.votes).toMatchObject({ verdict: 'none', counts: null })
      expect(result.mixtures.map(({ readout }) => readout)).toEqual(['trace'])
      return result.votes!.reason
    }
    const renamed = (name: (label: string, i: number) => string) =>
      pool.map(({ text, domain }, i) => ({ text, domain: name(domain, i) }))
    expect(await reason(renamed((label) => `news of ${label}`))).toMatch('is none of the model')
    expect(await reason(pool.slice(0, 8))).toMatch(/domain/)
    const split = pool.map(({ text, domain }, i) => ({ text, label: domain, domain: `${domain}${i % 2}` }))
    expect(await reason(split)).toBe('several domains have the same label')
    const joined = pool.map(({ text, domain }) => ({ text, label: domain, domain: domain === 'a' ? 'x' : 'y' }))
    expect(await reason(joined)).toBe('domain y has texts of several labels')
    const many = Array.from({ length: 101 }, (_, i) => ({ ...pool[i % pool.length], label: 'a', domain: `d${i}` }))
    expect(await reason(many)).toBe('it sets every domain against every other, which is done up to 100')
    const few = domains.flatMap((name) => pool.filter(({ domain }) => domain === name).slice(0, 1))
    expect(await reason(few)).toMatch(/stand in 1 to 20 of the texts; 30 are needed/)
    const { result } = await trace({ base, reference, votes: true })
    expect(result.votes).toMatchObject({ verdict: 'none', reason: 'the table tells nothing of texts' })
    expect((await run(pool, { votes: false })).result.votes).toBeNull()
  })
})
