// Every family of lib/models on the addon, against what `transformers` computes (test/fixtures/networks/make.py):
// logits, losses and gradients; scores of any scope against the gradients and against differences of the losses.
import { headTensors, requiredTensors } from '../../lib/models/facts.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import { noTarget } from '../../lib/native/types.js'
import { networkFixtures } from '../support/networks.js'
import { apart, largest, score, setup, type Setup } from '../support/scored.js'

/** Mean loss and gradients by reverse mode, as training computes them. */
async function backward(s: Setup): Promise<{ loss: number; gradients: Record<string, Float32Array> }> {
  const trainable = requiredTensors(s.network).map((t) => t.name)
  const dropout = { embedding: 0, attention: 0, hidden: 0, head: 0 }
  const request = { weights: s.base, network: s.network, trainable, dropout, seed: 0 }
  const trainer = await runTask((p) => addon().openTrainer(request, p), 'open', 'bytes')
  try {
    return await runTask((p) => addon().trainingGradients(trainer, { ...s.texts, threads: 2 }, p), 'train', 'texts')
  } finally {
    trainer.close()
  }
}

describe.each(networkFixtures())('%s', (name) => {
  let s: Setup
  beforeAll(async () => {
    s = await setup(name)
  })
  afterAll(() => s.close())

  // float32 through two layers against float64: 2e-5 of the largest logit, 1e-6 of a loss and its terms' rounding
  test('logits and losses are those of transformers', async () => {
    const all = s.network.objective === 'language' ? requiredTensors(s.network).map((t) => t.name) : 'head'
    const { loss, logits } = await score(s, [0.5], { scope: all })
    const losses = s.gold('losses')
    const n = losses.length
    for (let t = 0; t < n; t++) {
      const tokens = s.network.objective === 'language' ? s.texts.offsets[t + 1]! - s.texts.offsets[t]! : 1
      expect(Math.abs(loss[t * 3]! - losses[t]!)).toBeLessThan(2e-6 * Math.max(tokens, losses[t]!))
    }
    if (s.network.objective === 'language') return
    const want = s.gold('logits')
    const classes = want.length / n
    const got = Array.from(
      { length: n * classes },
      (_, i) => logits[Math.floor(i / classes) * 3 * classes + (i % classes)]!,
    )
    expect(apart(got, want)).toBeLessThan(2e-5 * largest(want))
  })

  test('gradients of every tensor are those of transformers', async () => {
    const trainable = requiredTensors(s.network).map((t) => t.name)
    const { loss, gradients } = await backward(s)
    const want = s.gold('loss')[0]!
    expect(Math.abs(loss - want)).toBeLessThan(2e-6 * Math.max(1, want))
    const wanted = new Map(trainable.map((tensor) => [tensor, s.gold(`gradient.${s.stored.get(tensor)}`)]))
    // 1e-4 of a tensor's largest gradient; of the largest of all where its own is only rounding (biases of keys)
    const scale = Math.max(...[...wanted.values()].map(largest))
    for (const [tensor, values] of wanted) {
      const error = apart(gradients[tensor]!, values)
      if (error > Math.max(1e-4 * largest(values), 1e-6 * scale))
        throw new Error(`${tensor}: off by ${error} of ${largest(values)} (${scale})`)
    }
  })

  // At λ = 0 the direction is δ itself: Σ_i s_i ‖δ‖ = −⟨Σ_i ∇ℓ_i, δ⟩ over any scope, forward mode against reverse mode.
  // Both sides' rounding is that of the gradients, 1e-5 of Σ |g δ| over the scope. Texts without padding tokens, whose
  // row in a table has a derivative but gets no gradient in training.
  test.each(['all', 'layers', 'embedding', 'head'])(
    'scores of scope %s are products with the gradients',
    async (which) => {
      const few = { ...s, texts: withoutPadding(s) }
      const scope = requiredTensors(s.network)
        .filter(({ group }) => which === 'all' || group === which || (which === 'layers' && typeof group === 'number'))
        .map((t) => t.name)
      const { alignment } = await score(few, [0], { scope })
      const { gradients } = await backward(few)
      const texts = few.texts.offsets.length - 1
      const count = few.texts.targets ? [...few.texts.targets].filter((t) => t !== noTarget).length : texts
      let norm2 = 0
      let product = 0
      let size = 0
      for (const tensor of scope) {
        const delta = await difference(s, tensor)
        delta.forEach((d, i) => {
          norm2 += d * d
          product += d * gradients[tensor]![i]!
          size += Math.abs(d * gradients[tensor]![i]!)
        })
      }
      const sum = alignment.reduce((a, b) => a + b, 0)
      expect(Math.abs(sum * Math.sqrt(norm2) + count * product)).toBeLessThan(1e-5 * count * size)
    },
  )
})

// Mean gradients of domains, all coordinates: their products with δ are those of training's gradients of the same
// texts, by group. Float32 sums in another order: 1e-5 of Σ |g δ|.
test.each([
  'bert',
  'gpt2-classify',
  'gpt2-language',
  'llama-tied',
  'modernbert-mean',
  'phi3-language',
  'gemma2-language',
])('%s: gradients of domains are those of training', async (name) => {
  const s = await setup(name)
  const count = s.texts.offsets.length - 1
  const required = requiredTensors(s.network)
  const language = s.network.objective === 'language'
  const { last } = headTensors(s.network)
  const scope = required
    .filter(({ group, name: tensor }) => group !== 'embedding' && !(language && last.includes(tensor)))
    .map((t) => t.name)
  const block = Uint32Array.from({ length: count }, (_, t) => t % 4)
  const path = addon().openPath(s.base, s.moved, { family: 'linear', lambdas: [0] })
  const found = await runTask(
    (p) =>
      addon().domainGradients(
        {
          path,
          network: s.network,
          ...s.texts,
          block,
          domains: 2,
          blocks: 2,
          point: 0,
          scope,
          rate: 1,
          seed: 0,
          threads: 2,
          memory: 2 ** 30,
        },
        p,
      ),
    'gradients',
    'texts',
  )
  const metric = { shares: new Float64Array(0), batch: 16, gramPower: 0, displacementPower: 0, threads: 2 }
  const moments = await runTask((p) => addon().domainMoments(found.handle, metric, p), 'gradients', 'texts')
  for (let at = 0; at < 4; at++) {
    const chosen = Array.from({ length: count }, (_, t) => t).filter((t) => block[t] === at)
    const some = { ...s, texts: textsOf(s, chosen) }
    const { loss, gradients } = await backward(some)
    const items = some.texts.targets ? [...some.texts.targets].filter((t) => t !== noTarget).length : chosen.length
    expect(Math.abs(found.loss[at]! - (loss * items) / chosen.length)).toBeLessThan(1e-5 * Math.max(1, loss * items))
    for (let group = 0; group < found.groups; group++) {
      let product = 0
      let size = 0
      for (const tensor of scope) {
        const own = required.find((t) => t.name === tensor)!.group
        if (own !== (group < s.network.layers.length ? group : 'head')) continue
        const delta = await difference(s, tensor)
        delta.forEach((d, i) => {
          product += (d * gradients[tensor]![i]! * items) / chosen.length
          size += Math.abs((d * gradients[tensor]![i]! * items) / chosen.length)
        })
      }
      expect(Math.abs(moments.displacement[group * 4 + at]! - product)).toBeLessThan(1e-5 * size + 1e-9)
    }
  }
  found.handle.close()
  s.close()
})

// The metric of Adam: u² = ḡ² + (s̄ − ḡ²)/b of the weights, s̄ from the squares of each text's own gradient. Float32
// sums in another order: 1e-4 of Σ |g δ| / u, as u may be a few times smaller than the terms it is made of.
test.each(['bert', 'gpt2-language', 'llama-tied', 'modernbert-mean'])(
  '%s: texts one by one in the metric',
  async (name) => {
    const s = await setup(name)
    const count = s.texts.offsets.length - 1
    const items = (texts: Setup['texts']): number => texts.targets?.filter((t) => t !== noTarget).length ?? 1
    const scope = requiredTensors(s.network)
      .filter(({ group, shape }) => typeof group === 'number' && shape.length === 2)
      .map((t) => t.name)
    const block = Uint32Array.from({ length: count }, (_, t) => t % 4)
    const path = addon().openPath(s.base, s.moved, { family: 'linear', lambdas: [0] })
    const asked = { domains: 2, blocks: 2, point: 0, scope, rate: 1, seed: 0, threads: 2, memory: 2 ** 30 }
    const found = await runTask(
      (p) => addon().domainGradients({ path, network: s.network, ...s.texts, block, ...asked }, p),
      'gradients',
      'texts',
    )
    const shares = [0.7, 0.3]
    const metric = { shares: Float64Array.from(shares), batch: 16, gramPower: 0, displacementPower: 1, threads: 2 }
    const moments = await runTask((p) => addon().domainMoments(found.handle, metric, p), 'gradients', 'texts')
    const single = await Promise.all(
      Array.from({ length: count }, async (_, t) => {
        const some = { ...s, texts: textsOf(s, [t]) }
        return { gradients: (await backward(some)).gradients, items: items(some.texts), block: block[t] }
      }),
    )
    for (let at = 0; at < 4; at++) {
      let product = 0
      let size = 0
      for (const tensor of scope) {
        const delta = await difference(s, tensor)
        delta.forEach((d, i) => {
          const mean = (of: (t: (typeof single)[number]) => boolean, power: number): number => {
            const chosen = single.filter(of)
            return chosen.reduce((sum, t) => sum + (t.gradients[tensor]![i]! * t.items) ** power, 0) / chosen.length
          }
          const byBlock = (b: number): number => mean((t) => t.block === b, 1)
          const ofDomain = (e: number): number => (byBlock(2 * e) + byBlock(2 * e + 1)) / 2
          const g = shares[0] * ofDomain(0) + shares[1] * ofDomain(1)
          const square = shares.reduce((sum, share, e) => sum + share * mean((t) => t.block >> 1 === e, 2), 0)
          const u = Math.sqrt(g * g + Math.max(0, square - g * g) / 16)
          if (u === 0) return
          product += (byBlock(at) * d) / u
          size += Math.abs((byBlock(at) * d) / u)
        })
      }
      const total = Array.from({ length: found.groups }, (_, group) => moments.displacement[group * 4 + at])
      expect(Math.abs(total.reduce((a, b) => a + b, 0) - product)).toBeLessThan(1e-4 * size)
    }
    found.handle.close()
    s.close()
  },
)

function withoutPadding(s: Setup): Setup['texts'] {
  const { ids, offsets } = s.texts
  const all = Array.from({ length: offsets.length - 1 }, (_, t) => t)
  return textsOf(
    s,
    all.filter((t) => !ids.slice(offsets[t], offsets[t + 1]).includes(s.network.padTokenId)),
  )
}

function textsOf({ texts }: Setup, kept: number[]): Setup['texts'] {
  const { ids, typeIds, offsets, label, targets } = texts
  const part = <T extends Uint32Array | Uint8Array>(all: T): T =>
    (all.constructor as unknown as { from(values: number[]): T }).from(
      all.length === 0 ? [] : kept.flatMap((t) => [...all.slice(offsets[t], offsets[t + 1])]),
    )
  let end = 0
  return {
    ids: part(ids),
    typeIds: part(typeIds),
    offsets: Uint32Array.from([0, ...kept.map((t) => (end += offsets[t + 1]! - offsets[t]!))]),
    ...(label && { label: Int32Array.from(kept, (t) => label[t]!) }),
    ...(targets && { targets: part(targets) }),
  }
}

/** θ* − θ₀ of one tensor, in float64. */
async function difference(s: Setup, tensor: string): Promise<number[]> {
  const path = addon().openPath(s.base, s.moved, { family: 'linear', lambdas: [0.5] })
  const at = (lambda: number) => runTask(() => addon().pathTensor(path, tensor, lambda), 'tensor', 'elements')
  const [from, to] = [await at(0), await at(1)]
  return Array.from(to, (value, i) => value - from[i]!)
}

// Nodes and weights of Gauss and Legendre on [0, 1], by Newton's method on the polynomial.
function gaussLegendre(n: number): { nodes: number[]; weights: number[] } {
  const nodes: number[] = []
  const weights: number[] = []
  for (let i = 0; i < n; i++) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5))
    let slope = 0
    for (let round = 0; round < 60; round++) {
      let [p, before] = [1, 0]
      for (let k = 1; k <= n; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p]
      slope = (n * (x * p - before)) / (x * x - 1)
      x -= p / slope
    }
    nodes.push((1 - x) / 2)
    weights.push(1 / ((1 - x * x) * slope * slope))
  }
  return { nodes, weights }
}

// The rule of 96 nodes is exact for polynomials of degree 191; what is left is rounding, 1e-3 of the largest change
const points = 96
describe.each(['bert', 'llama-language', 'gemma2-language', 'gpt2-classify'])('%s', (name) => {
  test('with all tensors in the scope the path integral of the scores is what the losses fell by', async () => {
    const s = await setup(name)
    const scope = requiredTensors(s.network).map((t) => t.name)
    const { nodes, weights } = gaussLegendre(points)
    const { alignment, loss } = await score(s, nodes, { scope })
    let norm2 = 0
    for (const tensor of scope) for (const d of await difference(s, tensor)) norm2 += d * d
    const texts = s.texts.offsets.length - 1
    const fallen = Array.from(
      { length: texts },
      (_, t) => loss[t * (points + 2)]! - loss[t * (points + 2) + points + 1]!,
    )
    const integral = Array.from(
      { length: texts },
      (_, t) => weights.reduce((sum, w, k) => sum + w * alignment[t * points + k]!, 0) * Math.sqrt(norm2),
    )
    s.close()
    expect(apart(integral, fallen)).toBeLessThan(1e-3 * largest(fallen))
  })
})
