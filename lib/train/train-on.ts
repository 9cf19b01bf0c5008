import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory } from '../checkpoint/atomic.js'
import { assertUnchanged, tokenizerFiles, writeFileAtomic, type WeightDtype } from '../checkpoint/index.js'
import { refuseInputs, removeParts, withClaim, type ClaimOptions } from '../claim.js'
import { inputError, usageError } from '../errors.js'
import { notWritable } from '../folders.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { openTrainer, runKey, prepare, type Prepared, type TrainingRecord } from './prepare.js'
import { readJsonFile } from '../text/json-file.js'
import { rateAt, type Recipe } from './recipe.js'
import { saveModel } from './save.js'
import { loadState, readState, saveState, type RunKey, type StateRecord } from './state.js'
import { Order, takeStep } from './steps.js'
import type { LabelledTexts } from './texts.js'

export interface TrainingOutput extends ClaimOptions {
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
  /** called when the model is saved, before the record that says the run is done: what it leaves is there with that */
  onSaved?: (result: TrainingResult) => Promise<void>
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
/** The record of a run that is writing its model: where it is, the model beside it may be anything. */
const writingFile = 'warp.train.writing.json'
/** What a run writes into its output, the command line's page included. */
export const outputFiles = [
  ...['model.safetensors', 'config.json', recordFile, writingFile, stateFile, 'warp.train.html'],
  ...tokenizerFiles,
]

/**
 * Fine-tunes `base` on the texts and saves a directory that `transformers` loads. A run that was stopped goes on where
 * its state file stands and ends with the same bytes.
 * @throws WarpError TRAINING_DIVERGED (the state before the step is kept), OUTPUT_EXISTS, OUTPUT_BUSY, OUTPUT_IS_INPUT,
 *   TRAIN_STATE_OTHER, DISK_FULL,
 *   those of models, texts and recipes; the signal's reason
 */
export async function trainOn(
  baseDir: string,
  texts: LabelledTexts,
  recipe: Recipe,
  options: TrainingOutput,
): Promise<TrainingResult> {
  const { output } = options
  await refuseInputs([output], [baseDir])
  const prepared = await prepare(baseDir, texts, recipe, options)
  return withClaim(output, { ...options, writes: outputFiles }, async () => {
    const checkpoints = checkpointsOf(prepared.record, options).map((step) => checkpointFolder(output, step))
    for (const folder of checkpoints) await removeParts(folder, outputFiles)
    return trainPrepared(prepared, options)
  })
}

async function trainPrepared(prepared: Prepared, options: TrainingOutput): Promise<TrainingResult> {
  const { output, dtype = 'F32', force = false } = options
  const { shapes, trainable, record } = prepared
  const state = force ? await discard(output) : await findState(output, runKey(record))
  const trainer = await openTrainer(prepared)
  const started = performance.now()
  try {
    await assertUnchanged(prepared.base.files) // from here on everything is in memory
    const progress: StateRecord = state ?? {
      schema: 'warp.train.state/2',
      ...runKey(record),
      step: 0,
      loss: [],
      norm: [],
    }
    if (state) await loadState(join(output, stateFile), trainer, shapes, trainable, state)
    const resumedAt = progress.step
    await takeSteps(trainer, prepared, progress, options)
    const seconds = (performance.now() - started) / 1000
    const done: TrainingRecord = {
      ...record,
      loss: progress.loss,
      norm: progress.norm,
      checkpoints: checkpointsOf(record, options),
    }
    await writeFileAtomic(join(output, writingFile), `${JSON.stringify(done, null, 1)}\n`, { force: true })
    await saveModel(output, trainer, prepared, dtype, true)
    const result = { ...done, output, seconds, resumedAt }
    await options.onSaved?.(result)
    await rename(join(output, writingFile), join(output, recordFile)).catch((cause: unknown) => {
      throw notWritable(join(output, recordFile), cause)
    })
    await syncDirectory(output)
    await rm(join(output, stateFile), { force: true })
    return result
  } finally {
    trainer.close()
  }
}

async function discard(output: string): Promise<undefined> {
  for (const name of [stateFile, recordFile, writingFile]) {
    const path = join(output, name)
    await rm(path, { force: true }).catch((cause: unknown) => {
      throw notWritable(path, cause)
    })
  }
}

const checkpointFolder = (output: string, step: number): string => join(output, `checkpoint-${step}`)

/** Steps after which a run leaves a checkpoint: all but the last. */
export const checkpointsOf = ({ steps }: TrainingRecord, { saveSteps }: Pick<TrainingOutput, 'saveSteps'>): number[] =>
  saveSteps === undefined ? [] : Array.from({ length: Math.ceil(steps / saveSteps) - 1 }, (_, i) => (i + 1) * saveSteps)

/** Of the run whose record it is; undefined where it cannot be told. */
async function recordedKey(file: string): Promise<string | undefined> {
  const record = await readJsonFile(file, 'TRAIN_RECORD', '').catch(() => undefined)
  const { base, data, recipe } = Object(record) as TrainingRecord
  return base && data && recipe && JSON.stringify(runKey({ base, data, recipe }))
}

/** The state to go on from; refuses an output that is complete, or of another run. */
export async function findState(output: string, key: RunKey): Promise<StateRecord | undefined> {
  const path = join(output, stateFile)
  const there = await readdir(output).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    throw notWritable(output, error)
  })
  const state = there.includes(stateFile) ? await readState(path) : undefined
  const sameRun = async (name: string): Promise<boolean> =>
    there.includes(name) && (await recordedKey(join(output, name))) === JSON.stringify(key)
  const whole = !state && there.includes('model.safetensors') && !(await sameRun(writingFile))
  if (there.includes(recordFile) || whole) {
    throw usageError(
      'OUTPUT_EXISTS',
      `${output}: a model is there already`,
      { file: output, sameRun: await sameRun(recordFile) },
      'another folder, or --force',
    )
  }
  const parts = { base: 'another base', data: 'other texts', recipe: 'another recipe' }
  const others = state
    ? Object.entries(parts)
        .filter(([part]) => state[part as keyof RunKey] !== key[part as keyof RunKey])
        .map(([, name]) => name)
    : []
  if (others.length > 0) {
    throw inputError(
      'TRAIN_STATE_OTHER',
      `${path}: is the state of a run with ${others.join(', ')}`,
      { file: path, found: others },
      'repeat that command to finish it, or start over with --force',
    )
  }
  return state
}

/** Takes the steps that are left, one native job each; `progress` follows. */
async function takeSteps(
  trainer: Handle,
  prepared: Prepared,
  progress: StateRecord,
  options: TrainingOutput,
): Promise<void> {
  const { output, saveSteps, stateSeconds = 60, signal, onProgress, dtype = 'F32' } = options
  const { packed, shapes, trainable, record } = prepared
  const { recipe } = record
  const order = new Order(recipe, packed.label.length)
  const keep = (): Promise<void> => saveState(join(output, stateFile), trainer, shapes, trainable, progress)
  // parameters and their number belong together: native code moves both or neither
  const keepWhole = async (): Promise<void> => {
    if (progress.step > kept && callNative(() => addon().trainerStep(trainer)) === progress.step) await keep()
  }
  let kept = progress.step
  let last = performance.now()
  while (progress.step < record.steps) {
    try {
      const { loss, norm } = await takeStep(
        trainer,
        prepared,
        order.of(progress.step),
        rateAt(recipe, progress.step, record.steps),
        options,
      )
      progress.loss.push(loss)
      progress.norm.push(norm)
    } catch (error) {
      await keepWhole()
      throw error
    }
    progress.step++
    if (saveSteps !== undefined && progress.step % saveSteps === 0 && progress.step < record.steps) {
      await saveModel(checkpointFolder(output, progress.step), trainer, prepared, dtype, true)
    }
    if (performance.now() - last >= stateSeconds * 1000) {
      await keep()
      kept = progress.step
      last = performance.now()
    }
    onProgress?.({ phase: 'train', done: progress.step, total: record.steps, unit: 'steps' })
  }
  if (signal?.aborted) {
    await keepWhole()
    throw signal.reason
  }
}
