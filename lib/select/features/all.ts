import { requiredTensors } from '../../models/facts.js'
import { addon } from '../../native/load.js'
import { runTask } from '../../native/task.js'
import type { ScoreRequest } from '../../native/types.js'
import { targetsOf } from '../../objectives/index.js'
import type { WindowBatch } from '../corpus.js'
import { givenLabels } from './labels.js'
import { sketches } from './sketch.js'
import type { Features, FeatureSource } from './types.js'

/**
 * The products of gradients of all weights with the direction, by forward-mode derivatives. Products of documents with
 * each other, and lengths, are those of sketches of every linear layer's gradient but a language model's output
 * layer's; without sketches there are none.
 */
export function all(source: FeatureSource): Features {
  const { network, lambdas } = source
  const tensors = requiredTensors(network).map(({ name }) => name)
  const points = lambdas.length
  const project = async (batch: WindowBatch, first: number, learned: Pick<ScoreRequest, 'label' | 'targets'>) =>
    source.sketch > 0
      ? sketches(source, batch, first, { label: learned.label, targets: learned.targets, outputs: false })
      : {}
  return {
    async make(batch, first) {
      if (network.objective === 'language') {
        const targets = targetsOf(batch)
        const { alignment, loss } = await score(source, batch, { targets, scope: tensors })
        return { along: alignment, loss: ends(loss, points), ...(await project(batch, first, { targets })) }
      }
      const asked = givenLabels(batch.windows, first, source)
      const own = await ownLabels(source, batch, asked)
      const { alignment, loss } = await score(source, batch, { label: own.label, scope: tensors })
      return { ...own, along: alignment, loss: ends(loss, points), ...(await project(batch, first, own)) }
    },
  }
}

type Question = Pick<ScoreRequest, 'label' | 'targets' | 'scope'>

const score = (
  { path, network, threads, memory, signal, onProgress }: FeatureSource,
  { windows, ids, typeIds, offsets }: WindowBatch,
  question: Question,
) => {
  const domain = new Int32Array(windows.length)
  const texts = { ids, typeIds, offsets, domain, domains: 1, gradients: false }
  const request: ScoreRequest = { path, network, ...texts, ...question, threads, memory }
  return runTask((report) => addon().score(request, report), 'features', 'tokens', { signal, onProgress })
}

/** Losses at the base and the reference. */
const ends = (loss: Float64Array, points: number): Float64Array =>
  Float64Array.from({ length: (2 * loss.length) / (points + 2) }, (_, i) => {
    const row = Math.floor(i / 2) * (points + 2)
    return loss[i % 2 === 0 ? row : row + points + 1]
  })

/** Labels where the reference is to say, and its probabilities. */
async function ownLabels(source: FeatureSource, batch: WindowBatch, asked: Int32Array) {
  const { path, network, threads, memory, signal, onProgress } = source
  const { ids, typeIds, offsets } = batch
  const request = { path, network, ids, typeIds, offsets, label: asked, scope: 'head' as const, atBase: true }
  const { label, probability } = await runTask(
    (report) => addon().selectFeatures({ ...request, threads, memory }, report),
    'labels',
    'tokens',
    { signal, onProgress },
  )
  return { label, probability }
}
