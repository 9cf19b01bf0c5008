import { join } from 'node:path'
import { WarpError } from '../errors.js'
import { localFolder } from '../hub/index.js'
import type { Objective } from '../models/architecture.js'
import { objectiveOf } from '../models/families.js'
import type { RunOptions } from '../native/task.js'
import { objectiveFor } from '../objectives/index.js'
import { isAdapter, readAdapter, type Adapter } from './adapter.js'
import type { Architecture } from './config.js'
import type { FileRecord } from './files.js'
import { listDirectory, locateWeights } from './locate.js'
import { openModel, type ModelDirectory } from './model.js'
import { requireTable } from './tables.js'

/** What `warp inspect` says about a model directory; plain JSON. */
export interface Inspection {
  schema: 'warp.inspect/1'
  dir: string
  /** can be scored (`recover`, `footprint`), at least traced or merged, is an adapter for a base, or none of it */
  usable: 'forward' | 'weights' | 'adapter' | 'no'
  /** by command: whether it takes the directory, or the code of the error that it gives */
  verdicts: Record<'recover' | 'trace' | 'merge', Verdict | string>
  adapter: { base: string; ranks: number[]; differences: number; saved: string[] } | null
  architectureName: string
  architecture: Architecture | null
  files: FileRecord[]
  /** elements of all floating tensors, tied ones once */
  parameters: number
  /** tensors by element type */
  dtypes: Record<string, number>
  tensors: { name: string; storedName: string; dtype: string; shape: number[]; file: string }[]
  head: { present: boolean; labels: string[] }
  /** what its class is scored as; null where that has no head, or cannot be scored */
  objective: Objective | null
  tie: { name: string; to: string } | null
  tokenizer: string[]
  unexpected: string[]
  ignored: string[]
  notes: string[]
  /** what stands in the way of scoring the model, the first problem of each attempt */
  problems: { code: string; message: string; hint: string }[]
}

/** Takes it in either place, only as the base that was fine-tuned, only as the reference beside its base. */
export type Verdict = 'yes' | 'as base' | 'as reference'

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
  const attempt = async <T>(work: () => Promise<T>): Promise<{ value: T } | { code: string }> => {
    try {
      return { value: await work() }
    } catch (error) {
      if (!(error instanceof WarpError)) throw error
      const { code, message, hint } = error
      if (!problems.some((p) => p.message === message)) problems.push({ code, message, hint })
      return { code }
    }
  }
  if (isAdapter(names)) return ofAdapter(dir, notes, problems, await attempt(() => readAdapter(dir, names)))
  // what each command does first, by the functions that it does it with
  const scored = await attempt(async () => openModel(dir, { objective: await objectiveFor(dir) }))
  const merged = await attempt(() => openModel(dir, { forward: false }))
  const traced = await attempt(async () => {
    const opened = await openModel(dir, { forward: false, tableOnly: true })
    requireTable(opened)
    return opened
  })
  const verdict = (found: { value: ModelDirectory } | { code: string }): Verdict | string =>
    'code' in found ? found.code : 'yes'
  const headless =
    'value' in scored && !scored.value.hasHead && objectiveOf(scored.value.architectureName) !== 'language'
  const recover = headless ? 'as base' : verdict(scored)
  const model = [scored, merged, traced].flatMap((found) => ('value' in found ? [found.value] : []))[0]
  const listing = model ? { value: tensorsOf(model) } : await attempt(() => storedTensors(dir, names))
  const tensors = 'value' in listing ? listing.value : []
  const dtypes: Record<string, number> = {}
  for (const { dtype } of tensors) dtypes[dtype] = (dtypes[dtype] ?? 0) + 1
  return {
    schema: 'warp.inspect/1',
    dir,
    usable: 'value' in scored ? 'forward' : model ? 'weights' : 'no',
    verdicts: { recover, trace: verdict(traced), merge: verdict(merged) },
    adapter: null,
    architectureName: model?.architectureName ?? '',
    architecture: model?.architecture ?? null,
    files: model?.files ?? [],
    parameters: model ? countParameters(model) : 0,
    dtypes,
    tensors,
    head: { present: model?.hasHead ?? false, labels: model?.architecture.labels ?? [] },
    objective: (model && objectiveOf(model.architectureName)) ?? null,
    tie: model?.tie ?? null,
    tokenizer: tokenizerFiles.filter((name) => names.includes(name)),
    unexpected: model?.unexpected ?? [],
    ignored: model?.ignored ?? [],
    notes: [...notes, ...(model?.notes ?? [])],
    problems,
  }
}

function ofAdapter(
  dir: string,
  notes: string[],
  problems: Inspection['problems'],
  found: { value: Adapter } | { code: string },
): Inspection {
  const verdict = 'code' in found ? found.code : 'as reference'
  const adapter = 'code' in found ? undefined : found.value
  return {
    schema: 'warp.inspect/1',
    dir,
    usable: adapter ? 'adapter' : 'no',
    verdicts: { recover: verdict, trace: verdict, merge: verdict },
    adapter: adapter
      ? {
          base: adapter.base,
          ranks: adapter.ranks,
          differences: adapter.deltas.length,
          saved: adapter.saved.map(({ storedName }) => storedName),
        }
      : null,
    architectureName: '',
    architecture: null,
    files: adapter ? [adapter.file] : [],
    parameters: 0,
    dtypes: {},
    tensors: [],
    head: { present: false, labels: [] },
    objective: null,
    tie: null,
    tokenizer: [],
    unexpected: [],
    ignored: [],
    notes,
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
