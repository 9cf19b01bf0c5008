import { createHash } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { fileSha256, nativeWeights, openModel, writeFileAtomic, type ModelDirectory, type WeightDtype } from '../checkpoint/index.js'
import { inputError, usageError, WarpError } from '../errors.js'
import { modelRequest } from '../footprint/score.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { GeneratedTensor, Handle, TrainerRequest, TrainingRequest } from '../native/types.js'
import { Random } from '../random.js'
import { packProbes, type PackedProbes } from '../text/index.js'
import { loadTokenizer } from '../text/tokenizer/index.js'
import { rateAt, trainableNames, type Recipe } from './recipe.js'
import { loadState, padToken, readState, saveModel, saveState, type Shapes, type StateRecord } from './save.js'
import { asProbes, countsOf, textsSha256, type LabelledTexts } from './texts.js'

export interface TrainingOutput extends RunOptions {
  /** folder that becomes a model directory */
  output: string
  /** of the saved weights, default F32 */
  dtype?: WeightDtype
  /** a model directory `checkpoint-N` inside the output every so many steps */
  saveSteps?: number
  /** seconds between two states to resume from, default 60; 0: after every step */
  stateSeconds?: number
  /** start over where something is there */
  force?: boolean
  threads?: number
  /** false: longer texts are refused; default: cut off */
  truncate?: boolean
}

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

export interface TrainingResult extends TrainingRecord {
  output: string
  /** that the steps took */
  seconds: number
  /** steps that an earlier run had taken */
  resumedAt: number
}

const stateFile = 'warp.train.state.safetensors'
export const recordFile = 'warp.train.json'

interface Prepared {
  base: ModelDirectory
  labels: string[]
  generated: GeneratedTensor[]
  shapes: Shapes
  trainable: string[]
  packed: PackedProbes
  record: TrainingRecord
  notes: string[]
}

/**
 * Fine-tunes `base` on the texts and saves a directory that `transformers` loads. A run that was stopped goes on where
 * its state file stands and ends with the same bytes.
 * @throws WarpError TRAINING_DIVERGED (the state before the step is kept), OUTPUT_EXISTS, TRAIN_STATE_OTHER, DISK_FULL,
 *   those of models, texts and recipes; the signal's reason
 */
export async function trainOn(baseDir: string, texts: LabelledTexts, recipe: Recipe, options: TrainingOutput): Promise<TrainingResult> {
  const { output, dtype = 'F32', force = false } = options
  if (texts.texts.length === 0) throw inputError('TRAIN_NO_TEXTS', 'there is no text to train on', {}, 'give labelled texts')
  const prepared = await prepare(baseDir, texts, recipe, options)
  const { base, labels, shapes, trainable, record } = prepared
  await mkdir(output, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new WarpError('resource', 'OUTPUT_NOT_WRITABLE', `${output}: cannot be made (${cause.code})`, { file: output }, 'give another folder')
  })
  const state = await findState(output, keyOf(record), force)
  const trainer = await openTrainer(prepared, recipe)
  const started = performance.now()
  try {
    const progress: StateRecord = state ?? { schema: 'warp.train.state/1', key: keyOf(record), step: 0, loss: [], norm: [] }
    if (state) await loadState(join(output, stateFile), trainer, state)
    const resumedAt = progress.step
    await takeSteps(trainer, prepared, recipe, progress, options)
    const seconds = (performance.now() - started) / 1000
    await saveModel(output, trainer, base, shapes, labels, dtype, true)
    const { saveSteps } = options
    const checkpoints = saveSteps === undefined ? [] : Array.from({ length: Math.ceil(record.steps / saveSteps) - 1 }, (_, i) => (i + 1) * saveSteps)
    const done: TrainingRecord = { ...record, loss: progress.loss, norm: progress.norm, checkpoints }
    await writeFileAtomic(join(output, recordFile), `${JSON.stringify(done, null, 1)}\n`, { force: true })
    await rm(join(output, stateFile), { force: true })
    return { ...done, output, seconds, resumedAt }
  } finally {
    trainer.close()
  }
}

async function prepare(baseDir: string, texts: LabelledTexts, recipe: Recipe, options: TrainingOutput): Promise<Prepared> {
  const { signal, onProgress } = options
  const base = await openModel(baseDir)
  const { labels } = texts
  const { generated, notes } = headFor(base, labels, recipe.seed)
  const shapes = new Map([...base.tensors.values(), ...generated].map(({ name, shape }): [string, readonly number[]] => [name, shape]))
  const trainable = trainableNames(recipe, [...shapes.keys()], base.architecture.layers)
  const { maxPositions, vocabularySize } = base.architecture
  const maxLength = recipe.maxLength ?? Math.min(256, maxPositions)
  if (maxLength > maxPositions) {
    throw inputError('MAX_LENGTH_RANGE', `max length ${maxLength} exceeds the model's ${maxPositions} positions`, { found: maxLength, expected: maxPositions }, `--max-length ${maxPositions}`)
  }
  const packed = await packProbes(asProbes(texts), await loadTokenizer(baseDir), { maxLength, truncate: options.truncate ?? true, vocabularySize }, { signal, onProgress })
  const size = (names: Iterable<string>): number => [...names].reduce((sum, name) => sum + shapes.get(name)!.reduce((a, b) => a * b, 1), 0)
  const truncated = packed.truncated.reduce((a, b) => a + b, 0)
  if (truncated > 0) notes.push(`${truncated} texts were cut off at ${maxLength} tokens`)
  const files = await Promise.all(base.files.map(async ({ path }, i) => ({ name: `weights ${i + 1}`, sha256: await fileSha256(path, { signal }) })))
  const record: TrainingRecord = {
    schema: 'warp.train/1',
    base: { architecture: base.architectureName, files, newHead: generated.length > 0 },
    data: { texts: texts.texts.length, sha256: textsSha256(texts), labels, counts: countsOf(texts), tokens: packed.ids.length, truncated },
    recipe, trained: { tensors: trainable.length, parameters: size(trainable), of: size(shapes.keys()) },
    steps: recipe.epochs * stepsPerEpoch(recipe, texts.texts.length), loss: [], norm: [], checkpoints: [], notes,
  }
  return { base, labels, generated, shapes, trainable, packed, record, notes }
}

/** The tensors a base lacks: a head for these labels as `transformers` draws it, a pooler. */
function headFor(base: ModelDirectory, labels: string[], seed: number): { generated: GeneratedTensor[]; notes: string[] } {
  const { kind, hiddenSize, pooler, labels: own } = base.architecture
  const range = base.config.initializer_range
  const deviation = typeof range === 'number' ? range : 0.02
  const normal = (name: string, rows: number): GeneratedTensor => ({ name, dtype: 'F32', shape: [rows, hiddenSize], fill: 'normal', seed, deviation })
  const zeros = (name: string, rows: number): GeneratedTensor => ({ name, dtype: 'F32', shape: [rows], fill: 'zeros' })
  const generated: GeneratedTensor[] = []
  const notes = [...base.notes]
  if (kind === 'bert' && !pooler) generated.push(normal('pooler.dense.weight', hiddenSize), zeros('pooler.dense.bias', hiddenSize))
  if (!base.hasHead || own.join('\n') !== labels.join('\n')) {
    if (base.hasHead) notes.push(`the base's head for ${own.join(', ')} was set aside`)
    generated.push(...(kind === 'bert' ? [normal('classifier.weight', labels.length), zeros('classifier.bias', labels.length)] : [normal('score.weight', labels.length)]))
  }
  if (generated.length > 0) notes.push(`drawn at random (seed ${seed}): ${generated.map(({ name }) => name).join(', ')}`)
  return { generated, notes }
}

const keyOf = ({ base, data, recipe }: TrainingRecord): string => createHash('sha256').update(JSON.stringify([1, base, data, recipe])).digest('hex')

const stepsPerEpoch = ({ batch, accumulate }: Recipe, texts: number): number => Math.ceil(texts / (batch * accumulate))

/** The state to go on from; refuses an output that is complete, or of another run. */
async function findState(output: string, key: string, force: boolean): Promise<StateRecord | undefined> {
  const path = join(output, stateFile)
  if (force) {
    await rm(path, { force: true })
    await rm(join(output, recordFile), { force: true })
    return undefined
  }
  const there = await readdir(output)
  const state = there.includes(stateFile) ? await readState(path) : undefined
  if (there.includes(recordFile) || (!state && there.includes('model.safetensors'))) {
    throw usageError('OUTPUT_EXISTS', `${output}: a model is there already`, { file: output }, 'another folder, or --force')
  }
  if (state && state.key !== key) {
    throw inputError('TRAIN_STATE_OTHER', `${path}: is the state of a run with other texts, another base or another recipe`, { file: path },
      'repeat that command to finish it, or start over with --force')
  }
  return state
}

async function openTrainer({ base, labels, generated, trainable }: Prepared, recipe: Recipe): Promise<Handle> {
  const weights = nativeWeights(base, generated)
  try {
    const padTokenId = padToken(base)
    const model = modelRequest({ ...base.architecture, labels, pooler: true, ...(padTokenId === undefined ? {} : { padTokenId }) })
    return await runTask((report) => addon().openTrainer({ weights, model, trainable, dropout: dropoutOf(base, recipe), seed: recipe.seed }, report), 'open', 'bytes')
  } finally {
    weights.close()
  }
}

/** Rates of the recipe, else those of the configuration with the defaults of `transformers`. */
function dropoutOf({ architecture, config }: ModelDirectory, { dropout }: Recipe): TrainerRequest['dropout'] {
  const rate = (...names: string[]): number => dropout ?? names.map((name) => config[name]).find((value) => typeof value === 'number') as number | undefined ?? 0.1
  return architecture.kind === 'bert'
    ? { embedding: rate('hidden_dropout_prob'), attention: rate('attention_probs_dropout_prob'), hidden: rate('hidden_dropout_prob'), head: rate('classifier_dropout', 'hidden_dropout_prob') }
    : { embedding: rate('embd_pdrop'), attention: rate('attn_pdrop'), hidden: rate('resid_pdrop'), head: 0 }
}

/** Texts of step `step`: epoch after epoch a permutation keyed by (seed, epoch), whatever the packing. */
class Order {
  #epoch = -1
  #texts: Uint32Array = new Uint32Array(0)
  constructor(readonly recipe: Recipe, readonly count: number) {}

  of(step: number): Uint32Array {
    const each = stepsPerEpoch(this.recipe, this.count)
    const epoch = Math.floor(step / each)
    if (epoch !== this.#epoch) {
      this.#epoch = epoch
      this.#texts = new Random(this.recipe.seed, 'order', epoch).permutation(this.count)
    }
    const size = this.recipe.batch * this.recipe.accumulate
    return this.#texts.subarray(step % each * size, (step % each + 1) * size)
  }
}

/** The chosen texts alone, in their order. */
function subset({ ids, typeIds, offsets, label }: PackedProbes, chosen: Uint32Array): Pick<TrainingRequest, 'ids' | 'typeIds' | 'offsets' | 'label'> {
  const ends = new Uint32Array(chosen.length + 1)
  chosen.forEach((text, i) => ends[i + 1] = ends[i] + offsets[text + 1] - offsets[text])
  const part = { ids: new Uint32Array(ends[chosen.length]), typeIds: new Uint8Array(ends[chosen.length]), offsets: ends, label: Int32Array.from(chosen, (text) => label[text]) }
  chosen.forEach((text, i) => {
    part.ids.set(ids.subarray(offsets[text], offsets[text + 1]), ends[i])
    part.typeIds.set(typeIds.subarray(offsets[text], offsets[text + 1]), ends[i])
  })
  return part
}

/** Takes the steps that are left, one native job each; `progress` follows. */
async function takeSteps(trainer: Handle, prepared: Prepared, recipe: Recipe, progress: StateRecord, options: TrainingOutput): Promise<void> {
  const { output, saveSteps, stateSeconds = 60, signal, onProgress, dtype = 'F32' } = options
  const { packed, base, labels, shapes, trainable, record } = prepared
  const order = new Order(recipe, packed.label.length)
  const optimizer = { decoupled: recipe.optimizer === 'adamw', beta1: recipe.beta1, beta2: recipe.beta2, epsilon: recipe.epsilon, weightDecay: recipe.weightDecay, clip: recipe.clip }
  const threads = options.threads ?? os.availableParallelism()
  const keep = (): Promise<void> => saveState(join(output, stateFile), trainer, shapes, trainable, progress)
  let kept = progress.step
  let last = performance.now()
  while (progress.step < record.steps) {
    const chosen = order.of(progress.step)
    const request: TrainingRequest = {
      ...subset(packed, chosen), order: Uint32Array.from(chosen, (_, i) => i), ends: Uint32Array.of(chosen.length),
      rates: Float64Array.of(rateAt(recipe, progress.step, record.steps)), batch: recipe.batch, optimizer, threads,
    }
    try {
      const { loss, norm } = await runTask((report) => addon().trainSteps(trainer, request, report), 'train', 'texts', { signal })
      progress.loss.push(loss[0])
      progress.norm.push(norm[0])
    } catch (error) {
      if (progress.step > kept) await keep()
      throw error
    }
    progress.step++
    if (saveSteps !== undefined && progress.step % saveSteps === 0 && progress.step < record.steps) {
      await saveModel(join(output, `checkpoint-${progress.step}`), trainer, base, shapes, labels, dtype, true)
    }
    if (performance.now() - last >= stateSeconds * 1000) {
      await keep()
      kept = progress.step
      last = performance.now()
    }
    onProgress?.({ phase: 'train', done: progress.step, total: record.steps, unit: 'steps' })
  }
}
