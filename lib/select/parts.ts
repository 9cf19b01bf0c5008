// Parts of a corpus whose features are made apart, as tasks or on other machines, and what joins them.
import { createHash } from 'node:crypto'
import { link, readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { writeFileAtomic } from '../checkpoint/atomic.js'
import { whileUnchanged } from '../checkpoint/index.js'
import { removeParts, withClaim } from '../claim.js'
import { readDocument, writeDocument } from '../document.js'
import { inputError, usageError, type ErrorDetails } from '../errors.js'
import { makeFolders } from '../folders.js'
import { localModels } from '../hub/index.js'
import type { RunOptions } from '../native/task.js'
import { checkOptions } from '../options.js'
import { hashBatch, makeShards, otherCorpus, type Made, type Part, writeMade } from './make.js'
import { openSelection, type SelectSession } from './session.js'
import { listShards, readShard, shardName } from './shards.js'
import { corpusForm, type CorpusReading } from './texts.js'
import { type FeatureOptions, selectKinds } from './types.js'

const count = z.int().nonnegative()
export const partForm = z.object({
  schema: z.literal('warp.select.part/1'),
  part: count,
  parts: z.int().positive(),
  /** SHA-256 of all windows and tokens */
  corpus: z.string(),
  ...corpusForm.shape,
  /** that decide the features, as they were given; models as absolute paths */
  options: z.looseObject({ base: z.string(), reference: z.string(), corpus: z.array(z.string()) }),
})

/** What says that a part is done, beside its shards. */
export type PartDocument = z.infer<typeof partForm>

export interface PartResult extends PartDocument {
  /** shards of this part, and those of them that were there already */
  own: number
  reused: number
  seconds: number
}

const four = (value: number): string => String(value).padStart(4, '0')
const partName = ({ index, of }: Part): string => `part-${four(index)}-of-${four(of)}`
const partFile = /^part-\d{4,}-of-\d{4,}\.json$/
const again = 'make it with `warp select --shards N --shard I`'

/** Options without those of the run and of the choice, which do not decide the features. */
export function featureOptions(options: FeatureOptions): PartDocument['options'] {
  const { output: _o, count: _c, strategy: _s, balance: _b, batch: _n, dedupe: _d, traceShare: _t, ...most } = options
  const { precondition: _q, ...rest } = most
  const { threads: _th, memory: _m, force: _f, wait: _w, signal: _si, onProgress: _p, ...own } = rest
  const { shards: _sh, executor: _e, workers: _wo, ...kept } = own
  return { ...kept, base: resolve(kept.base), reference: resolve(kept.reference) }
}

/** @throws WarpError (usage) SHARD_RANGE */
export function checkPart({ index, of }: Part): void {
  if (Number.isInteger(of) && of >= 1 && Number.isInteger(index) && index >= 0 && index < of) return
  throw usageError(
    'SHARD_RANGE',
    `shard ${index} of ${of}; the first is 0`,
    { found: index, expected: [0, of - 1] },
    `--shards ${of} --shard 0, up to --shard ${of - 1}`,
  )
}

/**
 * Makes the features of one part of a corpus, under `output/features`, where other parts may be made at the same time;
 * goes on from what an earlier run left. The shards have the same bytes as those of a run over the whole corpus.
 * @throws WarpError SHARD_RANGE, OUTPUT_BUSY where another process makes the same part; those of `makeShards`
 */
export async function selectPart(given: FeatureOptions, part: Part): Promise<PartResult> {
  checkOptions('selectPart', given, selectKinds, ['base', 'reference', 'corpus', 'output'])
  checkPart(part)
  const started = performance.now()
  const options: FeatureOptions = await localModels({ ...given, features: given.features ?? 'head' })
  return whileUnchanged([options.base, options.reference], async () => {
    const session = await openSelection(options)
    const name = join(session.folder, partName(part))
    try {
      return await withClaim(name, options, async () => {
        await removeParts(session.folder, [`${partName(part)}.json`])
        const { key, corpus, shards, windows, documents, split, truncated, reading, reused } = await makeShards(
          session,
          options,
          part,
        )
        const counts = { key, corpus: corpus!, shards, windows, documents, split, truncated, reading }
        const place = { schema: 'warp.select.part/1' as const, part: part.index, parts: part.of }
        const document: PartDocument = { ...place, ...counts, options: featureOptions(options) }
        await writeDocument(`${name}.json`, document, { force: true })
        const own = Math.ceil(Math.max(0, shards - part.index) / part.of)
        return { ...document, own, reused, seconds: (performance.now() - started) / 1000 }
      })
    } finally {
      session.close()
    }
  })
}

/** A part that is done, and the folder of its shards. */
export interface FoundPart {
  folder: string
  file: string
  document: PartDocument
}

/**
 * The parts of some outputs, which must be all parts of one corpus, made alike.
 * @throws WarpError (input) PARTS_MISSING, naming them; PARTS_DIFFER; PART_… of a document that cannot be read
 */
export async function readParts(outputs: string[], parts?: number): Promise<FoundPart[]> {
  const found: FoundPart[] = []
  for (const output of outputs) {
    const folder = join(output, 'features')
    const names = (await readdir(folder).catch(() => [])).filter((name) => partFile.test(name)).sort()
    for (const name of names) {
      const file = join(folder, name)
      const kind = { prefix: 'PART', schema: 'warp.select.part/1', form: partForm, again }
      const document = await readDocument(file, kind)
      if (parts === undefined || document.parts === parts) found.push({ folder, file, document })
    }
  }
  const [first] = found
  if (!first) throw partsMissing(`${outputs.join(', ')}: no part of a corpus is done`, { file: outputs[0] })
  for (const { file, document } of found) {
    for (const [name, what] of Object.entries(mustAgree)) {
      const [here, there] = [document, first.document].map((one) => one[name as keyof typeof mustAgree])
      if (here !== there)
        throw inputError(
          'PARTS_DIFFER',
          `${file}: ${what} is not that of ${first.file}`,
          { file, found: here, expected: there },
          'parts of one corpus, pair and path, made with the same options by one version of warp',
        )
    }
  }
  const { parts: all } = first.document
  const there = new Set(found.map(({ document }) => document.part))
  const missing = Array.from({ length: all }, (_, i) => i).filter((i) => !there.has(i))
  if (missing.length === 0) return found
  throw partsMissing(`shards ${missing.join(', ')} of ${all} are not there or not done`, {
    found: [...there].sort((a, b) => a - b),
    expected: all,
  })
}

const mustAgree = {
  parts: 'the number of shards',
  key: 'the pair, the path, an option or the version',
  corpus: 'the corpus',
} as const

const partsMissing = (message: string, details: ErrorDetails): Error =>
  inputError('PARTS_MISSING', message, details, 'warp select … --shards N --shard I makes one; name every output')

/**
 * Brings the shards of all parts together under one output, by links where the disk is one: what a run over the whole
 * corpus would have left there.
 * @param where the corpus lies now, if not where the parts found it
 * @throws WarpError (input) FEATURES_OTHER of shards made from another pair, path, version or corpus; FEATURES_MISSING,
 *   FEATURES_DAMAGED
 */
export async function gatherParts(
  { folder, key }: Pick<SelectSession, 'folder' | 'key'>,
  found: FoundPart[],
  { signal, onProgress }: RunOptions,
  where?: CorpusReading,
): Promise<Made> {
  await makeFolders(folder)
  const { shards, windows, documents, split, truncated, corpus, parts, reading } = found[0].document
  const sources = new Map(found.map((part) => [part.document.part, part]))
  const there = new Set(await listShards(folder))
  const hash = createHash('sha256')
  for (let shard = 0; shard < shards; shard++) {
    signal?.throwIfAborted()
    const from = sources.get(shard % parts)!
    if (!there.has(shard)) await bring(from, folder, shard)
    const read = await readShard(folder, { key, shard })
    hashBatch(hash, { packed: read.packed, ids: read.sections.ids })
    onProgress?.({ phase: 'gather', done: shard + 1, total: shards, unit: 'shards' })
  }
  const more = [...there].find((shard) => shard >= shards)
  if (more !== undefined) throw otherCorpus(folder, more)
  if (hash.digest('hex') !== corpus) throw otherCorpus(folder, 0)
  const counts = { shards, windows, documents, split, truncated }
  const made = { folder, key, ...counts, reading: where ?? reading, reused: shards }
  await writeMade(made)
  return made
}

/** A link, or a copy where the disk is another one. */
async function bring({ folder, file }: FoundPart, to: string, shard: number): Promise<void> {
  const [from, target] = [join(folder, shardName(shard)), join(to, shardName(shard))]
  await link(from, target).catch(async () => {
    const bytes = await readFile(from).catch((cause: NodeJS.ErrnoException) => {
      throw inputError(
        'FEATURES_MISSING',
        `${from}: cannot be read (${cause.code}); ${file} says it was made`,
        { file: from },
        again,
      )
    })
    await writeFileAtomic(target, bytes, { force: true })
  })
}
