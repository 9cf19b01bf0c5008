import { availableParallelism } from 'node:os'
import {
  assertUnchanged,
  listed,
  nativeWeights,
  openPair,
  openReference,
  pairOf,
  type BaseHead,
  type FileRecord,
  type ModelPair,
} from '../checkpoint/index.js'
import { usageError } from '../errors.js'
import type { Objective } from '../models/architecture.js'
import { addon } from '../native/load.js'
import { callNative, runTask, type RunOptions } from '../native/task.js'
import type { Handle, PathRecord, PathRequest } from '../native/types.js'
import { fixedTensors, parsePathOptions, type PathOptions } from './options.js'

export interface OpenPathOptions extends PathOptions, RunOptions {
  /** what the base's missing classification head started from */
  baseHead?: BaseHead
  /** default: all processors */
  threads?: number
  /** true: every tensor the forward pass reads is checked too; default false, any architecture */
  forward?: boolean
  /** with `forward`, what all the models are scored as; default `classify` */
  objective?: Objective
  /** false: the constants are found by whoever uses the path, and the record is empty; default true */
  prepare?: boolean
}

/** A path whose constants are known. Close it when done. */
export interface OpenedPath extends AsyncDisposable {
  pair: ModelPair
  /** rising; of a trajectory nominal, (k + 1) / (K + 1) */
  lambdas: readonly number[]
  /** family and options as they are used */
  request: PathRequest
  /** what was done with each tensor, by name */
  record: readonly PathRecord[]
  notes: readonly string[]
  /** the weight files, as they were when they were opened */
  inputs: readonly { role: 'base' | 'reference' | 'checkpoint'; files: readonly FileRecord[] }[]
  handle: Handle
  /**
   * θ(λ) of a tensor (a canonical name, see `pair.tensorNames`), for any λ in [0, 1]; of a trajectory at its points, 0
   * and 1.
   * @throws WarpError (usage) TENSOR_UNKNOWN, LAMBDA_RANGE, LAMBDA_UNKNOWN
   */
  tensor(name: string, lambda: number, run?: RunOptions): Promise<Float32Array>
  /** @throws WarpError (input) FILE_CHANGED when an input is not the file that was opened */
  assertUnchanged(): Promise<void>
  close(): void
}

/**
 * Opens the path between two models of an opened pair and finds its constants: one pass over both, nothing where the
 * family has none. Progress in bytes.
 *
 * @throws WarpError all of `parsePathOptions` and `fixedTensors`; of a trajectory's checkpoints all of `openPair`
 */
export async function openPairPath(pair: ModelPair, options: OpenPathOptions = {}): Promise<OpenedPath> {
  const request = parsePathOptions(options)
  const fixed = fixedTensors(pair.tensorNames, options)
  if (fixed.length > 0) request.fixed = fixed
  const notes = [...pair.notes]
  if (fixed.length > 0) notes.push(`${listed(fixed)} of ${pair.tensorNames.length} stay at the base`)
  const checkpoints: ModelPair[] = []
  for (const dir of request.family === 'trajectory' ? options.checkpoint! : []) {
    const { signal, onProgress, forward = false, objective } = options
    const opening = { signal, onProgress, forward, objective }
    checkpoints.push(await pairOf(await openReference(dir, pair.base, opening), pair.reference, opening))
  }
  const handles: Handle[] = []
  const hold = (handle: Handle): Handle => {
    handles.push(handle)
    return handle
  }
  const close = (): void => handles.splice(0).forEach((handle) => handle.close())
  try {
    const base = hold(nativeWeights(pair.base, pair.generated))
    const reference = hold(nativeWeights(pair.reference))
    const between = checkpoints.map((checkpoint) => hold(nativeWeights(checkpoint.base)))
    const native = between.length > 0 ? { ...request, checkpoints: between } : request
    const handle = hold(callNative(() => addon().openPath(base, reference, native)))
    const record =
      options.prepare === false
        ? []
        : await runTask(
            (report) => addon().preparePath(handle, options.threads ?? availableParallelism(), report),
            'path',
            'bytes',
            options,
          )
    const inputs: OpenedPath['inputs'] = [
      { role: 'base', files: pair.base.files },
      { role: 'reference', files: pair.reference.files },
      ...checkpoints.map((checkpoint) => ({ role: 'checkpoint' as const, files: checkpoint.base.files })),
    ]
    return {
      pair,
      lambdas: request.lambdas,
      request,
      record,
      notes: [...notes, ...recordNotes(request, record)],
      handle,
      close,
      inputs,
      assertUnchanged: () => assertUnchanged(inputs.flatMap(({ files }) => files)),
      tensor: (name, lambda, run) => {
        checkTensor(pair, name, lambda)
        return runTask(() => addon().pathTensor(handle, name, lambda), 'tensor', 'elements', run)
      },
      [Symbol.asyncDispose]: async () => close(),
    }
  } catch (error) {
    close()
    throw error
  }
}

/** `openPair`, then `openPairPath`. */
export async function openPath(base: string, reference: string, options: OpenPathOptions = {}): Promise<OpenedPath> {
  parsePathOptions(options)
  return openPairPath(
    await openPair(base, reference, {
      baseHead: options.baseHead,
      forward: options.forward ?? false,
      objective: options.objective,
      signal: options.signal,
      onProgress: options.onProgress,
    }),
    options,
  )
}

function checkTensor(pair: ModelPair, name: string, lambda: number): void {
  if (!pair.tensorNames.includes(name)) {
    throw usageError(
      'TENSOR_UNKNOWN',
      `there is no tensor ${JSON.stringify(name)}`,
      {
        tensor: name,
        expected: pair.tensorNames.slice(0, 20),
      },
      'tensorNames lists them',
    )
  }
  if (!(lambda >= 0 && lambda <= 1))
    throw usageError(
      'LAMBDA_RANGE',
      `lambda must lie in [0, 1], not ${lambda}`,
      { found: lambda },
      '0 is the base, 1 the reference',
    )
}

/** One line per branch that is not the family's own. */
export function recordNotes(request: PathRequest, record: readonly PathRecord[]): string[] {
  if (request.family === 'linear' || request.family === 'quadratic') return []
  const branches = new Map<string, string[]>()
  for (const { name, branch } of record) {
    if (branch.includes(':')) branches.set(branch, [...(branches.get(branch) ?? []), name])
  }
  return [...branches].map(
    ([branch, names]) => `path ${request.family}: ${listed(names)} of ${record.length} ${branch}`,
  )
}
