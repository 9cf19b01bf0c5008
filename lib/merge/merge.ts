import { availableParallelism } from 'node:os'
import { basename, join, normalize, resolve } from 'node:path'
import {
  fileSha256,
  openPair,
  type BaseHead,
  type CarriedFile,
  type ModelPair,
  type TokenizerChoice,
} from '../checkpoint/index.js'
import { removeParts as removeTemporary, withClaim, type ClaimOptions } from '../claim.js'
import { version } from '../doctor.js'
import { checkWhole, inputError, usageError } from '../errors.js'
import { freeSpace, makeFolders } from '../folders.js'
import { localModels } from '../hub/index.js'
import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import { checkOptions } from '../options.js'
import { mergeKinds } from './kinds.js'
import type { PathRecord, PathRequest } from '../native/types.js'
import { fixedTensors, openPairPath, parsePathOptions, type OpenedPath, type PathOptions } from '../paths/index.js'
import { readAlong } from './along.js'
import { layOut, mergeDtypes, outputConfig, type Layout, type MergeDtype, type Shard } from './layout.js'
import {
  abandonOutput,
  checkOutput,
  checkSpace,
  finishOutput,
  isComplete,
  journal,
  prepareOutput,
  publish,
  publishPart,
  record,
  removeParts,
} from './output.js'

/** Options of `merge`: the command line's, in camelCase. Either `lambda`, or a grid, or a trajectory's checkpoints. */
export interface MergeOptions extends PathOptions, ClaimOptions {
  base: string
  reference: string
  /** the model directory to write; of a whole path the folder of its directories `point-01`, … */
  output: string
  /** one point */
  lambda?: number
  baseHead?: BaseHead
  /** the tokenizer asked for by name: those that differ are then noted, not refused */
  tokenizer?: TokenizerChoice
  /** of the written tensors; default `same` */
  dtype?: string
  /** bytes of data per file; default 5 GB */
  maxShard?: number
  /** replace what a merge wrote into `output` */
  force?: boolean
  /** default: all processors */
  threads?: number
}

export interface MergeInput {
  role: 'base' | 'reference' | 'checkpoint'
  path: string
  size: number
  sha256: string
}

/** How a model was made: `warp.merge.json` in each written directory, without `points`; of a path also in `output`. */
export interface MergeRecord {
  schema: 'warp.merge/1'
  tool: { name: string; version: string }
  inputs: MergeInput[]
  path: Omit<PathRequest, 'lambdas' | 'checkpoints'>
  baseHead?: BaseHead
  dtype: MergeDtype
  tensors: readonly PathRecord[]
  /** files of the reference beside its weights: configuration (its dtype may be changed), tokenizer, … */
  carried: { name: string; sha256: string }[]
  notes: string[]
}
export interface MergeResult extends MergeRecord {
  output: string
  points: { lambda: number; dir: string }[]
  /** bytes of weights per point */
  bytes: number
  /** weight files that an earlier, interrupted run had finished */
  resumed: number
}

interface Job {
  options: MergeOptions
  pair: ModelPair
  path: OpenedPath
  layout: Layout
  points: { lambda: number; dir: string }[]
  carried: CarriedFile[]
}

function checkMerge(call: string, given: MergeOptions): void {
  checkOptions(call, given, mergeKinds, ['base', 'reference', 'output'])
  checkWhole('threads', given.threads, 1, 1024)
  checkWhole('seed', given.seed, 0, Number.MAX_SAFE_INTEGER)
  given.signal?.throwIfAborted()
}

/**
 * Writes one point of a path, or all of them, as Hugging Face model directories, reading every part of the inputs once
 * for all points (after one pass where the family has constants of whole tensors). Weights get their names only when
 * whole; after an interruption the same call goes on with what is missing and gives the same bytes. Progress in bytes
 * written.
 *
 * @throws WarpError all of `openPath`; (usage) MERGE_LAMBDA, MERGE_DTYPE_UNKNOWN, MERGE_SHARD_RANGE, OUTPUT_EXISTS,
 *   OUTPUT_IS_INPUT; (resource) OUTPUT_BUSY; (input) NO_SIGNAL, WEIGHTS_NOT_FINITE, OUTPUT_OVERFLOW, FILE_CHANGED,
 *   FILE_SHRANK; (resource)
 *   DISK_FULL, OUTPUT_NOT_WRITABLE
 */
export async function merge(given: MergeOptions): Promise<MergeResult> {
  checkMerge('merge', given)
  const options = await localModels(given)
  const { dtype, maxShard, path: pathOptions, single } = parseMergeOptions(options)
  const pair = await openMerged(options)
  const path = await openPairPath(pair, { ...options, ...pathOptions })
  try {
    if (!(await runTask(() => addon().pathMoves(path.handle), 'compare', 'bytes', { signal: options.signal }))) {
      throw inputError(
        'NO_SIGNAL',
        'base and reference have the same weights in every tensor that moves: all points would be the base',
        { file: pair.reference.dir },
        'Give the fine-tuned model as the reference.',
      )
    }
    const layout = layOut(pair, dtype, maxShard)
    const width = Math.max(2, String(path.lambdas.length).length)
    const points = path.lambdas.map((lambda, k) => ({
      lambda,
      dir: single ? options.output : join(options.output, `point-${String(k + 1).padStart(width, '0')}`),
    }))
    return await write({ options, pair, path, layout, points, carried: await readAlong(pair) }, dtype)
  } finally {
    path.close()
  }
}

/** What `merge` would write: bytes of weights, `freeBytes` where the output would be. */
export interface MergePlan {
  schema: 'warp.merge.plan/1'
  lambdas: number[]
  tensors: number
  /** of them, staying at the base */
  fixed: number
  filesPerPoint: number
  bytesPerPoint: number
  bytes: number
  freeBytes: number
  notes: string[]
}

/** Opens and checks the pair as `merge` does, reads headers only, and writes nothing. @throws WarpError as `merge` */
export async function planMerge(given: MergeOptions): Promise<MergePlan> {
  checkMerge('planMerge', given)
  const options = await localModels(given)
  const { dtype, maxShard, path } = parseMergeOptions(options)
  const pair = await openMerged(options)
  const { lambdas } = parsePathOptions({ ...options, ...path })
  const fixed = fixedTensors(pair.tensorNames, options)
  const { shards, notes } = layOut(pair, dtype, maxShard)
  const bytesPerPoint = shards.reduce((sum, { size }) => sum + size, 0)
  return {
    schema: 'warp.merge.plan/1',
    lambdas,
    tensors: pair.tensorNames.length,
    fixed: fixed.length,
    filesPerPoint: shards.length,
    bytesPerPoint,
    bytes: bytesPerPoint * lambdas.length,
    freeBytes: await freeSpace(options.output),
    notes: [...pair.notes, ...notes],
  }
}

function openMerged({ base, reference, baseHead, tokenizer }: MergeOptions): Promise<ModelPair> {
  return openPair(base, reference, { baseHead, tokenizer, forward: false })
}

function parseMergeOptions(options: MergeOptions): {
  dtype: MergeDtype
  maxShard: number
  path: PathOptions
  single: boolean
} {
  const dtype = (options.dtype ?? 'same').toLowerCase() as MergeDtype
  if (!mergeDtypes.includes(dtype)) {
    throw usageError(
      'MERGE_DTYPE_UNKNOWN',
      `there is no dtype ${JSON.stringify(options.dtype)}`,
      { found: options.dtype, expected: [...mergeDtypes] },
      `One of ${mergeDtypes.join(', ')}.`,
    )
  }
  const maxShard = options.maxShard ?? 5e9
  if (!(Number.isSafeInteger(maxShard) && maxShard > 0)) {
    throw usageError(
      'MERGE_SHARD_RANGE',
      `max-shard must be a positive number of bytes, not ${maxShard}`,
      {
        found: maxShard,
      },
      '--max-shard 5GB',
    )
  }
  const { lambda, points, lambdas, lambdaMin, lambdaMax } = options
  const gridded = points !== undefined || lambdas !== undefined || lambdaMin !== undefined || lambdaMax !== undefined
  const trajectory = options.path === 'trajectory'
  if (lambda === undefined ? !gridded && !trajectory : gridded || trajectory) {
    throw usageError(
      'MERGE_LAMBDA',
      lambda === undefined
        ? 'which point is to be written?'
        : 'lambda is one point: it goes with no grid and no trajectory',
      {},
      '--lambda 0.4 writes one model, --points 15 or --lambdas the whole path.',
    )
  }
  const path: PathOptions = lambda === undefined ? {} : { lambdas: [lambda] }
  parsePathOptions({ ...options, ...path })
  return { dtype, maxShard, path, single: lambda !== undefined }
}

async function write(job: Job, dtype: MergeDtype): Promise<MergeResult> {
  const { base, reference, checkpoint = [], output } = job.options
  const inputs = [base, reference, ...checkpoint]
  const folders = job.points.map(({ dir }) => dir)
  await checkOutput(output, folders, inputs)
  return withClaim(output, { ...job.options, writes: smallFiles(job) }, () => writeClaimed(job, dtype, inputs))
}

async function writeClaimed(job: Job, dtype: MergeDtype, inputs: readonly string[]): Promise<MergeResult> {
  const { options, path, layout, points } = job
  const { output, force = false, signal, onProgress } = options
  const folders = points.map(({ dir }) => dir)
  const { resumed } = await prepareOutput(output, planText(job, dtype, inputs), force)
  for (const folder of folders) await removeTemporary(folder, smallFiles(job))
  const stop = new AbortController()
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const hashes = hashInputs(path, both)
  hashes.catch(() => {}) // awaited below, unless writing fails first
  let finished = 0
  try {
    await removeParts(
      folders,
      layout.shards.map(({ file }) => file),
    )
    const todo: { shard: Shard; targets: { point: number; file: string }[] }[] = []
    for (const shard of layout.shards) {
      const targets = []
      for (const [point, { dir }] of points.entries()) {
        const file = join(dir, shard.file)
        if (resumed && (await isComplete(file, shard.size))) finished++
        else targets.push({ point, file })
      }
      todo.push({ shard, targets })
    }
    const kept = finished
    const total = todo.reduce((sum, { shard, targets }) => sum + shard.size * targets.length, 0)
    await checkSpace(output, total)
    for (const folder of folders) await makeFolders(folder)
    let before = 0
    for (const { shard, targets } of todo) {
      if (targets.length === 0) continue
      const { file: _, ...native } = shard
      await runTask(
        (report) =>
          addon().writeShard(path.handle, { ...native, targets }, options.threads ?? availableParallelism(), report),
        'write',
        'bytes',
        {
          signal,
          onProgress:
            onProgress && (({ done }) => onProgress({ phase: 'write', done: before + done, total, unit: 'bytes' })),
        },
      )
      await path.assertUnchanged().catch(async (error) => {
        await removeParts(folders, [shard.file])
        throw error
      })
      for (const { file } of targets) {
        await publishPart(file)
        finished++
      }
      before += shard.size * targets.length
    }
    const made = await finish(job, dtype, await hashes)
    return { ...made, output, points, bytes: layout.shards.reduce((sum, { size }) => sum + size, 0), resumed: kept }
  } catch (error) {
    stop.abort(error)
    if (finished === 0) await abandonOutput(output, folders)
    throw error
  }
}

/** What is written beside the weights. */
const smallFiles = ({ carried }: Job): string[] => [
  ...carried.map(({ name }) => name),
  ...['model.safetensors.index.json', record, journal],
]

/** What must be the same for a later run to go on where this one stopped. */
function planText({ options, pair, path, layout, points }: Job, dtype: MergeDtype, dirs: readonly string[]): string {
  const { request } = path
  return `${JSON.stringify(
    {
      schema: 'warp.merge/1',
      version: version(),
      request,
      checkpoints: options.checkpoint?.map((dir) => resolve(dir)),
      baseHead: options.baseHead,
      dtype,
      inputs: [
        dirs.map((dir) => resolve(dir)),
        ...[pair.base, pair.reference].map(({ files }) =>
          files.map(({ path: file, size, mtimeMs }) => [file, size, mtimeMs]),
        ),
      ],
      points: points.length,
      shards: layout.shards.map(({ file, size }) => [file, size]),
    },
    null,
    2,
  )}\n`
}

async function hashInputs(path: OpenedPath, signal: AbortSignal): Promise<MergeInput[]> {
  const records: MergeInput[] = []
  for (const { role, files } of path.inputs) {
    for (const file of files)
      records.push({
        role,
        path: normalize(file.path),
        size: file.size,
        sha256: await fileSha256(file.path, { signal, expected: file }),
      })
  }
  return records
}

/** Everything beside the weights; the record last. */
async function finish(
  { options, pair, path, layout, points, carried }: Job,
  dtype: MergeDtype,
  inputs: MergeInput[],
): Promise<MergeRecord> {
  const { lambdas: _, ...request } = path.request
  const made: MergeRecord = {
    schema: 'warp.merge/1',
    tool: { name: 'warp-recover', version: version() },
    inputs,
    path: request,
    ...(options.baseHead && { baseHead: options.baseHead }),
    dtype,
    tensors: path.record,
    carried: carried.map(({ name, sha256 }) => ({ name, sha256 })),
    notes: [...path.notes, ...layout.notes],
  }
  const [config, ...copies] = carried
  for (const point of points) {
    options.signal?.throwIfAborted()
    await publish(join(point.dir, 'config.json'), outputConfig(config.bytes.toString(), pair, layout))
    for (const { name, bytes } of copies) await publish(join(point.dir, name), bytes)
    if (layout.index)
      await publish(join(point.dir, 'model.safetensors.index.json'), `${JSON.stringify(layout.index, null, 2)}\n`)
    await publish(join(point.dir, record), `${JSON.stringify({ ...made, lambda: point.lambda }, null, 2)}\n`)
  }
  if (points[0].dir !== options.output) {
    const list = points.map(({ lambda, dir: folder }) => ({ lambda, dir: basename(folder) }))
    await publish(join(options.output, record), `${JSON.stringify({ ...made, points: list }, null, 2)}\n`)
  }
  await finishOutput(options.output)
  return made
}
