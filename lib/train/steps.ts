import os from 'node:os'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { Handle, TrainingOptimizer, TrainingRequest } from '../native/types.js'
import type { Objective } from '../objectives/index.js'
import { targetsOf } from '../objectives/language.js'
import { Random } from '../random.js'
import type { PackedProbes } from '../text/index.js'
import type { Prepared } from './prepare.js'
import { stepsPerEpoch, type Recipe } from './recipe.js'

export interface StepOptions extends RunOptions {
  threads?: number
}

/** Texts of step `step`: epoch after epoch a permutation keyed by (seed, epoch), whatever the packing. */
export class Order {
  #epoch = -1
  #texts: Uint32Array = new Uint32Array(0)
  constructor(
    readonly recipe: Recipe,
    readonly count: number,
  ) {}

  of(step: number): Uint32Array {
    const each = stepsPerEpoch(this.recipe, this.count)
    const epoch = Math.floor(step / each)
    if (epoch !== this.#epoch) {
      this.#epoch = epoch
      this.#texts = new Random(this.recipe.seed, 'order', epoch).permutation(this.count)
    }
    const size = this.recipe.batch * this.recipe.accumulate
    return this.#texts.subarray((step % each) * size, ((step % each) + 1) * size)
  }
}

/** The chosen texts alone, in their order. */
function subset(
  { ids, typeIds, offsets, label, prompts }: PackedProbes,
  chosen: Uint32Array,
  objective: Objective,
): Pick<TrainingRequest, 'ids' | 'typeIds' | 'offsets' | 'label' | 'targets'> {
  const ends = new Uint32Array(chosen.length + 1)
  chosen.forEach((text, i) => (ends[i + 1] = ends[i] + offsets[text + 1] - offsets[text]))
  const part = {
    ids: new Uint32Array(ends[chosen.length]),
    typeIds: new Uint8Array(ends[chosen.length]),
    offsets: ends,
  }
  chosen.forEach((text, i) => {
    part.ids.set(ids.subarray(offsets[text], offsets[text + 1]), ends[i])
    part.typeIds.set(typeIds.subarray(offsets[text], offsets[text + 1]), ends[i])
  })
  if (objective === 'classify') return { ...part, label: Int32Array.from(chosen, (text) => label[text]) }
  return { ...part, targets: targetsOf({ ...part, prompts: prompts && Uint32Array.from(chosen, (t) => prompts[t]) }) }
}

/** One step of a trainer on the texts whose turn it is, at a rate; loss before the update, norm of its gradient. */
export async function takeStep(
  trainer: Handle,
  { packed, network, record: { recipe } }: Prepared,
  chosen: Uint32Array,
  rate: number,
  { threads = os.availableParallelism(), signal }: StepOptions,
): Promise<{ loss: number; norm: number }> {
  const { batch, beta1, beta2, epsilon, weightDecay, clip } = recipe
  const optimizer: TrainingOptimizer = {
    decoupled: recipe.optimizer === 'adamw',
    beta1,
    beta2,
    epsilon,
    weightDecay,
    clip,
  }
  const request: TrainingRequest = {
    ...subset(packed, chosen, network.objective),
    order: Uint32Array.from(chosen, (_, i) => i),
    ends: Uint32Array.of(chosen.length),
    rates: Float64Array.of(rate),
    batch,
    optimizer,
    threads,
  }
  const { loss, norm } = await runTask((report) => addon().trainSteps(trainer, request, report), 'train', 'texts', {
    signal,
  })
  return { loss: loss[0], norm: norm[0] }
}
