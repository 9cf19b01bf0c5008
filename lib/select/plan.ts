import { whileUnchanged } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import { freeSpace } from '../folders.js'
import { localModels } from '../hub/index.js'
import { checkOptions } from '../options.js'
import type { CorpusCounts } from './corpus.js'
import { decide } from './decide.js'
import { headOf, type ShardBatch } from './drafts.js'
import { checkShard, shardBatches } from './make.js'
import { openSelection, type SelectSession } from './session.js'
import { listShards } from './shards.js'
import { readingOf } from './texts.js'
import { type FeatureKind, selectKinds, type SelectOptions } from './types.js'

/** What `select` would do: the answer of `--dry-run`. */
export interface SelectPlan extends CorpusCounts {
  schema: 'warp.select.plan/1'
  features: FeatureKind
  /** exponent q of the gradients' preconditioner; 0: none */
  precondition: number
  windows: number
  tokens: number
  /** files of features, and those of them that are there */
  shards: number
  reused: number
  /** windows whose features were made to see what all take; 0 where all are there */
  tried: number
  /** of the features that are not there, by those tried; the choice itself is not in it */
  estimatedSeconds: number
  diskBytes: number
  freeBytes: number
  /** within which the features' working buffers stay */
  memoryBudgetBytes: number
  /** of the whole process, up to the end of the trial */
  peakMemoryBytes: number
  notes: string[]
}

/**
 * Opens and checks everything, reads the whole corpus into windows, makes the features of some and writes nothing.
 * @throws WarpError as `select` up to its first features
 */
export async function planSelect(given: SelectOptions): Promise<SelectPlan> {
  checkOptions('planSelect', given, selectKinds, ['base', 'reference', 'corpus', 'output', 'count'])
  const options = await localModels(given)
  return whileUnchanged([options.base, options.reference], async () => {
    const { notes, evidence: _evidence, ...decided } = await decide(options)
    const session = await openSelection({ ...options, ...decided })
    session.notes.push(...notes)
    try {
      return await planOpened(session, options)
    } finally {
      session.close()
    }
  })
}

async function planOpened(session: SelectSession, options: SelectOptions): Promise<SelectPlan> {
  const there = new Set(options.force ? [] : await listShards(session.folder))
  const counts: CorpusCounts = { documents: 0, split: 0, truncated: 0 }
  const all = { windows: 0, tokens: 0, shards: 0 }
  const missing = { windows: 0, tokens: 0, shards: 0 }
  let first: ShardBatch | undefined
  for await (const batch of shardBatches(session, options, counts, await readingOf(options))) {
    options.signal?.throwIfAborted()
    const own = there.has(all.shards)
    if (own) await checkShard(session, all.shards, batch)
    else first ??= batch
    for (const sum of own ? [all] : [all, missing]) {
      sum.windows += batch.count
      sum.tokens += batch.ids.length
      sum.shards++
    }
    options.onProgress?.({ phase: 'windows', done: all.windows, total: 0, unit: 'windows' })
  }
  if (all.windows < options.count) {
    throw inputError(
      'CORPUS_SMALL',
      `${all.windows} documents can be chosen, ${options.count} are asked for`,
      { found: all.windows, expected: options.count },
      '--count, or a larger corpus',
    )
  }
  const trial = first && (await tryFeatures(session, first))
  return {
    schema: 'warp.select.plan/1',
    features: session.kind,
    precondition: session.precondition,
    ...counts,
    ...all,
    reused: all.shards - missing.shards,
    tried: trial?.windows ?? 0,
    estimatedSeconds: trial ? trial.perShard * missing.shards + trial.perToken * missing.tokens : 0,
    diskBytes: trial ? Math.ceil((trial.bytes * missing.windows) / trial.windows) : 0,
    freeBytes: await freeSpace(options.output),
    memoryBudgetBytes: session.source.memory,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    notes: session.notes,
  }
}

/** Windows of the longer one of two trials, and how many times the shorter one goes into it. */
const triedWindows = 64
const shorter = 4

/**
 * Makes features of some windows, after a few that are slowed by fresh memory: what a shard takes whatever is in it
 * (the weights are read for each), and what a token takes.
 */
async function tryFeatures({ features }: SelectSession, batch: ShardBatch) {
  const windows = Math.min(triedWindows, batch.count)
  const time = async (count: number) => {
    const part = batch.batch && headOf(batch.batch, count)
    const started = performance.now()
    const sections = (part && (await features.make?.(part, 0))) ?? {}
    const bytes = Object.values(sections).reduce((sum, { byteLength }) => sum + byteLength, 0)
    const seconds = (performance.now() - started) / 1000
    const kept = (count * (batch.ids.byteLength + batch.packed.length)) / batch.count
    return { seconds, tokens: batch.offsets[count], bytes: bytes + kept }
  }
  const few = Math.ceil(windows / shorter)
  await time(few)
  const small = await time(few)
  const large = windows > few ? await time(windows) : small
  const more = large.tokens - small.tokens
  const perToken = more > 0 ? Math.max(0, large.seconds - small.seconds) / more : large.seconds / large.tokens
  return { windows, perToken, perShard: Math.max(0, large.seconds - perToken * large.tokens), bytes: large.bytes }
}
