// SmolLM2-135M as a language model against PyTorch (test/fixtures/smollm/make.py): losses of AG News texts, and the
// losses of ten steps of AdamW. Where the weights are not at hand the tests say that they skip.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeWeights, networkOf, openModel } from '../../lib/checkpoint/index.js'
import { requiredTensors } from '../../lib/models/facts.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import { targetsOf } from '../../lib/objectives/language.js'
import { loadTokenizer } from '../../lib/text/tokenizer/index.js'
import { modelDir, repositoryRoot, whenPresent } from '../support/shared.js'

interface Losses {
  texts: string[]
  tokens: number[]
  losses: number[]
  curve: number[]
}

const dir = modelDir('smollm2-135m')
const cases = whenPresent(dir)
const want = JSON.parse(readFileSync(join(repositoryRoot, 'test/fixtures/smollm/losses.json'), 'utf8')) as Losses

async function open() {
  const model = await openModel(dir, { objective: 'language' })
  const network = networkOf(model, 'language')
  const { ids, typeIds, offsets } = await (await loadTokenizer(dir)).encodeBatch(want.texts)
  expect(Array.from(want.tokens.keys(), (t) => offsets[t + 1]! - offsets[t]!)).toEqual(want.tokens)
  return {
    model,
    network,
    texts: { ids, typeIds: new Uint8Array(typeIds.length), offsets, targets: targetsOf({ ids, offsets }) },
  }
}

// both sides are float32 sums of some 60 terms of 30 layers: 1e-5 of a loss
cases(
  'losses of texts are those of transformers',
  async () => {
    const { model, network, texts } = await open()
    const weights = nativeWeights(model)
    const path = addon().openPath(weights, weights, { family: 'linear', lambdas: [0.5] })
    const n = want.texts.length
    const { loss } = await runTask(
      (p) =>
        addon().score(
          {
            path,
            network,
            ...texts,
            domain: new Int32Array(n),
            domains: 1,
            scope: 'head',
            gradients: false,
            threads: 2,
            memory: 2 ** 31,
          },
          p,
        ),
      'score',
      'tokens',
    )
    weights.close()
    want.losses.forEach((value, t) => expect(Math.abs(loss[t * 3]! - value)).toBeLessThan(1e-5 * value))
  },
  600_000,
)

cases(
  'ten steps of AdamW follow the losses of PyTorch',
  async () => {
    const { model, network, texts } = await open()
    const weights = nativeWeights(model)
    const request = {
      weights,
      network,
      trainable: requiredTensors(network).map(({ name }) => name),
      dropout: { embedding: 0, attention: 0, hidden: 0, head: 0 },
      seed: 0,
    }
    const trainer = await runTask((p) => addon().openTrainer(request, p), 'open', 'bytes')
    weights.close()
    const order = Uint32Array.from({ length: 40 }, (_, i) => i % 16)
    const optimizer = { decoupled: true, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, clip: 0 }
    const { loss } = await runTask(
      (p) =>
        addon().trainSteps(
          trainer,
          {
            ...texts,
            order,
            ends: Uint32Array.from({ length: 10 }, (_, i) => 4 * (i + 1)),
            rates: new Float64Array(10).fill(2e-5),
            batch: 4,
            optimizer,
            threads: 2,
          },
          p,
        ),
      'train',
      'texts',
    )
    trainer.close()
    want.curve.forEach((value, step) => expect(Math.abs(loss[step]! - value)).toBeLessThan(1e-3 * value))
  },
  900_000,
)
