// The forward passes and the head's scores against what transformers computes (test/fixtures/models, see
// test/fixtures/models/make.py), and the laws they must obey.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeWeights, networkOf, openPair, readSafetensorsHeader } from '../../lib/checkpoint/index.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import type { Network } from '../../lib/models/network.js'
import type { ScoreRequest, ScoreResult } from '../../lib/native/types.js'
import { repositoryRoot } from '../support/shared.js'

const fixtures = join(repositoryRoot, 'test/fixtures/models')

interface Golden {
  ids: Int32Array
  types: Int32Array
  offsets: Int32Array
  labels: Int32Array
  lambdas: Float64Array
  logits: Float32Array
  head_input: Float32Array
  cls?: Float32Array
  logits64: Float64Array
  loss64: Float64Array
  scores64: Float64Array
}

async function golden(kind: string): Promise<Golden> {
  const file = join(fixtures, kind, 'golden.safetensors')
  const { tensors } = await readSafetensorsHeader(file)
  const bytes = readFileSync(file)
  const out: Record<string, unknown> = {}
  for (const { storedName, dtype, offset, length } of tensors) {
    const copy = bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + length)
    out[storedName] =
      dtype === 'I32' ? new Int32Array(copy) : dtype === 'F32' ? new Float32Array(copy) : new Float64Array(copy)
  }
  return out as unknown as Golden
}

/** Weight, then bias where there is one, of the classifier. */
async function readHead(file: string): Promise<number[]> {
  const { tensors } = await readSafetensorsHeader(file)
  const bytes = readFileSync(file)
  return ['classifier.weight', 'score.weight', 'classifier.bias']
    .flatMap((name) => tensors.filter((t) => t.storedName === name))
    .flatMap(({ offset, length }) => [
      ...new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + length)),
    ])
}

interface Setup {
  request: (lambdas: number[], extra?: Partial<ScoreRequest>) => ScoreRequest
  network: Network
  labels: number
  close: () => void
  gold: Golden
}

async function setup(kind: string, baseDir = 'base', baseHead?: 'zeros'): Promise<Setup> {
  const gold = await golden(kind)
  const pair = await openPair(join(fixtures, kind, baseDir), join(fixtures, kind, 'reference'), { baseHead })
  const base = nativeWeights(pair.base, pair.generated)
  const reference = nativeWeights(pair.reference)
  const network = networkOf(pair.reference, 'classify')
  const domain = Int32Array.from(gold.labels)
  const present = [...new Set(domain)].sort()
  for (let i = 0; i < domain.length; i++) domain[i] = present.indexOf(domain[i])
  return {
    network,
    labels: pair.reference.architecture.labels.length,
    gold,
    close: () => {
      base.close()
      reference.close()
    },
    request: (lambdas, extra = {}) => ({
      path: addon().openPath(base, reference, { family: 'linear', lambdas, quadraticC: 0.3 }),
      network,
      ids: Uint32Array.from(gold.ids),
      typeIds: kind === 'bert' ? Uint8Array.from(gold.types) : new Uint8Array(0),
      offsets: Uint32Array.from(gold.offsets),
      label: gold.labels,
      domain,
      domains: present.length,
      scope: 'head',
      gradients: false,
      threads: 1,
      memory: 2 ** 30,
      ...extra,
    }),
  }
}

const score = (request: ScoreRequest): Promise<ScoreResult> =>
  runTask((p) => addon().score(request, p), 'score', 'tokens')

const largest = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0)

describe.each(['bert', 'gpt2'])('%s', (kind) => {
  let s: Setup
  let result: ScoreResult
  const lambdas = [0.05, 0.35, 0.95]
  beforeAll(async () => {
    s = await setup(kind)
    result = await score(s.request(lambdas, { headInputs: true }))
  })
  afterAll(() => s.close())

  // Both sides are float32 (rounding 6e-8 a step, sums of at most 50 terms, two layers): 2e-5 of the largest entry.
  test('logits and head inputs are those of transformers', () => {
    const { gold } = s
    const n = gold.labels.length
    const c = s.labels
    const h = s.network.hiddenSize
    const rows = kind === 'bert' ? gold.cls! : gold.head_input
    for (let i = 0; i < n; i++)
      for (let p = 0; p < 5; p++) {
        for (let j = 0; j < c; j++) {
          expect(Math.abs(result.logits[(i * 5 + p) * c + j] - gold.logits[(i * 5 + p) * c + j])).toBeLessThan(
            2e-5 * largest(gold.logits),
          )
        }
        for (let j = 0; j < h; j++) {
          expect(Math.abs(result.headInputs![(p * n + i) * h + j] - rows[(i * 5 + p) * h + j])).toBeLessThan(
            2e-5 * largest(rows),
          )
        }
      }
  })

  test('losses and alignment are those of double precision', () => {
    const { gold } = s
    const n = gold.labels.length
    for (let i = 0; i < n; i++) {
      for (let p = 0; p < 5; p++) {
        expect(Math.abs(result.loss[i * 5 + p] - gold.loss64[i * 5 + p])).toBeLessThan(
          2e-5 * (1 + largest(gold.logits)),
        )
      }
      for (let k = 0; k < 3; k++) {
        expect(Math.abs(result.alignment[i * 3 + k] - gold.scores64[i * 5 + k + 1])).toBeLessThan(
          1e-4 * largest(gold.scores64),
        )
      }
    }
  })

  test('bits do not depend on threads or memory', async () => {
    const want = await score(s.request(lambdas, { gradients: true }))
    const smallest = async (threads: number) =>
      (await addon().planScore(s.request(lambdas, { gradients: true, threads })).promise).smallestBytes
    for (const extra of [{ threads: 2 }, { threads: 3, memory: await smallest(3) }, { memory: await smallest(1) }]) {
      const got = await score(s.request(lambdas, { gradients: true, ...extra }))
      expect(got.loss).toEqual(want.loss)
      expect(got.alignment).toEqual(want.alignment)
      expect(got.gradients).toEqual(want.gradients)
    }
  })

  test('a budget that is too small is refused with the one that would do', async () => {
    const { smallestBytes } = await addon().planScore(s.request(lambdas)).promise
    await expect(score(s.request(lambdas, { memory: smallestBytes - 1 }))).rejects.toMatchObject({
      code: 'MEMORY_BUDGET',
      kind: 'resource',
    })
    expect((await score(s.request(lambdas, { memory: smallestBytes }))).plan.peakBytes).toBeLessThanOrEqual(
      smallestBytes,
    )
  })

  // s_ik = −(1/‖δ‖) dℓ/dλ of the loss as a function of the head alone, the head's input held at θ_k: a central
  // difference in float64 with step 1e-4 errs by 1e-8 · ℓ‴, far below the float32 of what it is compared with.
  test('alignment is the slope of the head-only loss along the path', async () => {
    const { gold } = s
    const head = await Promise.all(
      ['base', 'reference'].map(async (side) => readHead(join(fixtures, kind, side, 'model.safetensors'))),
    )
    const c = s.labels
    const h = s.network.hiddenSize
    const norm = Math.sqrt(head[0].reduce((sum, w, i) => sum + (head[1][i] - w) ** 2, 0))
    const loss = (i: number, k: number, lambda: number) => {
      const z = Array.from({ length: c }, (_, j) => {
        const weight = (at: number) => head[0][at] + lambda * (head[1][at] - head[0][at])
        let sum = head[0].length > c * h ? weight(c * h + j) : 0
        for (let x = 0; x < h; x++) sum += weight(j * h + x) * gold.head_input[(i * 5 + k + 1) * h + x]
        return sum
      })
      return Math.log(z.reduce((sum, v) => sum + Math.exp(v), 0)) - z[gold.labels[i]]
    }
    for (let i = 0; i < gold.labels.length; i++)
      lambdas.forEach((lambda, k) => {
        const slope = (loss(i, k, lambda + 1e-4) - loss(i, k, lambda - 1e-4)) / 2e-4
        expect(Math.abs(result.alignment[i * 3 + k] + slope / norm)).toBeLessThan(1e-4 * largest(gold.scores64))
      })
  })

  test('the gradient statistics agree with sums over probes', async () => {
    const got = await score(s.request(lambdas, { gradients: true }))
    expect(got.gradients.map((g) => `${g.scope} ${g.q}`)).toEqual(
      kind === 'bert' ? ['head 0', 'top 0', 'head 1', 'top 1'] : ['head 0', 'head 1'],
    )
    const { domain, domains } = s.request(lambdas)
    for (const g of got.gradients) {
      const sums = Array.from({ length: domains }, () => new Array<number>(domains + 1).fill(0))
      const counts = new Array<number>(domains).fill(0)
      for (let i = 0; i < domain.length; i++) {
        counts[domain[i]]++
        for (let d = 0; d <= domains; d++) sums[domain[i]][d] += g.perProbe[i * (domains + 2) + d]
      }
      const scale = largest(g.gram)
      for (let d = 0; d < domains; d++) {
        for (let e = 0; e < domains; e++)
          expect(Math.abs(sums[d][e] / counts[d] - g.gram[d * domains + e])).toBeLessThan(1e-5 * scale)
        expect(Math.abs(sums[d][domains] / counts[d] - g.displacement[d])).toBeLessThan(
          1e-5 * Math.sqrt(scale * g.displacementNorm2),
        )
      }
      for (let i = 0; i < domain.length; i++) {
        // ‖g_i‖² ≥ ⟨g_i, A⟩² / ‖A‖²
        const norm2 = g.perProbe[i * (domains + 2) + domains + 1]
        for (let d = 0; d < domains; d++) {
          expect(g.perProbe[i * (domains + 2) + d] ** 2).toBeLessThanOrEqual(
            norm2 * g.gram[d * domains + d] * (1 + 1e-5),
          )
        }
      }
    }
  })

  // The path's weights are the pair's, so the mean score over points, weighted by ‖δ‖, is −⟨Ḡ_d, δ⟩ for q = 0.
  test('alignment and gradient statistics tell the same', async () => {
    for (const scope of kind === 'bert' ? (['head', 'top'] as const) : (['head'] as const)) {
      const got = await score(s.request(lambdas, { gradients: true, scope }))
      const g = got.gradients.find((x) => x.scope === scope && x.q === 0)!
      const { domain, domains } = s.request(lambdas)
      for (let i = 0; i < domain.length; i++) {
        const mean = lambdas.reduce((sum, _, k) => sum + got.alignment[i * 3 + k], 0) / 3
        const want = -g.perProbe[i * (domains + 2) + domains] / Math.sqrt(g.displacementNorm2)
        expect(Math.abs(mean - want)).toBeLessThan(1e-5 * Math.sqrt(largest(g.perProbe)))
      }
    }
  })

  test('lambda = 1 has no direction: an error that names it', async () => {
    await expect(score(s.request([0.5, 1]))).rejects.toMatchObject({
      code: 'DIRECTION_ZERO',
      kind: 'input',
      message: expect.stringContaining('1.0'),
    })
  })

  test('aborting rejects with the reason and frees everything', async () => {
    const before = addon().memoryUsed()
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController()
      const running = runTask((p) => addon().score(s.request(lambdas, { gradients: true }), p), 'score', 'tokens', {
        signal: controller.signal,
      })
      if (i % 2) setImmediate(() => controller.abort(new Error('enough')))
      else controller.abort(new Error('enough'))
      await running.catch((error: Error) => expect(error.message).toBe('enough'))
    }
    expect(addon().memoryUsed()).toBe(before)
  })

  test('closed handles are refused', async () => {
    const request = s.request(lambdas)
    request.path.close()
    expect(() => addon().score(request, undefined)).toThrow('closed')
  })
})

test('a base in old names, BF16, in shards, without a head, is read the same', async () => {
  const s = await setup('bert', 'base-old', 'zeros')
  const plain = await setup('bert')
  const a = await score(s.request([0.5], { headInputs: true }))
  const b = await score(plain.request([0.5], { headInputs: true }))
  // BF16 keeps 8 bits: weights differ by 2⁻⁹ relative, a few per cent of the hidden states at most
  for (let i = 0; i < a.headInputs!.length; i++)
    expect(Math.abs(a.headInputs![i] - b.headInputs![i])).toBeLessThan(0.15)
  const n = s.gold.labels.length
  for (let i = 0; i < n; i++) expect(a.loss[i * 3]).toBeCloseTo(Math.log(3), 6) // θ₀ with a zero head
  s.close()
  plain.close()
})
