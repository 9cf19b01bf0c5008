import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openPair } from '../checkpoint/index.js'
import { checkWhole, inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { openPath } from '../paths/index.js'
import { predict, type Prediction } from '../predict.js'
import { Random } from '../random.js'
import type { ProbeOptions } from '../text/index.js'
import { parseRecipe, readLabelledTexts, recipeOf, trainOn, type LabelledTexts, type RecipeOptions } from '../train/index.js'
import { displacement, type Displacement } from './displacement.js'
import { overlapOf, type Overlap } from './overlap.js'
import { listShards, readAnyShard } from './shards.js'
import { labelTexts } from './label.js'
import type { SelectResult, Window } from './types.js'
import { readSelection } from './written.js'

/** Options of `evaluateSelection`: the command line's, in camelCase. */
export interface EvaluateOptions
  extends RunOptions,
    Omit<RecipeOptions, 'seed'>,
    Pick<ProbeOptions, 'format' | 'columns' | 'text' | 'label'> {
  /** folder that `select` wrote */
  selection: string
  /** labelled texts on which the models are compared */
  test: string[]
  /** texts that the reference was trained on */
  true?: string[]
  labelMap?: Record<string, string> | string
  /** trainings of each kind, by seed 0, 1, …; default 1 */
  seeds?: number
  /** random choices, each of them trained with `seeds` seeds; default 1, 0: none */
  random?: number
  threads?: number
  /** keeps the trained models under `selection/evaluate` */
  keep?: boolean
  force?: boolean
}

/** One way to choose texts, or a model as it is. */
export interface EvaluateRow {
  name: 'selected' | 'random' | 'true' | 'reference'
  texts: number
  /** means over the seeds, and their standard deviations; null for one training */
  accuracy: number
  accuracySd: number | null
  accuracies: number[]
  /** share of the test texts that get the reference's label; mean Kullback–Leibler divergence from the reference */
  agreement: number
  divergence: number
  /** of the trained weights along reference − base; null for the reference */
  displacement: Displacement | null
  /** with the true texts, where they are given */
  overlap: Overlap | null
}

export interface EvaluateResult {
  schema: 'warp.select.evaluate/1'
  selection: string
  testTexts: number
  seeds: number
  recipe: RecipeOptions
  rows: EvaluateRow[]
  notes: string[]
}

interface TrainingSet {
  name: EvaluateRow['name']
  sets: LabelledTexts[]
}

/**
 * Trains the base on the selection, on as many random documents of the corpus with the reference's labels and, where
 * they are given, on the true texts; compares the models on labelled texts.
 * @throws WarpError of models, texts and trainings; SELECTION_…, EVALUATE_CLASSIFIER
 */
export async function evaluateSelection(options: EvaluateOptions): Promise<EvaluateResult> {
  const { selection, seeds = 1, random = 1, signal, onProgress } = options
  checkWhole('seeds', seeds, 1, 1000)
  checkWhole('random', random, 0, 1000)
  const { result, documents } = await readSelection(selection)
  const pair = await openPair(result.base, result.reference, { baseHead: 'zeros' })
  const { labels } = pair.reference.architecture
  const recipe = parseRecipe(recipeOf(options as RecipeOptions))
  const reading = { format: options.format, columns: options.columns, text: options.text, label: options.label }
  const truth = options.true
    ? await readLabelledTexts(options.true, { ...reading, labelMap: options.labelMap, labels }, labels, { signal })
    : undefined
  const sets: TrainingSet[] = [{ name: 'selected', sets: [asTexts(documents, labels)] }]
  if (random > 0) sets.push({ name: 'random', sets: await randomSets(result, selection, random, labels, options) })
  if (truth) sets.push({ name: 'true', sets: [truth] })
  const asked = await askModel(result.reference, options)
  const rows: EvaluateRow[] = []
  for (const { name, sets: choices } of sets) {
    const runs: { accuracy: number; agreement: number; divergence: number; displacement: Displacement }[] = []
    for (const [c, texts] of choices.entries()) {
      for (let seed = 0; seed < seeds; seed++) {
        const output = join(selection, 'evaluate', `${name}-${c}-${seed}`)
        await trainOn(result.base, texts, { ...recipe, seed }, { output, force: true, threads: options.threads, signal, onProgress })
        const found = await askModel(output, options)
        runs.push({
          accuracy: found.accuracy,
          ...compare(found.predictions, asked.predictions),
          displacement: await measure(result, output, { signal, onProgress }),
        })
        if (!options.keep) await rm(output, { recursive: true, force: true })
      }
    }
    rows.push(rowOf(name, choices, runs, truth))
  }
  if (!options.keep) await rm(join(selection, 'evaluate'), { recursive: true, force: true })
  rows.push({
    name: 'reference',
    texts: 0,
    accuracy: asked.accuracy,
    accuracySd: null,
    accuracies: [asked.accuracy],
    agreement: 1,
    divergence: 0,
    displacement: null,
    overlap: null,
  })
  const testTexts = asked.predictions.length
  return { schema: 'warp.select.evaluate/1', selection, testTexts, seeds, recipe, rows, notes: [] }
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

function deviation(values: number[]): number | null {
  if (values.length < 2) return null
  const centre = mean(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1))
}

function rowOf(
  name: EvaluateRow['name'],
  sets: LabelledTexts[],
  runs: { accuracy: number; agreement: number; divergence: number; displacement: Displacement }[],
  truth: LabelledTexts | undefined,
): EvaluateRow {
  const accuracies = runs.map(({ accuracy }) => accuracy)
  return {
    name,
    texts: sets[0].texts.length,
    accuracy: mean(accuracies),
    accuracySd: deviation(accuracies),
    accuracies,
    agreement: mean(runs.map(({ agreement }) => agreement)),
    divergence: mean(runs.map(({ divergence }) => divergence)),
    displacement: {
      cosine: mean(runs.map(({ displacement: { cosine } }) => cosine)),
      relativeNorm: mean(runs.map(({ displacement: { relativeNorm } }) => relativeNorm)),
    },
    overlap: truth ? overlapOf(sets[0].texts, truth.texts) : null,
  }
}

function asTexts(documents: { text: string; label: string | null; source: string }[], labels: string[]): LabelledTexts {
  const label = Int32Array.from(documents, ({ label: name, source }) => {
    const id = name === null ? -1 : labels.indexOf(name)
    if (id >= 0) return id
    throw inputError(
      'EVALUATE_CLASSIFIER',
      `${source}: the document has no label of the reference`,
      { file: source, found: name, expected: labels },
      'evaluate selections of classifiers',
    )
  })
  return {
    texts: documents.map(({ text }) => text),
    sources: documents.map(({ source }) => source),
    label,
    labels,
    domain: label,
    domains: labels,
  }
}

/** As many windows of the same corpus, with the reference's labels. */
async function randomSets(
  { selected, reference, window }: SelectResult,
  selection: string,
  sets: number,
  labels: string[],
  options: EvaluateOptions,
): Promise<LabelledTexts[]> {
  const folder = join(selection, 'features')
  const windows: Window[] = []
  for (const shard of await listShards(folder)) windows.push(...(await readAnyShard(folder, shard)).windows)
  const made: LabelledTexts[] = []
  for (let set = 0; set < sets; set++) {
    const rows = new Random(set, 'select evaluate random').permutation(windows.length).slice(0, selected)
    const chosen = Array.from(rows, (row) => windows[row])
    const label = await labelTexts(reference, chosen.map(({ text }) => text), window, options)
    made.push(asTexts(chosen.map((one, i) => ({ ...one, label: labels[label[i]] })), labels))
  }
  return made
}

async function askModel(model: string, options: EvaluateOptions) {
  const { test, labelMap, format, columns, text, label, threads, signal, onProgress } = options
  const predictions: Pick<Prediction, 'predicted' | 'logits'>[] = []
  const { accuracy } = await predict({
    model,
    texts: test,
    labelMap,
    format,
    columns,
    text,
    label,
    threads,
    signal,
    onProgress,
    onText: ({ predicted, logits }) => void predictions.push({ predicted, logits }),
  })
  if (accuracy === null) {
    throw inputError(
      'EVALUATE_NO_LABELS',
      `${test.join(', ')}: the test texts have no labels`,
      { file: test[0] },
      'name the column with --label',
    )
  }
  return { accuracy, predictions }
}

type Said = Pick<Prediction, 'predicted' | 'logits'>[]

function compare(found: Said, reference: Said): { agreement: number; divergence: number } {
  let [same, divergence] = [0, 0]
  for (const [i, { predicted, logits }] of found.entries()) {
    if (predicted === reference[i].predicted) same++
    const [p, q] = [logProbabilities(reference[i].logits!), logProbabilities(logits!)]
    divergence += p.reduce((sum, value, c) => sum + Math.exp(value) * (value - q[c]), 0)
  }
  return { agreement: same / found.length, divergence: divergence / found.length }
}

function logProbabilities(logits: number[]): number[] {
  const top = Math.max(...logits)
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - top), 0)) + top
  return logits.map((value) => value - total)
}

/** How far a trained model went along reference − base: over the tensors that the base itself has. */
async function measure({ base, reference }: SelectResult, trained: string, run: RunOptions): Promise<Displacement> {
  const options = { baseHead: 'zeros' as const, forward: true, prepare: false, lambdas: [0.5] }
  const there = await openPath(base, reference, options)
  const here = await openPath(base, trained, options)
  try {
    const made = new Set(there.pair.generated.map(({ name }) => name))
    return await displacement(here, there, there.pair.tensorNames.filter((name) => !made.has(name)), run)
  } finally {
    here.close()
    there.close()
  }
}
