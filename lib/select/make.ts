import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { whileUnchanged } from '../checkpoint/index.js'
import { inputError, type WarpError } from '../errors.js'
import { removeParts } from '../claim.js'
import { makeFolders } from '../folders.js'
import { readWindows, type CorpusCounts } from './corpus.js'
import { type ShardBatch, shardsOf } from './drafts.js'
import type { SelectSession } from './session.js'
import { listShards, readShard, shardName, shardOf, writeShard } from './shards.js'
import type { FeatureKind, FeatureOptions } from './types.js'

/** Windows of a shard: as many as take some seconds, and of tokens alone so many that making files does not. */
const windowsOfShard = (kind: FeatureKind): number => (kind === 'trace' ? 8192 : 1024)

/** Shards that are written at once: the disk answers late, not slowly. */
const shardsWritten = 4

/** The shards of a corpus. */
export interface Made extends CorpusCounts {
  folder: string
  key: string
  shards: number
  windows: number
  /** SHA-256 of all windows, of a part: which corpus it was */
  corpus?: string
  /** shards that were there already */
  reused: number
}

/** Every `of`-th shard of a corpus, from `index` on. */
export interface Part {
  index: number
  of: number
}

/**
 * Computes the features of a corpus, a shard at a time: what an earlier run left is taken where it is of the same pair,
 * path, windows and texts, and refused otherwise. The same bytes however often a run was stopped. What was made of
 * models that changed meanwhile is removed. Of a part, the whole corpus is read but only its own shards are made.
 * @throws WarpError FEATURES_OTHER, FEATURES_DAMAGED, CORPUS_EMPTY; those of the readers; DISK_FULL
 */
export async function makeShards(session: SelectSession, options: FeatureOptions, part?: Part): Promise<Made> {
  const { folder } = session
  await makeFolders(folder)
  const written: number[] = []
  try {
    return await whileUnchanged([options.base, options.reference], () => fillShards(session, options, written, part))
  } catch (error) {
    if ((error as WarpError | undefined)?.code === 'FILE_CHANGED')
      for (const shard of written) await rm(join(folder, shardName(shard)), { force: true })
    throw error
  }
}

async function fillShards(
  session: SelectSession,
  options: FeatureOptions,
  written: number[],
  part?: Part,
): Promise<Made> {
  const { folder, key, features } = session
  const { signal, onProgress } = options
  const own = (shard: number): boolean => !part || shard % part.of === part.index
  await removeParts(folder, (name) => own(shardOf(name) ?? NaN))
  const there = new Set((await listShards(folder)).filter(own))
  if (options.force) for (const shard of there) await rm(join(folder, shardName(shard)), { force: true })
  if (options.force) there.clear()
  const corpus = createHash('sha256')
  const counts = { shards: 0, windows: 0, reused: 0, documents: 0, split: 0, truncated: 0 }
  const made: Made = { folder, key, ...counts }
  const writing = new Set<Promise<void>>() // some shards are written while the next one is read and made
  try {
    for await (const batch of shardBatches(session, options, made)) {
      signal?.throwIfAborted()
      if (part) corpus.update(batch.packed)
      if (there.has(made.shards)) {
        await checkShard(session, made.shards, batch)
        made.reused++
      } else if (own(made.shards)) {
        const { ids, offsets, packed } = batch
        const sections = { offsets, ids, ...(batch.batch && (await features.make?.(batch.batch, made.windows))) }
        if (writing.size >= shardsWritten) await Promise.race(writing)
        written.push(made.shards)
        const one = writeShard(folder, { key, shard: made.shards }, { packed, sections })
        writing.add(one)
        one.then(
          () => writing.delete(one),
          () => undefined, // whoever waits for it is told
        )
      }
      made.shards++
      made.windows += batch.count
      onProgress?.({ phase: 'windows', done: made.windows, total: 0, unit: 'windows' })
    }
    await Promise.all(writing)
  } finally {
    await Promise.allSettled(writing)
  }
  if (made.windows === 0) throw inputError('CORPUS_EMPTY', 'the corpus has no document', {}, 'give texts')
  const more = [...there].find((shard) => shard >= made.shards)
  if (more !== undefined) throw otherCorpus(folder, more)
  return part ? { ...made, corpus: corpus.digest('hex') } : made
}

/** The corpus as windows, those of a shard together. @throws those of the readers */
export function shardBatches(
  { window, stride, tokenizer, source, kind, features }: SelectSession,
  { corpus, format, columns, text, label, paragraphs, signal }: FeatureOptions,
  counts: CorpusCounts,
): AsyncGenerator<ShardBatch> {
  const reading = { format, columns, text, label, paragraphs, labelMap: source.labelMap, window, stride }
  return shardsOf(readWindows(corpus, tokenizer, reading, counts, { signal }), {
    size: windowsOfShard(kind),
    maxId: tokenizer.maxId,
    pass: features.make !== undefined,
  })
}

/** @throws WarpError FEATURES_OTHER where a shard that is there is not of these windows, FEATURES_DAMAGED */
export async function checkShard({ folder, key }: SelectSession, shard: number, batch: ShardBatch): Promise<void> {
  const old = await readShard(folder, { key, shard })
  if (!old.packed.equals(batch.packed)) throw otherCorpus(folder, shard)
}

export function otherCorpus(folder: string, shard: number): Error {
  const file = join(folder, shardName(shard))
  return inputError(
    'FEATURES_OTHER',
    `${file}: belongs to another corpus`,
    { file },
    'another output folder, or --force to start over',
  )
}
