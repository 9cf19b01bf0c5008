// The native trainer on the small random-weight models, against what PyTorch computes with them
// (test/fixtures/training/make.py).
import { join } from 'node:path'
import { nativeWeights, networkOf, openModel } from '../../lib/checkpoint/index.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import type { Handle, TrainerRequest, TrainingOptimizer, TrainingTexts } from '../../lib/native/types.js'
import { fixtureModel, readGolden, readTensors } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'

const adamw: TrainingOptimizer = {
  decoupled: true,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clip: 0,
}
const still = { embedding: 0, attention: 0, hidden: 0, head: 0 }

interface Setup {
  texts: TrainingTexts
  names: string[]
  stored: Map<string, string>
  want: Record<string, ArrayLike<number>>
  open: (extra?: Partial<TrainerRequest>) => Promise<Handle>
  close: () => void
}

async function setup(kind: 'bert' | 'gpt2'): Promise<Setup> {
  const gold = readGolden(kind)
  const numbers = (name: string) => gold.get(name)!.data
  const want = readTensors(join(repositoryRoot, 'test', 'fixtures', 'training', `${kind}.safetensors`))
  const base = await openModel(fixtureModel(join(kind, 'base')))
  const weights = nativeWeights(base)
  const names = [...base.tensors.keys()]
  return {
    want: Object.fromEntries([...want].map(([name, { data }]) => [name, data])),
    names,
    close: () => weights.close(),
    stored: new Map([...base.tensors.values()].map((t) => [t.name, t.storedName])),
    texts: {
      ids: Uint32Array.from(numbers('ids')),
      typeIds: kind === 'bert' ? Uint8Array.from(numbers('types')) : new Uint8Array(0),
      offsets: Uint32Array.from(numbers('offsets')),
      label: Int32Array.from(numbers('labels')),
    },
    open: (extra = {}) =>
      runTask(
        (p) =>
          addon().openTrainer(
            { weights, network: networkOf(base, 'classify'), trainable: names, dropout: still, seed: 0, ...extra },
            p,
          ),
        'open',
        'bytes',
      ),
  }
}

const gradients = (trainer: Handle, texts: TrainingTexts, threads = 1) =>
  runTask((p) => addon().trainingGradients(trainer, { ...texts, threads }, p), 'train', 'texts')

interface Steps {
  batches: number[][]
  rate?: number
  batch?: number
  threads?: number
  optimizer?: TrainingOptimizer
}

function steps(
  trainer: Handle,
  texts: TrainingTexts,
  { batches, rate = 1e-3, batch = 99, threads = 1, optimizer = adamw }: Steps,
) {
  let end = 0
  const ends = Uint32Array.from(batches, (chosen) => (end += chosen.length))
  const request = {
    ...texts,
    order: Uint32Array.from(batches.flat()),
    ends,
    rates: new Float64Array(batches.length).fill(rate),
    batch,
    optimizer,
    threads,
  }
  return runTask((p) => addon().trainSteps(trainer, request, p), 'train', 'texts')
}

const rows = (flat: ArrayLike<number>, width: number) =>
  Array.from({ length: flat.length / width }, (_, i) => Array.from({ length: width }, (_, j) => flat[i * width + j]))
const largest = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0)
const apart = (a: ArrayLike<number>, b: ArrayLike<number>) => largest(Array.from(a, (x, i) => x - b[i]))
const valuesOf = (trainer: Handle, name: string, count: number, part: 'value' | 'first' | 'second' = 'value') =>
  new Float32Array(addon().readTrainer(trainer, name, part, 'F32', 0, count))

describe.each(['bert', 'gpt2'] as const)('%s', (kind) => {
  let s: Setup
  beforeAll(async () => {
    s = await setup(kind)
  })
  afterAll(() => s.close())

  // PyTorch's in float64; here float32 through two layers: 1e-5 of each tensor's largest gradient, and of the
  // largest of all for tensors whose own gradient is only rounding (attention keys' biases: exactly zero).
  test('loss, logits and every gradient are those of PyTorch', async () => {
    const trainer = await s.open()
    const got = await gradients(trainer, s.texts)
    expect(Math.abs(got.loss - s.want.loss[0])).toBeLessThan(1e-5 * s.want.loss[0])
    expect(apart(got.logits, s.want.logits)).toBeLessThan(1e-5 * largest(s.want.logits))
    expect(Object.keys(got.gradients).sort()).toEqual([...s.names].sort())
    const scale = Math.max(...s.names.map((name) => largest(s.want[`gradient.${s.stored.get(name)}`])))
    for (const name of s.names) {
      const want = s.want[`gradient.${s.stored.get(name)}`]
      const got1 = got.gradients[name]
      const error = apart(got1, want)
      if (error > Math.max(1e-5 * largest(want), 1e-6 * scale))
        throw new Error(`${name}: off by ${error} of ${largest(want)} (${scale})`)
    }
    trainer.close()
  })

  // the loss is linear in the probabilities: so is every gradient; float32, as above
  test('probabilities in the place of labels', async () => {
    const trainer = await s.open()
    const { label } = s.texts
    const classes = (await gradients(trainer, s.texts)).logits.length / label!.length
    const others = label!.map((c) => (c + 1) % classes)
    const mixed = new Float32Array(label!.length * classes)
    const sure = new Float32Array(label!.length * classes)
    label!.forEach((c, i) => {
      mixed[i * classes + c] = 0.75
      mixed[i * classes + others[i]] = 0.25
      sure[i * classes + c] = 1
    })
    const own = await gradients(trainer, s.texts)
    expect(await gradients(trainer, { ...s.texts, soft: sure })).toEqual(own)
    const other = await gradients(trainer, { ...s.texts, label: others })
    const got = await gradients(trainer, { ...s.texts, soft: mixed })
    expect(got.loss).toBeCloseTo(0.75 * own.loss + 0.25 * other.loss, 6)
    const scale = Math.max(...s.names.map((name) => largest(own.gradients[name])))
    for (const name of s.names) {
      const want = own.gradients[name].map((value, i) => 0.75 * value + 0.25 * other.gradients[name][i])
      expect(apart(got.gradients[name], want)).toBeLessThan(Math.max(1e-5 * largest(want), 1e-6 * scale))
    }
    trainer.close()
  })

  test('50 steps of AdamW follow the curve of PyTorch', async () => {
    const trainer = await s.open()
    const got = await steps(trainer, s.texts, { batches: rows(s.want.batches, 4) })
    for (let i = 0; i < 50; i++)
      expect(Math.abs(got.loss[i] - s.want.curve[i])).toBeLessThan(1e-4 * Math.max(s.want.curve[i], 0.1))
    expect(addon().trainerStep(trainer)).toBe(50)
    const after = await gradients(trainer, s.texts)
    expect(apart(after.logits, s.want.final)).toBeLessThan(1e-3 * largest(s.want.final))
    trainer.close()
  })

  test('bits do not depend on threads, with dropout too', async () => {
    const run = async (threads: number) => {
      const trainer = await s.open({ dropout: { embedding: 0.1, attention: 0.2, hidden: 0.1, head: 0.1 }, seed: 3 })
      const done = await steps(trainer, s.texts, { batches: rows(s.want.batches, 4).slice(0, 5), threads })
      const all = s.names.map((name) =>
        addon().readTrainer(trainer, name, 'value', 'F32', 0, s.want[`gradient.${s.stored.get(name)}`].length),
      )
      trainer.close()
      return { ...done, all }
    }
    const one = await run(1)
    expect(await run(2)).toEqual(one)
    expect(await run(3)).toEqual(one)
  })

  // The same sums in another order of float32 additions: a few 1e-7 of the largest term.
  test('accumulated passes give the gradient of one, and the same dropout masks', async () => {
    const run = async (batch: number) => {
      const trainer = await s.open({ dropout: { embedding: 0.1, attention: 0.1, hidden: 0.1, head: 0.1 } })
      const done = await steps(trainer, s.texts, { batches: [[0, 5, 7, 11, 3, 6]], batch })
      trainer.close()
      return done
    }
    const whole = await run(6)
    const parts = await run(2)
    expect(parts.loss[0]).toBeCloseTo(whole.loss[0], 6)
    expect(Math.abs(parts.norm[0] - whole.norm[0])).toBeLessThan(1e-5 * whole.norm[0])
  })

  test('dropout changes the loss, its seed too', async () => {
    const loss = async (rate: number, seed: number) => {
      const trainer = await s.open({ dropout: { embedding: rate, attention: rate, hidden: rate, head: 0 }, seed })
      const { loss: value } = await gradients(trainer, s.texts)
      trainer.close()
      return value
    }
    const seen = new Set([await loss(0, 0), await loss(0.2, 0), await loss(0.2, 1)])
    expect(seen.size).toBe(3)
    expect(await loss(0, 7)).toBe(await loss(0, 0))
  })

  // Dropout's gradients: the loss along a direction of one tensor, masks held fixed, against a central difference.
  // Float32 losses of size 1 carry 1e-7; over a step of 1e-2 along a unit direction that is 1e-5 absolute.
  test('gradients under dropout are slopes of the loss', async () => {
    const trainer = await s.open({ dropout: { embedding: 0.2, attention: 0.2, hidden: 0.2, head: 0.2 }, seed: 1 })
    const { gradients: all } = await gradients(trainer, s.texts)
    for (const name of kind === 'bert'
      ? [
          'embeddings.LayerNorm.bias',
          'encoder.layer.0.attention.self.query.weight',
          'encoder.layer.1.output.dense.weight',
          'pooler.dense.weight',
        ]
      : ['wpe.weight', 'h.0.attn.c_attn.weight', 'h.1.mlp.c_proj.weight', 'ln_f.bias']) {
      const g = all[name]
      const norm = Math.sqrt(g.reduce((sum, x) => sum + x * x, 0))
      const at = valuesOf(trainer, name, g.length)
      const lossAt = async (t: number) => {
        addon().writeTrainer(
          trainer,
          name,
          'value',
          0,
          at.map((x, i) => x + (t * g[i]) / norm),
        )
        return (await gradients(trainer, s.texts)).loss
      }
      const slope = ((await lossAt(1e-2)) - (await lossAt(-1e-2))) / 2e-2
      addon().writeTrainer(trainer, name, 'value', 0, at)
      expect(Math.abs(slope - norm)).toBeLessThan(2e-3 * norm + 3e-5)
    }
    trainer.close()
  })

  test('frozen tensors stay, the others get the gradients they would get anyway', async () => {
    const everything = await s.open()
    const full = (await gradients(everything, s.texts)).gradients
    everything.close()
    const head = s.names.filter((name) => /^(classifier|pooler|score)\./.test(name))
    const last = s.names.filter((name) => /^(encoder\.layer|h)\.1\./.test(name))
    const vectors = s.names.filter((name) => /\.0\..*(LayerNorm|ln_1|ln_2).*/.test(name))
    for (const trainable of [
      head,
      [...head, ...last],
      vectors,
      ['embeddings.LayerNorm.weight', 'wte.weight'].filter((n) => s.names.includes(n)),
    ]) {
      const trainer = await s.open({ trainable })
      const got = (await gradients(trainer, s.texts)).gradients
      expect(Object.keys(got).sort()).toEqual([...trainable].sort())
      for (const name of trainable) expect(got[name]).toEqual(full[name])
      const still1 = s.names.find((name) => !trainable.includes(name))!
      const before = valuesOf(trainer, still1, 10)
      await steps(trainer, s.texts, { batches: [[0, 1, 2]] })
      expect(valuesOf(trainer, still1, 10)).toEqual(before)
      expect(valuesOf(trainer, trainable[0], 10)).not.toEqual(full[trainable[0]])
      trainer.close()
    }
  })

  test('clipping bounds the step of plain gradients', async () => {
    // Adam's first step has the size of the rate whatever the gradient; its moments tell the clipped gradient
    const trainer = await s.open()
    const { norm } = await steps(trainer, s.texts, { batches: [[0, 1, 2, 3]], optimizer: { ...adamw, clip: 0.5 } })
    let sum = 0
    for (const name of s.names) {
      for (const m of valuesOf(trainer, name, s.want[`gradient.${s.stored.get(name)}`].length, 'first'))
        sum += (m / 0.1) ** 2
    }
    expect(norm[0]).toBeGreaterThan(0.5)
    expect(Math.sqrt(sum)).toBeCloseTo(0.5, 4)
    trainer.close()
  })

  test('a state that is written back goes on with the same bits', async () => {
    const batches = rows(s.want.batches, 4).slice(0, 6)
    const sizes = s.names.map((name) => s.want[`gradient.${s.stored.get(name)}`].length)
    const through = await s.open({ seed: 2, dropout: { ...still, hidden: 0.1 } })
    await steps(through, s.texts, { batches: batches.slice(0, 3) })
    const resumed = await s.open({ seed: 2, dropout: { ...still, hidden: 0.1 } })
    for (const [i, name] of s.names.entries()) {
      for (const part of ['value', 'first', 'second'] as const)
        addon().writeTrainer(resumed, name, part, 0, valuesOf(through, name, sizes[i], part))
    }
    addon().trainerStep(resumed, 3)
    const a = await steps(through, s.texts, { batches: batches.slice(3) })
    const b = await steps(resumed, s.texts, { batches: batches.slice(3) })
    expect(b).toEqual(a)
    for (const [i, name] of s.names.entries())
      expect(valuesOf(resumed, name, sizes[i])).toEqual(valuesOf(through, name, sizes[i]))
    through.close()
    resumed.close()
  })

  test('a loss that is not finite stops before the step', async () => {
    const trainer = await s.open()
    const name = s.names[0]
    await expect(
      steps(trainer, s.texts, { batches: Array.from({ length: 20 }, () => [0, 1]), rate: 1e30 }),
    ).rejects.toMatchObject({
      code: 'TRAINING_DIVERGED',
      kind: 'input',
      message: expect.stringMatching(/step \d+ is not finite/),
    })
    expect(addon().trainerStep(trainer)).toBeGreaterThan(0)
    expect(valuesOf(trainer, name, 10).every(Number.isFinite)).toBe(true)
    trainer.close()
  })

  test('aborting stops and frees everything', async () => {
    const before = addon().memoryUsed()
    const trainer = await s.open()
    const controller = new AbortController()
    const batches = Array.from({ length: 5000 }, () => [0, 1, 2, 3])
    const ends = Uint32Array.from(batches, (_, i) => 4 * (i + 1))
    const running = runTask(
      (p) =>
        addon().trainSteps(
          trainer,
          {
            ...s.texts,
            order: Uint32Array.from(batches.flat()),
            ends,
            rates: new Float64Array(5000),
            batch: 4,
            optimizer: adamw,
            threads: 2,
          },
          p,
        ),
      'train',
      'texts',
      { signal: controller.signal },
    )
    await expect(gradients(trainer, s.texts)).rejects.toMatchObject({ code: 'TRAINER_BUSY' })
    controller.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
    trainer.close()
    expect(addon().memoryUsed()).toBe(before)
  })
})
