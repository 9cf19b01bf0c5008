// Texts made token by token on the addon: against the same networks without a cache, against PyTorch, and against
// themselves with other threads and budgets.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeWeights, networkOf, openModel } from '../../lib/checkpoint/index.js'
import type { Network } from '../../lib/models/network.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import { noTarget, type GenerateRequest, type GenerateResult, type Handle } from '../../lib/native/types.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { networkFixtures } from '../support/networks.js'
import { repositoryRoot } from '../support/shared.js'

const languages = networkFixtures().filter((name) => /-(language|tied)$/.test(name))

interface Pair {
  network: Network
  base: Handle
  reference: Handle
}

async function open(name: string): Promise<Pair> {
  const dirs = makeLanguagePair(name)
  const [base, reference] = await Promise.all(
    [dirs.base, dirs.reference].map((dir) => openModel(dir, { objective: 'language' })),
  )
  return { network: networkOf(base!, 'language'), base: nativeWeights(base!), reference: nativeWeights(reference!) }
}

const starts = [[2], [2, 5, 9, 11, 4, 30, 8], [7, 7], [40, 41, 42, 43], [2, 6, 17], [33]]
function packed(texts: number[][]): { ids: Uint32Array; offsets: Uint32Array } {
  let end = 0
  return { ids: Uint32Array.from(texts.flat()), offsets: Uint32Array.from([0, ...texts.map((t) => (end += t.length))]) }
}

function pathOf({ base, reference }: Pair, lambdas: number[]): Handle {
  return addon().openPath(base, reference, { family: 'linear', lambdas })
}

function generate(pair: Pair, lambda: number, extra: Partial<GenerateRequest> = {}): Promise<GenerateResult> {
  const request: GenerateRequest = {
    path: pathOf(pair, [lambda]),
    network: pair.network,
    point: 0,
    ...packed(starts),
    newTokens: 18,
    ends: Uint32Array.of(3),
    temperature: 1,
    topK: 0,
    topP: 1,
    base: true,
    seed: 4,
    threads: 2,
    memory: 2 ** 30,
    ...extra,
  }
  return runTask((report) => addon().generate(request, report), 'generate', 'tokens')
}

const made = ({ ids, offsets }: GenerateResult, text: number): number[] => [
  ...ids.slice(offsets[text], offsets[text + 1]),
]

/** −log p of each made token at θ₀, λ and θ*, by a pass over the whole text. */
async function withoutCache(pair: Pair, lambda: number, result: GenerateResult, from = starts) {
  const texts = from.map((start, t) => [...start, ...made(result, t)])
  const { ids, offsets } = packed(texts)
  const targets = new Uint32Array(ids.length).fill(noTarget)
  const places: number[] = []
  texts.forEach((text, t) => {
    for (let i = from[t]!.length; i < text.length; i++) {
      targets[offsets[t]! + i - 1] = text[i]!
      places.push(offsets[t]! + i - 1)
    }
  })
  // θ* of this path is the point itself: what is asked for is between it and the base
  const { loss, tokenLoss } = await runTask(
    (report) =>
      addon().score(
        {
          path: pathOf(pair, [lambda]),
          network: pair.network,
          ids,
          offsets,
          typeIds: new Uint8Array(0),
          targets,
          domain: new Int32Array(texts.length),
          domains: 1,
          scope: [],
          gradients: false,
          threads: 2,
          memory: 2 ** 30,
        },
        report,
      ),
    'score',
    'tokens',
  )
  return {
    base: places.map((place) => tokenLoss![place * 2]!),
    reference: places.map((place) => tokenLoss![place * 2 + 1]!),
    atLambda: texts.map((_, t) => loss[t * 3 + 1]!),
  }
}

// the rounding of float32 logits: 1e-5 of the largest number that is compared, at least 1
const near = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  const scale = Math.max(1, ...Array.from(b, Math.abs))
  return Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!))) / scale
}

describe.each(languages)('%s', (name) => {
  let pair: Pair
  beforeAll(async () => {
    pair = await open(name)
  })
  afterAll(() => [pair.base, pair.reference].forEach((handle) => handle.close()))

  test('probabilities with kept keys and values are those without', async () => {
    const result = await generate(pair, 1)
    const { base, reference } = await withoutCache(pair, 1, result)
    expect(result.ids.length).toBeGreaterThan(60)
    expect(
      near(
        result.logProbability,
        reference.map((loss) => -loss),
      ),
    ).toBeLessThan(1e-5)
    expect(
      near(
        result.baseLogProbability,
        base.map((loss) => -loss),
      ),
    ).toBeLessThan(1e-5)
  })

  test('a text is the same whatever is made beside it, with any threads and any memory', async () => {
    for (const contrast of [undefined, 2]) {
      const extra = contrast === undefined ? {} : { contrast, floor: 0.05 }
      const first = await generate(pair, 1, extra)
      const same = async (more: Partial<GenerateRequest>): Promise<GenerateResult> => {
        const other = await generate(pair, 1, { ...extra, ...more })
        expect([...other.ids]).toEqual([...first.ids.slice(0, other.ids.length)])
        for (const field of ['logProbability', 'baseLogProbability'] as const)
          expect(Buffer.compare(bytes(other[field]), bytes(first[field].slice(0, other.ids.length)))).toBe(0)
        return other
      }
      await same({ threads: 1 })
      await same({ threads: 5 })
      const { smallestBytes } = first.plan
      const few = await same({ memory: smallestBytes })
      expect(few.plan.atOnce).toBeLessThanOrEqual(starts.length)
      for (const count of [1, 2, 4]) await same(packed(starts.slice(0, count)))
      const seeded = await generate(pair, 1, { ...extra, seed: 5 })
      expect([...seeded.ids]).not.toEqual([...first.ids])
    }
  })

  test('texts end with an end token, at their length, or where the context does', async () => {
    const { ids, offsets, ended } = await generate(pair, 1, {
      newTokens: 6,
      ends: Uint32Array.from({ length: 20 }, (_, i) => i),
    })
    let stopped = 0
    starts.forEach((_, t) => {
      const own = [...ids.slice(offsets[t], offsets[t + 1])]
      expect(own.slice(0, -1).every((id) => id >= 20)).toBe(true)
      expect(own.at(-1)! < 20).toBe(ended[t] === 1)
      if (ended[t]) stopped++
      else expect(own).toHaveLength(6)
    })
    expect(stopped).toBeGreaterThan(0)
    const long = Array.from({ length: pair.network.maxPositions - 2 }, (_, i) => 4 + (i % 40))
    const end = await generate(pair, 1, { ...packed([long]), ends: new Uint32Array(0) })
    expect(end.ids).toHaveLength(Math.min(2, 18))
  })
})

const bytes = (values: Float64Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

interface Golden {
  network: string
  contrast: number
  floor: number
  start: number[]
  ids: number[]
  logProbability: number[]
  baseLogProbability: number[]
}
const golden = JSON.parse(
  readFileSync(join(repositoryRoot, 'test/fixtures/generate/contrast.json'), 'utf8'),
) as Golden[]

test.each(golden.map((g) => [`${g.network}, a = ${g.contrast}, start ${g.start.join(' ')}`, g] as const))(
  'contrastive steps are those of PyTorch: %s',
  async (_, { network, contrast, floor, start, ids, ...want }) => {
    const pair = await open(network)
    const result = await generate(pair, 1, {
      ...packed([start]),
      newTokens: ids.length,
      ends: new Uint32Array(0),
      temperature: 0,
      contrast,
      floor,
    })
    expect([...result.ids]).toEqual(ids)
    expect(near(result.logProbability, want.logProbability)).toBeLessThan(2e-5)
    expect(near(result.baseLogProbability, want.baseLogProbability)).toBeLessThan(2e-5)
  },
)

describe('points of a path', () => {
  let pair: Pair
  beforeAll(async () => {
    pair = await open('llama-language')
  })
  const many = (count: number): GenerateRequest => ({
    path: pathOf(pair, [1]),
    network: pair.network,
    point: 0,
    ...packed(Array.from({ length: count }, () => [2])),
    newTokens: 19,
    ends: new Uint32Array(0),
    temperature: 1,
    topK: 0,
    topP: 1,
    base: true,
    seed: 0,
    threads: 1,
    memory: 2 ** 30,
  })
  test.each([-0.5, 0, 0.3, 1.5, 3])('lambda %d is the network at that point', async (lambda) => {
    const result = await generate(pair, lambda)
    const { atLambda, base } = await withoutCache(pair, lambda, result)
    const sums = starts.map((_, t) =>
      result.logProbability.slice(result.offsets[t], result.offsets[t + 1]).reduce((a, b) => a + b, 0),
    )
    expect(
      near(
        sums,
        atLambda.map((loss) => -loss),
      ),
    ).toBeLessThan(1e-5)
    expect(
      near(
        result.baseLogProbability,
        base.map((loss) => -loss),
      ),
    ).toBeLessThan(1e-5)
  })

  test('what overflows and what does not fit is refused', async () => {
    const code = (run: Promise<unknown>): Promise<string> =>
      run.then(
        () => 'none',
        (error: { code: string }) => error.code,
      )
    expect(await code(generate(pair, 1e38))).toBe('LOGITS_NOT_FINITE')
    expect(await code(generate(pair, 1, { contrast: 1e308, floor: 0 }))).toBe('LOGITS_NOT_FINITE')
    const { plan } = await generate(pair, 1)
    expect(await code(generate(pair, 1, { memory: plan.smallestBytes - 1 }))).toBe('MEMORY_BUDGET')
  })

  test('the plan bounds what is held, and nothing is left', async () => {
    const before = addon().memoryUsed()
    let most = 0
    const request = {
      ...many(2000),
      contrast: 1,
      floor: 0.1,
      memory: 4e6,
    }
    const watch = (): void => {
      most = Math.max(most, addon().memoryUsed() - before)
    }
    const { plan, offsets } = await runTask((report) => addon().generate(request, report), 'generate', 'tokens', {
      onProgress: watch,
    })
    expect(offsets).toHaveLength(2001)
    expect(plan.peakBytes).toBeLessThanOrEqual(request.memory)
    expect(plan.atOnce).toBeLessThan(2000)
    // the plan also has what is no native buffer: the texts, and what samplers hold
    expect(most).toBeLessThanOrEqual(plan.peakBytes)
    expect(most).toBeGreaterThan(plan.peakBytes / 2)
    expect(addon().memoryUsed()).toBe(before)
  })

  test('an abort stops it', async () => {
    const controller = new AbortController()
    const run = runTask((report) => addon().generate(many(3000), report), 'generate', 'tokens', {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(run).rejects.toThrow('enough')
  })
})
