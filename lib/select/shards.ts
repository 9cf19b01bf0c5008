import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { writeFileAtomic } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import type { Window } from './types.js'

/** Numbers of the windows of a shard, by name. */
export type Section = Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array
export interface Shard {
  windows: Window[]
  sections: Record<string, Section>
}

/** What a shard belongs to: pair, path, scope, windows, version; and its place. */
export interface ShardKey {
  key: string
  shard: number
}

interface Header extends ShardKey {
  schema: 'warp.select.shard/1'
  windows: number
  /** of everything behind the header */
  sha256: string
  sections: { name: string; type: string; length: number }[]
}

const types = { Float32Array, Float64Array, Int32Array, Uint32Array, Uint8Array }
const [zip, unzip] = [promisify(gzip), promisify(gunzip)]

export const shardName = (shard: number): string => `shard-${String(shard).padStart(6, '0')}.bin`

/** Numbers of the shards that are there, rising. */
export async function listShards(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => [] as string[])
  return names
    .flatMap((name) => /^shard-(\d{6})\.bin$/.exec(name)?.slice(1) ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

/** Writes a shard whole or not at all: one line of JSON, then its sections. The same bytes for the same shard. */
export async function writeShard(
  folder: string,
  { key, shard }: ShardKey,
  { windows, sections }: Shard,
): Promise<void> {
  const lines = windows.map(({ document, window, from, to, source, label, text }) =>
    JSON.stringify([document, window, from, to, source, label, text]),
  )
  const all: [string, Section][] = [
    ['windows', new Uint8Array(await zip(lines.join('\n'), { level: 1 }))],
    ...Object.entries(sections),
  ]
  const parts = all.map(([, values]) => Buffer.from(values.buffer, values.byteOffset, values.byteLength))
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  const header: Header = {
    schema: 'warp.select.shard/1',
    key,
    shard,
    windows: windows.length,
    sha256: hash.digest('hex'),
    sections: all.map(([name, values]) => ({ name, type: values.constructor.name, length: values.length })),
  }
  const bytes = Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...parts])
  await writeFileAtomic(join(folder, shardName(shard)), bytes, { force: true })
}

/**
 * Reads a shard back.
 * @throws WarpError (input) FEATURES_OTHER where it belongs to another pair, path, corpus option or version,
 *   FEATURES_DAMAGED
 */
export async function readShard(folder: string, { key, shard }: ShardKey): Promise<Shard & { place: Place }> {
  const { header, payload, file, bytes } = await open(folder, shard)
  if (header.key !== key || header.shard !== shard) {
    throw inputError(
      'FEATURES_OTHER',
      `${file}: belongs to another pair, path, corpus or version of warp`,
      { file, expected: key, found: header.key },
      'another output folder, or --force to start over',
    )
  }
  return { ...(await unpack(header, payload)), place: placeOf(header, file, bytes - payload.length) }
}

/** The file of a shard, and the byte at which each section begins. */
export interface Place {
  file: string
  offsets: Record<string, number>
}

function placeOf({ sections }: Header, file: string, begin: number): Place {
  const offsets: Record<string, number> = {}
  for (const { name, type, length } of sections) {
    offsets[name] = begin
    begin += length * types[type as keyof typeof types].BYTES_PER_ELEMENT
  }
  return { file, offsets }
}

/** Reads a shard whatever it belongs to. @throws WarpError (input) FEATURES_DAMAGED */
export async function readAnyShard(folder: string, shard: number): Promise<Shard> {
  const { header, payload } = await open(folder, shard)
  return unpack(header, payload)
}

async function open(folder: string, shard: number) {
  const file = join(folder, shardName(shard))
  const bytes = await readFile(file)
  const damaged = (what: string): Error =>
    inputError('FEATURES_DAMAGED', `${file}: ${what}`, { file }, 'delete the file: it will be made again')
  const end = bytes.indexOf(10)
  const header = parse(end < 0 ? '' : bytes.toString('utf8', 0, end))
  if (header?.schema !== 'warp.select.shard/1') throw damaged('is no shard of features')
  const payload = bytes.subarray(end + 1)
  if (createHash('sha256').update(payload).digest('hex') !== header.sha256) throw damaged('was changed or cut off')
  return { header, payload, file, bytes: bytes.length }
}

async function unpack(header: Header, payload: Buffer): Promise<Shard> {
  const sections: Record<string, Section> = {}
  let at = 0
  for (const { name, type, length } of header.sections) {
    const Type = types[type as keyof typeof types]
    const size = length * Type.BYTES_PER_ELEMENT
    const copy = new Uint8Array(payload.subarray(at, at + size)).buffer
    sections[name] = new Type(copy)
    at += size
  }
  const { windows: packed, ...rest } = sections
  const lines = (await unzip(packed as Uint8Array)).toString('utf8').split('\n')
  return { windows: lines.map(toWindow), sections: rest }
}

function parse(line: string): Header | undefined {
  try {
    return JSON.parse(line) as Header
  } catch {
    return undefined
  }
}

function toWindow(line: string): Window {
  const [document, window, from, to, source, label, text] = JSON.parse(line) as [
    number,
    number,
    number,
    number,
    string,
    string | null,
    string,
  ]
  return { document, window, from, to, source, text, label }
}
