import { createHash, type Hash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { whileUnchanged } from '../checkpoint/index.js'
import { inputError, type WarpError } from '../errors.js'
import { removeParts } from '../claim.js'
import { makeFolders } from '../folders.js'
import { readWindows, type CorpusCounts } from './corpus.js'
import { type ShardBatch, shardsOf } from './drafts.js'
import type { SelectSession } from './session.js'
import { keyOf, listShards, readShard, type Section, shardName, shardOf, writeShard } from './shards.js'
import {
  type CorpusDocument,
  corpusFile,
  type CorpusReading,
  findCorpus,
  isSame,
  plainInputs,
  readingOf,
  writeCorpus,
} from './texts.js'
import type { FeatureKind, FeatureOptions } from './types.js'
import { promptTokens, type ReadInput } from '../text/index.js'

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
  reading: CorpusReading
  /** SHA-256 of all windows and tokens, of a part: which corpus it was */
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
 * path, windows and tokens, and refused otherwise; nothing is tokenised where all is there of the same bytes. The same
 * bytes however often a run was stopped. What was made of models that changed meanwhile is removed. Of a part, the
 * whole corpus is read but only its own shards are made.
 * @throws WarpError FEATURES_OTHER, FEATURES_DAMAGED, CORPUS_EMPTY; those of the readers; DISK_FULL
 */
export async function makeShards(session: SelectSession, options: FeatureOptions, part?: Part): Promise<Made> {
  const { folder } = session
  await makeFolders(folder)
  const known = part || options.force ? undefined : await wholeCorpus(folder)
  const done = known && (await allThere(known, session, options))
  if (done) return done
  if (!part && !known) await rm(join(folder, corpusFile), { force: true })
  const written: number[] = []
  try {
    const models = [options.base, options.reference]
    const made = await whileUnchanged(models, () => fillShards(session, options, written, part))
    if (!part) await writeMade(made)
    return made
  } catch (error) {
    if ((error as WarpError | undefined)?.code === 'FILE_CHANGED')
      for (const shard of written) await rm(join(folder, shardName(shard)), { force: true })
    throw error
  }
}

/** What the features are of that are there, undefined where there are none. @throws WarpError FEATURES_DAMAGED */
export async function keyThere(folder: string): Promise<string | undefined> {
  const known = await findCorpus(folder)
  if (known) return known.key
  const [first] = await listShards(folder)
  return first === undefined ? undefined : keyOf(folder, first)
}

/** What an earlier run left whole. */
async function wholeCorpus(folder: string): Promise<CorpusDocument | undefined> {
  const known = await findCorpus(folder)
  return known && (await listShards(folder)).length === known.shards ? known : undefined
}

/** The same, where it is what is asked for and the corpus has the same bytes still. */
async function allThere(
  known: CorpusDocument,
  { folder, key }: SelectSession,
  options: FeatureOptions,
): Promise<Made | undefined> {
  if (known.key !== key) return undefined
  const now = await readingOf(options)
  if (!(await isSame(known.reading, now, options))) return undefined
  const { schema: _schema, ...counts } = known
  return { ...counts, folder, reading: { ...now, inputs: known.reading.inputs }, reused: known.shards }
}

/** Says beside the shards that all are there. */
export async function writeMade({ folder, reused: _r, corpus: _c, ...counts }: Made): Promise<void> {
  await writeCorpus(folder, { schema: 'warp.select.corpus/1', ...counts })
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
  const reading = await readingOf(options)
  const made: Made = { folder, key, reading, ...counts }
  const writing = new Set<Promise<void>>() // some shards are written while the next one is read and made
  try {
    for await (const batch of shardBatches(session, options, made, reading)) {
      signal?.throwIfAborted()
      if (part) hashBatch(corpus, batch)
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

/** Adds the windows of a shard, and their tokens, to what says which corpus it is. */
export function hashBatch(hash: Hash, { packed, ids }: { packed: Buffer; ids: Section }): void {
  hash.update(packed).update(ids)
}

/** The corpus as windows, those of a shard together; says in `reading` what was read. @throws those of the readers */
export async function* shardBatches(
  { window, stride, tokenizer, source, kind, features }: SelectSession,
  { corpus, signal }: FeatureOptions,
  counts: CorpusCounts,
  reading: CorpusReading,
): AsyncGenerator<ShardBatch> {
  const inputs: ReadInput[] = []
  const options = { ...reading.options, labelMap: source.labelMap, window, stride }
  const shards = shardsOf(readWindows(corpus, tokenizer, options, counts, { signal, inputs }), {
    size: windowsOfShard(kind),
    maxId: tokenizer.maxId,
    pass: features.make !== undefined,
    texts: reading.kept,
  })
  for await (const shard of shards) {
    const { batch } = shard
    if (batch && reading.options.response !== undefined) {
      const prompts = batch.windows.map(({ text, prompt }) => text.slice(0, prompt))
      const sources = batch.windows.map(({ source: place }) => place)
      batch.prompts = await promptTokens({ prompts, sources }, batch, tokenizer, { signal })
    }
    yield shard
  }
  if (!reading.kept) reading.inputs = plainInputs(inputs)
}

/** @throws WarpError FEATURES_OTHER where a shard that is there is not of these windows, FEATURES_DAMAGED */
export async function checkShard({ folder, key }: SelectSession, shard: number, batch: ShardBatch): Promise<void> {
  const old = await readShard(folder, { key, shard })
  const same = [old.packed, old.sections.ids].every((one, i) =>
    bytesOf(one).equals(bytesOf([batch.packed, batch.ids][i])),
  )
  if (!same) throw otherCorpus(folder, shard)
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Section | Buffer): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)

export function otherCorpus(folder: string, shard: number): Error {
  const file = join(folder, shardName(shard))
  return inputError(
    'FEATURES_OTHER',
    `${file}: belongs to another corpus`,
    { file },
    'another output folder, or --force to start over',
  )
}
