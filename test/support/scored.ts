import { nativeWeights, networkOf, openModel } from '../../lib/checkpoint/index.js'
import type { Network } from '../../lib/models/network.js'
import { requiredTensors } from '../../lib/models/facts.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import {
  noTarget,
  type GeneratedTensor,
  type Handle,
  type ScoreRequest,
  type ScoreResult,
} from '../../lib/native/types.js'
import { readTensors } from './models.js'
import { networkFixture } from './networks.js'

type Numbers = ArrayLike<number>
export const largest = (values: Numbers): number => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0)
export const apart = (a: Numbers, b: Numbers): number => largest(Array.from(a, (x, i) => x - b[i]!))

/** A model of test/fixtures/networks, and its texts. */
export interface Setup {
  network: Network
  /** canonical → stored names */
  stored: Map<string, string>
  gold: (name: string) => Numbers
  texts: Pick<ScoreRequest, 'ids' | 'typeIds' | 'offsets' | 'label' | 'targets'>
  base: Handle
  /** the model moved by a hundredth of random numbers */
  moved: Handle
  close: () => void
}

/** All tokens but the first are targets. */
function targetsOf(ids: Uint32Array, offsets: Uint32Array): Uint32Array {
  const targets = new Uint32Array(ids.length).fill(noTarget)
  for (let t = 0; t + 1 < offsets.length; t++)
    for (let i = offsets[t]!; i + 1 < offsets[t + 1]!; i++) targets[i] = ids[i + 1]!
  return targets
}

export async function setup(name: string): Promise<Setup> {
  const language = !readTensors(networkFixture(name, 'golden.safetensors')).has('labels')
  const model = await openModel(networkFixture(name), { objective: language ? 'language' : 'classify' })
  const golden = readTensors(networkFixture(name, 'golden.safetensors'))
  const gold = (key: string): Numbers => {
    const found = golden.get(key)
    if (!found) throw new Error(`${name}: no ${key}`)
    return found.data
  }
  const network = networkOf(model, language ? 'language' : 'classify')
  const ids = Uint32Array.from(gold('ids') as Int32Array)
  const offsets = Uint32Array.from(gold('offsets') as Int32Array)
  const base = nativeWeights(model)
  // tensors of their own in place of the stored ones: another model altogether
  const others = requiredTensors(network).map(
    ({ name, shape }): GeneratedTensor => ({
      name,
      dtype: 'F32',
      shape: [...shape],
      fill: 'normal',
      seed: 5,
      deviation: 0.3,
    }),
  )
  const moved = nativeWeights({ ...model, files: [], tensors: new Map() }, others)
  return {
    network,
    stored: new Map([...model.tensors.values()].map((t) => [t.name, t.storedName])),
    gold,
    texts: {
      ids,
      offsets,
      typeIds: network.typeVocabularySize > 1 ? Uint8Array.from(gold('types') as Int32Array) : new Uint8Array(0),
      ...(language ? { targets: targetsOf(ids, offsets) } : { label: Int32Array.from(gold('labels') as Int32Array) }),
    },
    base,
    moved,
    close: () => {
      base.close()
      moved.close()
    },
  }
}

/** Scores along the linear path to the moved model. */
export function score(s: Setup, lambdas: number[], extra: Partial<ScoreRequest> = {}): Promise<ScoreResult> {
  const n = s.texts.offsets.length - 1
  const path = addon().openPath(s.base, s.moved, { family: 'linear', lambdas })
  const request: ScoreRequest = {
    path,
    network: s.network,
    ...s.texts,
    domain: new Int32Array(n),
    domains: 1,
    scope: 'head',
    gradients: false,
    threads: 2,
    memory: 2 ** 30,
    ...extra,
  }
  return runTask((p) => addon().score(request, p), 'score', 'tokens')
}
