import { createHash } from 'node:crypto'
import { fileSha256, nativeWeights, networkOf, openModel, type ModelDirectory } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import { modelRequest } from '../footprint/score.js'
import { requiredTensors, type Group } from '../models/facts.js'
import type { Network, Step } from '../models/network.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { GeneratedTensor, Handle, TrainerRequest } from '../native/types.js'
import { packProbes, type PackedProbes } from '../text/index.js'
import { loadTokenizer } from '../text/tokenizer/index.js'
import { stepsOf, trainableNames, type Recipe } from './recipe.js'
import { padToken, type Shapes } from './save.js'
import { asProbes, countsOf, textsSha256, type LabelledTexts } from './texts.js'

/** `warp.train.json`: everything that decides the bytes of the weights, and how the loss went. */
export interface TrainingRecord {
  schema: 'warp.train/1'
  base: { architecture: string; files: { name: string; sha256: string }[]; newHead: boolean }
  data: { texts: number; sha256: string; labels: string[]; counts: number[]; tokens: number; truncated: number }
  recipe: Recipe
  trained: { tensors: number; parameters: number; of: number }
  steps: number
  /** by step: mean loss before the update, norm of the gradient */
  loss: number[]
  norm: number[]
  checkpoints: number[]
  notes: string[]
}

/** A run that is checked, with its texts as tokens; nothing is loaded or written yet. */
export interface Prepared {
  base: ModelDirectory
  labels: string[]
  network: Network
  generated: GeneratedTensor[]
  /** where each tensor is */
  groups: ReadonlyMap<string, Group>
  shapes: Shapes
  trainable: string[]
  packed: PackedProbes
  record: TrainingRecord
  notes: string[]
}

/** @throws WarpError of models, texts and recipes; TRAIN_NO_TEXTS */
export async function prepare(
  baseDir: string,
  texts: LabelledTexts,
  recipe: Recipe,
  options: RunOptions & { truncate?: boolean },
): Promise<Prepared> {
  const { signal, onProgress } = options
  if (texts.texts.length === 0)
    throw inputError('TRAIN_NO_TEXTS', 'there is no text to train on', {}, 'give labelled texts')
  const base = await openModel(baseDir)
  const { labels } = texts
  const network = networkOf(base, 'classify', labels.length)
  const { generated, notes } = headFor(base, network, labels, recipe.seed)
  const shapes = new Map(
    [...base.tensors.values(), ...generated].map(({ name, shape }): [string, readonly number[]] => [name, shape]),
  )
  const places = new Map(requiredTensors(network).map(({ name, group }) => [name, group]))
  const groups = new Map([...shapes.keys()].map((name) => [name, places.get(name)!]))
  const trainable = trainableNames(recipe, groups, network.layers.length)
  const { maxPositions, vocabularySize } = base.architecture
  const maxLength = recipe.maxLength ?? Math.min(256, maxPositions)
  if (maxLength > maxPositions) {
    throw inputError(
      'MAX_LENGTH_RANGE',
      `max length ${maxLength} exceeds the model's ${maxPositions} positions`,
      { found: maxLength, expected: maxPositions },
      `--max-length ${maxPositions}`,
    )
  }
  const packed = await packProbes(
    asProbes(texts),
    await loadTokenizer(base.dir),
    { maxLength, truncate: options.truncate ?? true, vocabularySize },
    { signal, onProgress },
  )
  const size = (names: Iterable<string>): number =>
    [...names].reduce((sum, name) => sum + shapes.get(name)!.reduce((a, b) => a * b, 1), 0)
  const truncated = packed.truncated.reduce((a, b) => a + b, 0)
  if (truncated > 0) notes.push(`${truncated} texts were cut off at ${maxLength} tokens`)
  const files = await Promise.all(
    base.files.map(async ({ path }, i) => ({ name: `weights ${i + 1}`, sha256: await fileSha256(path, { signal }) })),
  )
  const record: TrainingRecord = {
    schema: 'warp.train/1',
    base: { architecture: base.architectureName, files, newHead: generated.length > 0 },
    data: {
      texts: texts.texts.length,
      sha256: await textsSha256(texts, signal),
      labels,
      counts: countsOf(texts),
      tokens: packed.ids.length,
      truncated,
    },
    recipe,
    trained: { tensors: trainable.length, parameters: size(trainable), of: size(shapes.keys()) },
    steps: stepsOf(recipe, texts.texts.length),
    loss: [],
    norm: [],
    checkpoints: [],
    notes,
  }
  return { base, labels, network, generated, groups, shapes, trainable, packed, record, notes }
}

/** Whether the base has no head for exactly these labels. */
export const needsHead = (base: ModelDirectory, labels: string[]): boolean =>
  !base.hasHead || base.architecture.labels.join('\n') !== labels.join('\n')

/** The tensors a base lacks of a classifier for these labels, as `transformers` draws them. */
function headFor(
  base: ModelDirectory,
  network: Network,
  labels: string[],
  seed: number,
): { generated: GeneratedTensor[]; notes: string[] } {
  const range = base.config.initializer_range
  const deviation = typeof range === 'number' ? range : 0.02
  const fresh = needsHead(base, labels)
  const notes = [...base.notes]
  if (fresh && base.hasHead) notes.push(`the base's head for ${base.architecture.labels.join(', ')} was set aside`)
  const missing = requiredTensors(network).filter(
    ({ name }) => !base.tensors.has(name) || (fresh && base.family!.fresh.test(name)),
  )
  const norm = network.head.steps.find((s) => s.op === 'norm' && missing.some(({ name }) => name === s.gain))
  if (norm) {
    throw inputError(
      'BASE_HEAD_MISSING',
      `${base.dir}: ${base.architectureName} has no ${(norm as Step & { op: 'norm' }).gain}, which a classifier keeps`,
      { file: base.dir, found: base.architectureName },
      'Use the checkpoint of the masked language model.',
    )
  }
  const generated = missing.map(
    ({ name, shape }): GeneratedTensor => ({
      name,
      dtype: 'F32',
      shape: [...shape],
      ...(shape.length === 1 ? { fill: 'zeros' } : { fill: 'normal', seed, deviation }),
    }),
  )
  if (generated.length > 0)
    notes.push(`drawn at random (seed ${seed}): ${generated.map(({ name }) => name).join(', ')}`)
  return { generated, notes }
}

/** Of all that decides the bytes of the weights. */
export const keyOf = ({ base, data, recipe }: TrainingRecord): string =>
  createHash('sha256')
    .update(JSON.stringify([1, base, data, recipe]))
    .digest('hex')

/** The model in memory, before its first step. */
export async function openTrainer(prepared: Prepared): Promise<Handle> {
  const { base, labels, generated, trainable, record } = prepared
  const { seed } = record.recipe
  const weights = nativeWeights(base, generated)
  try {
    const padTokenId = padToken(base)
    const model = modelRequest({
      ...base.architecture,
      labels,
      ...(padTokenId === undefined ? {} : { padTokenId }),
    })
    return await runTask(
      (report) => addon().openTrainer({ weights, model, trainable, dropout: dropoutOf(prepared), seed }, report),
      'open',
      'bytes',
    )
  } finally {
    weights.close()
  }
}

/** Rates of the recipe, else those of the configuration with the defaults of `transformers`. */
function dropoutOf({ base, network, record }: Prepared): TrainerRequest['dropout'] {
  const { dropout } = record.recipe
  if (dropout === undefined) return base.blueprint!.dropout
  const head = network.head.steps.some(({ op }) => op === 'drop') ? dropout : 0
  return { embedding: dropout, attention: dropout, hidden: dropout, head }
}
