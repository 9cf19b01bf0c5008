import { join } from 'node:path'
import { openModel, type WeightDtype } from '../checkpoint/index.js'
import { refuseInputs, type ClaimOptions } from '../claim.js'
import { checkWhole } from '../errors.js'
import { localModels } from '../hub/index.js'
import { objectiveFor } from '../objectives/index.js'
import { checkOptions, type Kinds, runKinds, textKinds } from '../options.js'
import { type ProbeSource, sourceNames } from '../text/index.js'
import { planTraining, type TrainPlan } from './plan.js'
import { parseRecipe, recipeKinds, recipeOf, type Recipe, type RecipeOptions } from './recipe.js'
import { outputFiles, trainOn, type TrainingOutput, type TrainingResult } from './train-on.js'
import { readingOf, readLabelledTexts, type LabelledTexts, type LabelledTextsOptions } from './texts.js'

export { parseRecipe, recipeKeys, recipeKinds, recipeOf, stepsOf, type Recipe, type RecipeOptions } from './recipe.js'
export { needsHead, type TrainingRecord } from './prepare.js'
export type { TrainPlan } from './plan.js'
export { recordFile, trainOn, type TrainingOutput, type TrainingResult } from './train-on.js'
export {
  pick,
  readingOf,
  readLabelledTexts,
  textsSha256,
  type LabelledTexts,
  type LabelledTextsOptions,
} from './texts.js'

/** Options of `train`: the command line's, in camelCase. */
export interface TrainOptions extends ClaimOptions, RecipeOptions, Omit<LabelledTextsOptions, 'seed'> {
  /** model directory to fine-tune */
  base: string
  /** labelled texts: files, folders, `-` for JSONL on stdin; or the texts themselves */
  data: ProbeSource
  /** folder that becomes a model directory */
  output: string
  dtype?: WeightDtype
  saveSteps?: number
  force?: boolean
  threads?: number
  truncate?: boolean
  /** called when the model is saved, before the record that says the run is done: what it leaves is there with that */
  onSaved?: (result: TrainingResult) => Promise<void>
}

const kinds: Kinds<TrainOptions> = {
  ...runKinds,
  ...textKinds,
  base: 'text',
  data: 'any',
  output: 'text',
  labels: 'texts',
  objective: 'text',
  labelMap: 'labelMap',
  dtype: 'text',
  saveSteps: 'number',
  force: 'flag',
  wait: 'flag',
  threads: 'number',
  truncate: 'flag',
  onSaved: 'function',
  ...recipeKinds,
}

/**
 * Fine-tunes a classifier on labelled texts, or a language model on texts. The same bytes for any number of threads,
 * and for a run that was stopped and repeated.
 * @throws WarpError of models, texts and recipes; TRAINING_DIVERGED, OUTPUT_EXISTS, OUTPUT_BUSY, OUTPUT_IS_INPUT,
 *   TRAIN_STATE_OTHER, DISK_FULL
 */
export async function train(options: TrainOptions): Promise<TrainingResult> {
  const { base, texts, recipe, output } = await read(options)
  return trainOn(base, texts, recipe, output)
}

/** What `train` would do and need; writes nothing. @throws as `train` */
export async function planTrain(options: TrainOptions): Promise<TrainPlan> {
  const { base, texts, recipe, output } = await read(options)
  return planTraining(base, texts, recipe, output)
}

async function read(
  given: TrainOptions,
): Promise<{ base: string; texts: LabelledTexts; recipe: Recipe; output: TrainingOutput }> {
  checkOptions('train', given, kinds, ['base', 'data', 'output'])
  checkWhole('threads', given.threads, 1, 1024)
  checkWhole('save-steps', given.saveSteps, 1, Number.MAX_SAFE_INTEGER)
  const options = await localModels(given)
  const { base, data, output, dtype, saveSteps, force, wait, threads, truncate, onSaved, signal, onProgress } = options
  await refuseInputs([output, ...outputFiles.map((name) => join(output, name))], [base, ...sourceNames(data)])
  const recipe = parseRecipe(recipeOf(options))
  const objective = await objectiveFor(base, options.objective)
  const model = await openModel(base, { objective, signal, onProgress })
  const reading = readingOf({ ...options, objective })
  const texts = await readLabelledTexts(data, reading, objective === 'language' ? [] : model.architecture.labels, {
    signal,
    onProgress,
  })
  return {
    base: model.dir,
    texts,
    recipe,
    output: { output, dtype, saveSteps, force, wait, threads, truncate, onSaved, signal, onProgress },
  }
}
