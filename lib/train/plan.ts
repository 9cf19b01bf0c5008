import { setImmediate } from 'node:timers/promises'
import { dtypeBits } from '../checkpoint/index.js'
import { layerWork, type Group } from '../models/facts.js'
import { addon } from '../native/load.js'
import { openTrainer, prepare, runKey, type Prepared } from './prepare.js'
import type { Recipe } from './recipe.js'
import { checkpointsOf, findState, type TrainingOutput } from './train-on.js'
import { Order, takeStep } from './steps.js'
import type { LabelledTexts } from './texts.js'

/** What a run would do: the answer of `--dry-run`. */
export interface TrainPlan {
  schema: 'warp.train.plan/1'
  labels: string[]
  /** by label */
  counts: number[]
  texts: number
  /** of one epoch */
  tokens: number
  truncated: number
  steps: number
  /** steps that an earlier run has taken */
  resumesAt: number
  trained: { tensors: number; parameters: number; of: number }
  /** of the steps that are left; a multiply-add counts 2 */
  flops: number
  /** by one step that was tried */
  estimatedSeconds: number
  /** of native working buffers, weights included, measured on the longest step */
  workingMemoryBytes: number
  /** of the whole process */
  peakMemoryBytes: number
  /** of the output and, while it runs, of the state to resume from */
  diskBytes: number
  notes: string[]
}

/**
 * Checks everything, then tries the step with the most tokens at a rate of 0: its memory and its time are measured, not
 * guessed. Writes nothing.
 * @throws as `trainOn`
 */
export async function planTraining(
  baseDir: string,
  texts: LabelledTexts,
  recipe: Recipe,
  options: TrainingOutput,
): Promise<TrainPlan> {
  const prepared = await prepare(baseDir, texts, recipe, options)
  const { record, packed, notes } = prepared
  const state = options.force ? undefined : await findState(options.output, runKey(record))
  const { longest, tokens } = await survey(prepared, state?.step ?? 0)
  const before = addon().memoryUsed()
  const trainer = await openTrainer(prepared)
  try {
    await takeStep(trainer, prepared, longest, 0, options) // the first one is slowed by fresh memory
    const started = performance.now()
    await takeStep(trainer, prepared, longest, 0, options)
    const perToken = (performance.now() - started) / 1000 / tokensOf(packed.offsets, longest)
    const { labels, counts, truncated } = record.data
    return {
      schema: 'warp.train.plan/1',
      labels,
      counts,
      texts: packed.label.length,
      tokens: packed.ids.length,
      truncated,
      steps: record.steps,
      resumesAt: state?.step ?? 0,
      trained: record.trained,
      flops: (flopsPerEpoch(prepared) * tokens) / packed.ids.length,
      estimatedSeconds: perToken * tokens,
      workingMemoryBytes: addon().memoryUsed() - before,
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
      diskBytes: diskBytes(prepared, options),
      notes,
    }
  } finally {
    trainer.close()
  }
}

const tokensOf = (offsets: Uint32Array, chosen: Uint32Array): number =>
  chosen.reduce((sum, text) => sum + offsets[text + 1] - offsets[text], 0)

/** Of the steps that are left: the texts of the one with the most tokens, the tokens of all. */
async function survey({ packed, record }: Prepared, first: number): Promise<{ longest: Uint32Array; tokens: number }> {
  const order = new Order(record.recipe, packed.label.length)
  let longest = new Uint32Array(0)
  let most = 0
  let tokens = 0
  for (let step = first; step < record.steps; step++) {
    const chosen = order.of(step)
    const own = tokensOf(packed.offsets, chosen)
    tokens += own
    if (own > most) [most, longest] = [own, chosen.slice()]
    if (step % 1000 === 999) await setImmediate()
  }
  return { longest, tokens }
}

/** Forward once; back twice through the layers from the lowest trained one: for the weights and for what lies below. */
function flopsPerEpoch({ network: { layers }, groups, trainable, packed: { offsets } }: Prepared): number {
  const number = (group: Group): number => (group === 'embedding' ? 0 : group === 'head' ? layers.length : group)
  const lowest = trainable.reduce((least, name) => Math.min(least, number(groups.get(name)!)), layers.length)
  const lengths = Array.from({ length: offsets.length - 1 }, (_, text) => offsets[text + 1] - offsets[text])
  return layers.reduce(
    (sum, layer, i) => sum + (i >= lowest ? 3 : 1) * layerWork(layer, lengths, i === layers.length - 1),
    0,
  )
}

function diskBytes({ record }: Prepared, options: TrainingOutput): number {
  const model = (record.trained.of * dtypeBits(options.dtype ?? 'F32')) / 8
  return model * (1 + checkpointsOf(record, options).length) + record.trained.parameters * 3 * 4
}
