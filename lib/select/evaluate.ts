import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ModelPair, openPair, whileUnchanged } from '../checkpoint/index.js'
import { checkWhole, inputError, usageError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { objectiveFor } from '../objectives/index.js'
import { checkOptions, type Kinds, runKinds, textKinds } from '../options.js'
import { openPath } from '../paths/index.js'
import {
  parseRecipe,
  readLabelledTexts,
  recipeOf,
  trainOn,
  type LabelledTexts,
  type Recipe,
  type RecipeOptions,
  recipeKinds,
} from '../train/index.js'
import { askModel, compareAnswers, type Answers, type TestOptions } from './compare-models.js'
import { displacement, type Displacement } from './displacement.js'
import { overlapOf, type Overlap } from './overlap.js'
import { weightHashes } from './session.js'
import { asTexts, randomSets, type LabelledDocument, type SetOptions } from './training-sets.js'
import type { SelectResult } from './types.js'
import { readSelection } from './written.js'

/** Options of `evaluateSelection`: the command line's, in camelCase. */
export interface EvaluateOptions extends TestOptions, Omit<RecipeOptions, 'seed'> {
  /** folder that `select` wrote */
  selection: string
  /** texts that the reference was trained on */
  true?: string[]
  /** what is learned of the documents: the labels in the selection (default), or the reference's probabilities */
  labels?: 'hard' | 'soft'
  /** trainings of each kind, by seed 0, 1, …; default 1 */
  seeds?: number
  /** random choices, each of them trained with `seeds` seeds; default 1, 0: none */
  random?: number
  /** keeps the trained models under `selection/evaluate` */
  keep?: boolean
}

const { seed: _s, ...trainingKinds } = recipeKinds
const { format, columns, text, response, label } = textKinds
const kinds: Kinds<EvaluateOptions> = {
  ...trainingKinds,
  ...runKinds,
  ...{ format, columns, text, response, label },
  ...{ selection: 'text', true: 'texts', labels: ['hard', 'soft'], seeds: 'number', random: 'number', keep: 'flag' },
  ...{ test: 'texts', labelMap: 'labelMap', threads: 'number' },
}

/** One way to choose texts, or a model as it is. */
export interface EvaluateRow {
  name: 'selected' | 'random' | 'true' | 'reference'
  texts: number
  /** mean of `values`, and their standard deviation; null for one training */
  value: number
  sd: number | null
  values: number[]
  /**
   * share of the test texts that get the reference's label, and mean Kullback–Leibler divergence from the reference;
   * null for language models
   */
  agreement: number | null
  divergence: number | null
  /** of the trained weights along reference − base; null for the reference */
  displacement: Displacement | null
  /** with the true texts, where they are given */
  overlap: Overlap | null
}

export interface EvaluateResult {
  schema: 'warp.select.evaluate/1'
  selection: string
  /** what `value` is */
  measure: 'accuracy' | 'perplexity'
  labels: 'hard' | 'soft'
  testTexts: number
  seeds: number
  recipe: RecipeOptions
  rows: EvaluateRow[]
}

interface Trained {
  value: number
  agreement: number | null
  divergence: number | null
  displacement: Displacement
}

/**
 * Trains the base on the selection, on as many random documents of the corpus with the reference's labels and, where
 * they are given, on the true texts; compares the models on further texts.
 * @throws WarpError of models, texts and trainings; SELECTION_…, EVALUATE_LABEL, EVALUATE_NO_LABELS, SOFT_LABELS
 */
export async function evaluateSelection(options: EvaluateOptions): Promise<EvaluateResult> {
  checkOptions('evaluateSelection', options, kinds, ['selection', 'test'])
  const { selection, seeds = 1, random = 1 } = options
  checkWhole('seeds', seeds, 1, 1000)
  checkWhole('random', random, 0, 1000)
  const { result, documents } = await readSelection(selection)
  return whileUnchanged([result.base, result.reference], () => evaluateRead(options, result, documents))
}

async function evaluateRead(
  options: EvaluateOptions,
  result: SelectResult,
  documents: LabelledDocument[],
): Promise<EvaluateResult> {
  const { selection, seeds = 1, random = 1, labels: how = 'hard', signal } = options
  const objective = await objectiveFor(result.reference)
  if (how === 'soft' && objective === 'language')
    throw usageError('SOFT_LABELS', 'documents of language models have no labels', {}, 'leave --labels out')
  const pair = await openPair(result.base, result.reference, { baseHead: 'zeros', objective })
  await requireWeights(pair, result, { signal })
  const { labels } = pair.reference.architecture
  const { threads, onProgress } = options
  const { reference } = result
  const making: SetOptions = { reference, objective, labels, soft: how === 'soft', threads, signal, onProgress }
  const recipe = parseRecipe(recipeOf(options as RecipeOptions))
  const truth = await trueTexts(options, making)
  const sets: [EvaluateRow['name'], LabelledTexts[]][] = [['selected', [asTexts(documents, making)]]]
  if (random > 0) {
    const wanted = { sets: random, count: result.selected, window: result.window }
    sets.push(['random', await randomSets(join(selection, 'features'), wanted, making)])
  }
  if (truth) sets.push(['true', [truth]])
  const asked = await askModel(reference, options)
  const rows: EvaluateRow[] = []
  for (const [name, choices] of sets) {
    const runs: Trained[] = []
    for (const [c, texts] of choices.entries()) {
      for (let seed = 0; seed < seeds; seed++) {
        const output = join(selection, 'evaluate', `${name}-${c}-${seed}`)
        runs.push(await trainAndAsk(result, texts, { ...recipe, seed }, output, asked, options))
      }
    }
    rows.push(rowOf(name, choices, runs, truth))
  }
  if (!options.keep) await rm(join(selection, 'evaluate'), { recursive: true, force: true })
  const language = objective === 'language'
  return {
    schema: 'warp.select.evaluate/1',
    selection,
    measure: language ? 'perplexity' : 'accuracy',
    labels: how,
    testTexts: asked.predictions.length,
    seeds,
    recipe,
    rows: [...rows, referenceRow(asked, language)],
  }
}

/** @throws WarpError (input) SELECTION_MODELS */
async function requireWeights(pair: ModelPair, { weights, base, reference }: SelectResult, run: RunOptions) {
  const found = await weightHashes(pair, run)
  if (found.length === weights.length && found.every((hash, i) => hash === weights[i])) return
  throw inputError(
    'SELECTION_MODELS',
    `${base}, ${reference}: not the weights that the selection was made with`,
    { file: reference, expected: weights, found },
    'put them back, or select again',
  )
}

async function trueTexts(
  options: EvaluateOptions,
  { objective, labels }: SetOptions,
): Promise<LabelledTexts | undefined> {
  if (!options.true) return undefined
  const { format, columns, text, response, label, labelMap, signal } = options
  const reading = { format, columns, text, response, label, labelMap, objective }
  return readLabelledTexts(options.true, objective === 'language' ? reading : { ...reading, labels }, labels, {
    signal,
  })
}

async function trainAndAsk(
  result: SelectResult,
  texts: LabelledTexts,
  recipe: Recipe,
  output: string,
  asked: Answers,
  options: EvaluateOptions,
): Promise<Trained> {
  const { threads, signal, onProgress } = options
  await trainOn(result.base, texts, recipe, { output, force: true, threads, signal, onProgress })
  const found = await askModel(output, options)
  const alike = texts.objective === 'language' ? { agreement: null, divergence: null } : compareAnswers(found, asked)
  const moved = await measure(result, output, { signal, onProgress })
  if (!options.keep) await rm(output, { recursive: true, force: true })
  return { value: found.value, ...alike, displacement: moved }
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** Null for language models. */
const meanOf = (values: (number | null)[]): number | null =>
  values.every((value) => value !== null) ? mean(values) : null

function deviation(values: number[]): number | null {
  if (values.length < 2) return null
  const centre = mean(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1))
}

function rowOf(
  name: EvaluateRow['name'],
  sets: LabelledTexts[],
  runs: Trained[],
  truth: LabelledTexts | undefined,
): EvaluateRow {
  const values = runs.map(({ value }) => value)
  return {
    name,
    texts: sets[0].texts.length,
    value: mean(values),
    sd: deviation(values),
    values,
    agreement: meanOf(runs.map(({ agreement }) => agreement)),
    divergence: meanOf(runs.map(({ divergence }) => divergence)),
    displacement: {
      cosine: mean(runs.map((run) => run.displacement.cosine)),
      relativeNorm: mean(runs.map((run) => run.displacement.relativeNorm)),
    },
    overlap: truth ? overlapOf(sets[0].texts, truth.texts) : null,
  }
}

const referenceRow = ({ value }: Answers, language: boolean): EvaluateRow => ({
  name: 'reference',
  texts: 0,
  value,
  sd: null,
  values: [value],
  agreement: language ? null : 1,
  divergence: language ? null : 0,
  displacement: null,
  overlap: null,
})

/** How far a trained model went along reference − base: over the tensors that the base itself has. */
async function measure({ base, reference }: SelectResult, trained: string, run: RunOptions): Promise<Displacement> {
  const options = { baseHead: 'zeros' as const, prepare: false, lambdas: [0.5] }
  const there = await openPath(base, reference, options)
  const here = await openPath(base, trained, options)
  try {
    const made = new Set(there.pair.generated.map(({ name }) => name))
    const names = there.pair.tensorNames.filter((name) => !made.has(name))
    return await displacement(here, there, names, run)
  } finally {
    here.close()
    there.close()
  }
}
