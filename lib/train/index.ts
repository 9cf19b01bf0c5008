import { openModel, type WeightDtype } from '../checkpoint/index.js'
import type { RunOptions } from '../native/task.js'
import { parseRecipe, type RecipeOptions } from './recipe.js'
import { trainOn, type TrainingResult } from './run.js'
import { readLabelledTexts, type LabelledTextsOptions } from './texts.js'

export { parseRecipe, type Recipe, type RecipeOptions } from './recipe.js'
export { recordFile, trainOn, type TrainingOutput, type TrainingRecord, type TrainingResult } from './run.js'
export { pick, readLabelledTexts, textsSha256, type LabelledTexts, type LabelledTextsOptions } from './texts.js'

/** Options of `train`: the command line's, in camelCase. */
export interface TrainOptions extends RunOptions, RecipeOptions, Omit<LabelledTextsOptions, 'seed'> {
  /** model directory to fine-tune */
  base: string
  /** labelled texts: files, folders, `-` for JSONL on stdin */
  data: string[]
  /** folder that becomes a model directory */
  output: string
  dtype?: WeightDtype
  saveSteps?: number
  force?: boolean
  threads?: number
  truncate?: boolean
}

/**
 * Fine-tunes a BERT or GPT-2 classifier on labelled texts. The same bytes for any number of threads, and for a run
 * that was stopped and repeated.
 * @throws WarpError of models, texts and recipes; TRAINING_DIVERGED, OUTPUT_EXISTS, TRAIN_STATE_OTHER, DISK_FULL
 */
export async function train(options: TrainOptions): Promise<TrainingResult> {
  const { base, data, output, dtype, saveSteps, force, threads, truncate, signal, onProgress } = options
  const { format, columns, text, label, domain, labelMap, labels, limit, perDomain, dropUnlabeled } = options
  const { epochs, batch, accumulate, optimizer, learningRate, beta1, beta2, epsilon, weightDecay, clip } = options
  const { schedule, warmup, dropout, layers, freeze, maxLength, seed } = options
  const recipe = parseRecipe({
    epochs, batch, accumulate, optimizer, learningRate, beta1, beta2, epsilon, weightDecay, clip, schedule, warmup, dropout, layers, freeze, maxLength, seed,
  })
  const model = await openModel(base)
  const reading = { format, columns, text, label, domain, labelMap, labels, limit, perDomain, dropUnlabeled, seed }
  const texts = await readLabelledTexts(data, reading, model.architecture.labels, { signal, onProgress })
  return trainOn(base, texts, recipe, { output, dtype, saveSteps, force, threads, truncate, signal, onProgress })
}
