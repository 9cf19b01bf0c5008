import { createHash } from 'node:crypto'
import { fileSha256, nativeWeights, openModel, type ModelDirectory } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import { modelRequest } from '../footprint/score.js'
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
  generated: GeneratedTensor[]
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
  const { generated, notes } = headFor(base, labels, recipe.seed)
  const shapes = new Map(
    [...base.tensors.values(), ...generated].map(({ name, shape }): [string, readonly number[]] => [name, shape]),
  )
  const trainable = trainableNames(recipe, [...shapes.keys()], base.architecture.layers)
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
  const tokenizer = await loadTokenizer(baseDir)
  notes.push(tokenizer.note, ...(texts.notes ?? []))
  const packed = await packProbes(
    asProbes(texts),
    tokenizer,
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
  return { base, labels, generated, shapes, trainable, packed, record, notes }
}

/** Whether the base has no head for exactly these labels. */
export const needsHead = (base: ModelDirectory, labels: string[]): boolean =>
  !base.hasHead || base.architecture.labels.join('\n') !== labels.join('\n')

/** The tensors a base lacks: a head for these labels as `transformers` draws it, a pooler. */
function headFor(
  base: ModelDirectory,
  labels: string[],
  seed: number,
): { generated: GeneratedTensor[]; notes: string[] } {
  const { kind, hiddenSize, pooler, labels: own } = base.architecture
  const range = base.config.initializer_range
  const deviation = typeof range === 'number' ? range : 0.02
  const normal = (name: string, rows: number): GeneratedTensor => ({
    name,
    dtype: 'F32',
    shape: [rows, hiddenSize],
    fill: 'normal',
    seed,
    deviation,
  })
  const zeros = (name: string, rows: number): GeneratedTensor => ({ name, dtype: 'F32', shape: [rows], fill: 'zeros' })
  const generated: GeneratedTensor[] = []
  const notes = [...base.notes]
  if (kind === 'bert' && !pooler)
    generated.push(normal('pooler.dense.weight', hiddenSize), zeros('pooler.dense.bias', hiddenSize))
  if (needsHead(base, labels)) {
    if (base.hasHead) notes.push(`the base's head for ${own.join(', ')} was set aside`)
    generated.push(
      ...(kind === 'bert'
        ? [normal('classifier.weight', labels.length), zeros('classifier.bias', labels.length)]
        : [normal('score.weight', labels.length)]),
    )
  }
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
export async function openTrainer({
  base,
  labels,
  generated,
  trainable,
  record: { recipe },
}: Prepared): Promise<Handle> {
  const weights = nativeWeights(base, generated)
  try {
    const padTokenId = padToken(base)
    const model = modelRequest({
      ...base.architecture,
      labels,
      pooler: true,
      ...(padTokenId === undefined ? {} : { padTokenId }),
    })
    return await runTask(
      (report) =>
        addon().openTrainer({ weights, model, trainable, dropout: dropoutOf(base, recipe), seed: recipe.seed }, report),
      'open',
      'bytes',
    )
  } finally {
    weights.close()
  }
}

/** Rates of the recipe, else those of the configuration with the defaults of `transformers`. */
function dropoutOf({ architecture, config }: ModelDirectory, { dropout }: Recipe): TrainerRequest['dropout'] {
  const rate = (...names: string[]): number =>
    dropout ??
    (names.map((name) => config[name]).find((value) => typeof value === 'number') as number | undefined) ??
    0.1
  return architecture.kind === 'bert'
    ? {
        embedding: rate('hidden_dropout_prob'),
        attention: rate('attention_probs_dropout_prob'),
        hidden: rate('hidden_dropout_prob'),
        head: rate('classifier_dropout', 'hidden_dropout_prob'),
      }
    : { embedding: rate('embd_pdrop'), attention: rate('attn_pdrop'), hidden: rate('resid_pdrop'), head: 0 }
}
