import os from 'node:os'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { readDocument, writeDocument } from '../document.js'
import { inputError, resourceError } from '../errors.js'
import { makeFolders } from '../folders.js'
import type { TaskEnd } from '../lab/executor.js'
import { LocalExecutor } from '../lab/executor-local.js'
import { workersThatFit } from '../lab/run-lab.js'
import { featureOptions, gatherParts, readParts } from './parts.js'
import type { Made } from './make.js'
import type { SelectSession } from './session.js'
import { listShards, shardName } from './shards.js'
import type { FeatureOptions } from './types.js'

export const partsFile = 'plan.json'
const form = z.object({
  schema: z.literal('warp.select.parts/1'),
  parts: z.int().positive(),
  options: z.looseObject({ base: z.string(), reference: z.string(), corpus: z.array(z.string()) }),
})

/** What the tasks of an output are. @throws WarpError (input) PART_… */
export const readPartsPlan = (output: string): Promise<z.infer<typeof form>> =>
  readDocument(join(output, 'features', partsFile), {
    prefix: 'PART',
    schema: 'warp.select.parts/1',
    form,
    again: 'make it with `warp select --shards N`',
  })

/**
 * Makes the features of a corpus as tasks of an executor, one a part, and gathers them. A task whose process died is
 * given once more; what failed otherwise stops the others.
 * @throws WarpError PART_STDIN; PART_FAILED, with what the task said; DISK_FULL; those of `gatherParts`
 */
export async function runParts(session: SelectSession, options: FeatureOptions, parts: number): Promise<Made> {
  const { folder } = session
  if (options.corpus.includes('-'))
    throw inputError('PART_STDIN', 'tasks cannot read stdin', { found: '-' }, 'write the texts into a file')
  await makeFolders(folder)
  if (options.force)
    for (const shard of await listShards(folder)) await rm(join(folder, shardName(shard)), { force: true })
  const plan = { schema: 'warp.select.parts/1', parts, options: featureOptions(options) }
  await writeDocument(join(folder, partsFile), plan, { force: true })
  const reused = (await listShards(folder)).length
  await runTasks(options, parts)
  return { ...(await gatherParts(session, await readParts([options.output], parts), options)), reused }
}

async function runTasks(options: FeatureOptions, parts: number): Promise<void> {
  const { output, signal, onProgress, memory = 2 ** 31 } = options
  const cores = os.availableParallelism()
  const workers = options.workers ?? workersThatFit(parts, cores, process.availableMemory(), memory)
  const executor = options.executor ?? new LocalExecutor(workers)
  const threads = options.threads ?? (options.executor ? 1 : Math.max(1, Math.floor(cores / workers)))
  const failed = new AbortController()
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  const died = new Set<number>()
  let done = 0
  const onEnd = ({ index, error }: TaskEnd): void => {
    if (!error) onProgress?.({ phase: 'parts', done: ++done, total: parts, unit: 'shards' })
    else if (error.code === 'TRIAL_PROCESS_DIED' && !died.has(index)) again.push(index)
    else failed.abort(failure(index, parts, error))
  }
  const again: number[] = []
  onProgress?.({ phase: 'parts', done, total: parts, unit: 'shards' })
  for (let tasks = Array.from({ length: parts }, (_, i) => i); tasks.length > 0; tasks = again.splice(0)) {
    const worker = join(__dirname, 'part-worker.js')
    await executor.run({ lab: resolve(output), worker, tasks, threads, memory, signal: stop, onFraction, onEnd })
    stop.throwIfAborted()
    for (const index of again) died.add(index)
  }
}

/** Nobody knows how much there is before the corpus is read. */
const onFraction = (): void => undefined

function failure(index: number, parts: number, { code, message }: NonNullable<TaskEnd['error']>): Error {
  const details = { shard: index, found: code }
  const text = `shard ${index} of ${parts}: ${message} [${code}]`
  if (code === 'DISK_FULL') return resourceError(code, text, details, 'free some space; the same command goes on')
  return inputError('PART_FAILED', text, details, 'mend that; the same command goes on from what is there')
}
