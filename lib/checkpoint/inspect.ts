import { join } from 'node:path'
import { WarpError } from '../errors.js'
import { localFolder } from '../hub/index.js'
import type { RunOptions } from '../native/task.js'
import type { Architecture } from './config.js'
import type { FileRecord } from './files.js'
import { listDirectory, locateWeights } from './locate.js'
import { openModel, type ModelDirectory } from './model.js'

/** What `warp inspect` says about a model directory; plain JSON. */
export interface Inspection {
  schema: 'warp.inspect/1'
  dir: string
  /** can be scored (`recover`, `footprint`), can at least be traced and merged, or neither */
  usable: 'forward' | 'weights' | 'no'
  architectureName: string
  architecture: Architecture | null
  files: FileRecord[]
  /** elements of all floating tensors, tied ones once */
  parameters: number
  /** tensors by element type */
  dtypes: Record<string, number>
  tensors: { name: string; storedName: string; dtype: string; shape: number[]; file: string }[]
  head: { present: boolean; labels: string[] }
  tie: { name: string; to: string } | null
  tokenizer: string[]
  unexpected: string[]
  ignored: string[]
  notes: string[]
  /** what stands in the way of scoring the model, the first problem of each attempt */
  problems: { code: string; message: string; hint: string }[]
}

/** Files of a model directory that say how texts become ids. */
export const tokenizerFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
]

/**
 * Looks at a model directory without refusing it: what cannot be read is listed under `problems`.
 * @throws WarpError MODEL_DIRECTORY_… when there is no directory to look at
 */
export async function inspect(given: string, run: RunOptions = {}): Promise<Inspection> {
  const { dir, notes } = await localFolder(given, 'model', run)
  const names = await listDirectory(dir)
  const problems: Inspection['problems'] = []
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof WarpError)) throw error
      const { code, message, hint } = error
      if (!problems.some((p) => p.message === message)) problems.push({ code, message, hint })
      return undefined
    }
  }
  const scored = await attempt(() => openModel(dir))
  const model = scored ?? (await attempt(() => openModel(dir, { forward: false })))
  const tensors = model ? tensorsOf(model) : ((await attempt(() => storedTensors(dir, names))) ?? [])
  const dtypes: Record<string, number> = {}
  for (const { dtype } of tensors) dtypes[dtype] = (dtypes[dtype] ?? 0) + 1
  return {
    schema: 'warp.inspect/1',
    dir,
    usable: scored ? 'forward' : model ? 'weights' : 'no',
    architectureName: model?.architectureName ?? '',
    architecture: model?.architecture ?? null,
    files: model?.files ?? [],
    parameters: model ? countParameters(model) : 0,
    dtypes,
    tensors,
    head: { present: model?.hasHead ?? false, labels: model?.architecture.labels ?? [] },
    tie: model?.tie ?? null,
    tokenizer: tokenizerFiles.filter((name) => names.includes(name)),
    unexpected: model?.unexpected ?? [],
    ignored: model?.ignored ?? [],
    notes: [...notes, ...(model?.notes ?? [])],
    problems,
  }
}

function tensorsOf(model: ModelDirectory): Inspection['tensors'] {
  return [...model.tensors.values(), ...model.extra.values()].map(({ name, storedName, dtype, shape, file }) => ({
    name,
    storedName,
    dtype,
    shape,
    file: model.files[file]!.path,
  }))
}

async function storedTensors(dir: string, names: readonly string[]): Promise<Inspection['tensors']> {
  const { files, headers } = await locateWeights(dir, names, '')
  return headers.flatMap((header, i) =>
    header.tensors.map(({ storedName, dtype, shape }) => ({
      name: storedName,
      storedName,
      dtype,
      shape,
      file: join(files[i]!.path),
    })),
  )
}

function countParameters(model: ModelDirectory): number {
  let count = 0
  const add = (shape: readonly number[]): void => {
    count += shape.reduce((product, size) => product * size, 1)
  }
  for (const t of model.tensors.values()) add(t.shape)
  for (const name of model.unexpected) add(model.extra.get(name)!.shape)
  return count
}
