import {
  fileSha256,
  nativeWeights,
  networkOf,
  openModel,
  readCarried,
  tokenizerFiles,
  type CarriedFile,
  type ModelDirectory,
} from '../checkpoint/index.js'
import { digestOf } from '../document.js'
import { inputError } from '../errors.js'
import { requiredTensors, type Group } from '../models/facts.js'
import type { Network, Step } from '../models/network.js'
import { packWindows } from '../objectives/pack.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { GeneratedTensor, Handle, TrainerRequest } from '../native/types.js'
import { packProbes, type PackedProbes } from '../text/index.js'
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/index.js'
import { stepsOf, trainableNames, type Recipe } from './recipe.js'
import { padToken, type Shapes } from './save.js'
import type { RunKey } from './state.js'
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
  /** of the base: what makes the output's tokenizer */
  carried: CarriedFile[]
  labels: string[]
  network: Network
  generated: GeneratedTensor[]
  /** where each tensor is */
  groups: ReadonlyMap<string, Group>
  shapes: Shapes
  trainable: string[]
  packed: PackedProbes
  /** texts × classes: probabilities in the place of the labels */
  soft: Float32Array | undefined
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
  const { labels, objective } = texts
  const base = await openModel(baseDir, { objective })
  const network = networkOf(base, objective, labels.length)
  const { generated, notes } =
    objective === 'language' ? { generated: [], notes: [...base.notes] } : headFor(base, network, labels, recipe.seed)
  const shapes = new Map(
    [...base.tensors.values(), ...generated].map(({ name, shape }): [string, readonly number[]] => [name, shape]),
  )
  const places = new Map(requiredTensors(network).map(({ name, group }) => [name, group]))
  requireAll(base, [...places.keys()], shapes)
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
  const carried = await readCarried(base.dir, tokenizerFiles)
  const tokenizer = await loadTokenizer(base.dir)
  assertSame(carried, tokenizer)
  notes.push(tokenizer.note, ...(texts.notes ?? []))
  const single = await packProbes(
    asProbes(texts),
    tokenizer,
    { maxLength, truncate: options.truncate ?? true, vocabularySize },
    { signal, onProgress },
  )
  const packed = recipe.pack === undefined ? single : windowsOf(single, base, network, labels.length, recipe.pack)
  if (packed !== single) notes.push(`texts were packed into ${packed.label.length} windows of ${recipe.pack} tokens`)
  const size = (names: Iterable<string>): number =>
    [...names].reduce((sum, name) => sum + shapes.get(name)!.reduce((a, b) => a * b, 1), 0)
  const truncated = packed.truncated.reduce((a, b) => a + b, 0)
  if (truncated > 0) notes.push(`${truncated} texts were cut off at ${maxLength} tokens`)
  const weights = await Promise.all(
    base.files.map(async (file, i) => ({
      name: `weights ${i + 1}`,
      sha256: await fileSha256(file.path, { signal, expected: file }),
    })),
  )
  const files = [
    ...weights,
    { name: 'config.json', sha256: digestOf(base.config) },
    ...carried.map(({ name, sha256 }) => ({ name, sha256 })),
  ]
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
    steps: stepsOf(recipe, packed.label.length),
    loss: [],
    norm: [],
    checkpoints: [],
    notes,
  }
  const { soft } = texts
  return { base, carried, labels, network, generated, groups, shapes, trainable, packed, soft, record, notes }
}

/** @throws WarpError LANGUAGE_MODEL_MISSING: a classifier gets its head, an output layer does not come from nowhere */
function requireAll({ dir, architectureName, family }: ModelDirectory, names: string[], shapes: Shapes): void {
  const missing = names.find((name) => !shapes.has(name))
  if (missing === undefined) return
  throw inputError(
    'LANGUAGE_MODEL_MISSING',
    `${dir}: ${architectureName} is no language model: it has no ${missing}`,
    { file: dir, found: architectureName, expected: family?.classes.language ?? null },
    'Give a language model, or train a classifier.',
  )
}

/** @throws WarpError TRAIN_PACK_OBJECTIVE, TRAIN_NO_END, MAX_LENGTH_RANGE */
function windowsOf(
  packed: PackedProbes,
  base: ModelDirectory,
  { objective, maxPositions }: Network,
  domains: number,
  window: number,
): PackedProbes {
  if (objective !== 'language' || packed.prompts) {
    throw inputError(
      'TRAIN_PACK_OBJECTIVE',
      packed.prompts ? 'texts with prompts cannot be packed' : 'a classifier reads its texts one by one',
      { found: objective },
      'leave --pack out',
    )
  }
  if (window > maxPositions) {
    throw inputError(
      'MAX_LENGTH_RANGE',
      `windows of ${window} tokens exceed the model's ${maxPositions} positions`,
      { found: window, expected: maxPositions },
      `--pack ${maxPositions}`,
    )
  }
  const { eos_token_id: end } = base.config
  const id: unknown = Array.isArray(end) ? end[0] : end
  if (typeof id !== 'number') {
    throw inputError(
      'TRAIN_NO_END',
      `${base.dir}: config.json names no end token (eos_token_id) to stand between packed texts`,
      { file: base.dir },
      'leave --pack out, or set eos_token_id',
    )
  }
  return packWindows(packed, domains, id, window)
}

/** The tokenizer that splits the texts is the one that is carried along. @throws FILE_CHANGED */
function assertSame(carried: CarriedFile[], tokenizer: Tokenizer): void {
  const file = carried.find(({ name }) => name === 'tokenizer.json')
  if (file && file.sha256 !== tokenizer.sha256) {
    throw inputError(
      'FILE_CHANGED',
      `${file.path}: changed while it was being used`,
      { file: file.path },
      'Something is writing to the file; wait until it is complete.',
    )
  }
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

/** Hashes of all that decides the bytes of the weights. */
export const runKey = ({ base, data, recipe }: Pick<TrainingRecord, 'base' | 'data' | 'recipe'>): RunKey => ({
  base: digestOf(base),
  data: digestOf(data),
  recipe: digestOf(recipe),
})

/** The model in memory, before its first step. */
export async function openTrainer(prepared: Prepared): Promise<Handle> {
  const { base, generated, trainable, record } = prepared
  const { seed } = record.recipe
  const network = { ...prepared.network, padTokenId: padToken(base) ?? -1 }
  const weights = nativeWeights(base, generated)
  try {
    return await runTask(
      (report) => addon().openTrainer({ weights, network, trainable, dropout: dropoutOf(prepared), seed }, report),
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
