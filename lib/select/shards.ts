import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, brotliDecompress, constants } from 'node:zlib'
import { inputError } from '../errors.js'
import { readSections, type Section, writeSections } from '../sections.js'

export type { Section } from '../sections.js'

/** Windows of a shard, see packed.ts, and numbers of them by name. */
export interface Shard {
  packed: Buffer
  sections: Record<string, Section>
}

/** What a shard belongs to: pair, path, scope, windows, version; and its place. */
export interface ShardKey {
  key: string
  shard: number
}

interface Facts extends ShardKey {
  schema: 'warp.select.shard/3'
}

const [zip, unzip] = [promisify(brotliCompress), promisify(brotliDecompress)]
/** as small as gzip's fastest, at a third of its time */
const packing = { params: { [constants.BROTLI_PARAM_QUALITY]: 0 } }

export const shardName = (shard: number): string => `shard-${String(shard).padStart(6, '0')}.bin`

/** The shard of such a name. */
export function shardOf(name: string): number | undefined {
  const [, number] = /^shard-(\d{6})\.bin$/.exec(name) ?? []
  return number === undefined ? undefined : Number(number)
}

/** Numbers of the shards that are there, rising. */
export async function listShards(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => [] as string[])
  return names.flatMap((name) => shardOf(name) ?? []).sort((a, b) => a - b)
}

/** Writes a shard whole or not at all. The same bytes for the same shard. */
export async function writeShard(folder: string, { key, shard }: ShardKey, { packed, sections }: Shard): Promise<void> {
  const { buffer, byteOffset, length } = await zip(packed, packing)
  const windows = new Uint8Array(buffer, byteOffset, length)
  const facts: Facts = { schema: 'warp.select.shard/3', key, shard }
  await writeSections(join(folder, shardName(shard)), facts, { windows, ...sections })
}

/**
 * Reads a shard back.
 * @throws WarpError (input) FEATURES_OTHER where it belongs to another pair, path, corpus option or version,
 *   FEATURES_DAMAGED
 */
export async function readShard(
  folder: string,
  { key, shard }: ShardKey,
): Promise<Shard & { file: string; offsets: Record<string, number> }> {
  const { facts, file, sections, offsets } = await open(folder, shard)
  if (facts.key !== key || facts.shard !== shard) {
    throw inputError(
      'FEATURES_OTHER',
      `${file}: belongs to another pair, path, corpus or version of warp`,
      { file, expected: key, found: facts.key },
      'another output folder, or --force to start over',
    )
  }
  return { ...(await unpack(sections)), file, offsets }
}

/** Reads a shard whatever it belongs to. @throws WarpError (input) FEATURES_DAMAGED */
export async function readAnyShard(folder: string, shard: number): Promise<Shard> {
  return unpack((await open(folder, shard)).sections)
}

/** What a shard belongs to. @throws WarpError (input) FEATURES_DAMAGED */
export const keyOf = async (folder: string, shard: number): Promise<string> => (await open(folder, shard)).facts.key

async function open(folder: string, shard: number) {
  const file = join(folder, shardName(shard))
  const damaged = (what: string): Error =>
    inputError('FEATURES_DAMAGED', `${file}: ${what}`, { file }, 'delete the file: it will be made again')
  return { file, ...(await readSections<Facts>(file, 'warp.select.shard/3', damaged)) }
}

async function unpack({ windows, ...sections }: Record<string, Section>): Promise<Shard> {
  return { packed: await unzip(windows as Uint8Array, packing), sections }
}
