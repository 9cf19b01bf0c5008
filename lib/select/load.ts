import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { RunOptions } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { sketchError } from './features/sketch.js'
import { traceVectors } from './features/trace.js'
import type { Made } from './make.js'
import { unpackWindows } from './packed.js'
import { readShard, type Section } from './shards.js'
import type { Documents } from './strategies.js'
import type { Place } from './types.js'

/** Every window of some shards, with what was found of it. */
export interface Loaded extends Omit<Documents, 'allowed' | 'candidates' | 'partial'> {
  places: Place[]
  probability: Float32Array | undefined
  /** of a sample of the sketches' products */
  sketchError: number | undefined
  /** n + 1: where the tokens of each window begin in `ids` */
  offsets: Float64Array
  ids: Uint32Array
  close(): void
  candidates: () => Promise<Handle>
}

/**
 * Reads shards back. The factors of gradients stay on the disk until `candidates` is called.
 * @param state of the trained tokens: makes sparse vectors of the documents, in the place of gradients where features
 *   are `trace`
 */
export async function loadShards(
  made: Pick<Made, 'folder' | 'key' | 'shards'>,
  state: Uint8Array | undefined,
  sparse: boolean,
  labels: string[],
  run: RunOptions & { memory?: number },
): Promise<Loaded> {
  const places: Place[] = []
  const parts: Record<string, Section[]> = {}
  const rowFiles: RowFile[] = []
  let error: number | undefined
  let pieces: number[] = []
  for (let shard = 0; shard < made.shards; shard++) {
    const { packed, sections, file, offsets: begins } = await readShard(made.folder, { key: made.key, shard })
    run.signal?.throwIfAborted()
    const { places: own } = unpackWindows(packed)
    places.push(...own)
    for (const [name, section] of Object.entries(sections)) {
      if (name === 'rows') rowFiles.push({ path: file, offset: begins.rows, count: own.length })
      else if (name === 'pieces') pieces = Array.from(section)
      else if (name !== 'exact') (parts[name] ??= []).push(section)
    }
    const { exact, rows, along: product } = sections
    if (exact) error = sketchError(exact as Float64Array, rows as Float32Array, product.length / own.length, pieces[3])
    run.onProgress?.({ phase: 'read features', done: shard + 1, total: made.shards, unit: 'shards' })
  }
  const count = places.length
  const { offsets, ids } = joinTokens(
    (parts.offsets ?? []) as Uint32Array[],
    (parts.ids ?? []) as (Uint16Array | Uint32Array)[],
    count,
  )
  const loss = together(Float64Array, parts.loss)
  const loaded = {
    places,
    count,
    labels,
    sketchError: error,
    offsets,
    ids,
    label: together(Int32Array, parts.label),
    probability: together(Float32Array, parts.probability),
    loss: loss && Float64Array.from({ length: count }, (_, i) => loss[2 * i + 1]),
  }
  const vectors = state && (await traceVectors(offsets, ids, state, run))
  let opened: Handle | undefined
  const close = (): void => opened?.close()
  if (sparse && vectors) {
    const { along, norm2, order, index, value } = vectors
    const candidates = async (): Promise<Handle> => {
      opened ??= callNative(() => addon().openSparse(state.length))
      const handle = opened
      callNative(() => addon().appendSparse(handle, { offsets: vectors.offsets, index, value }))
      return handle
    }
    return { ...loaded, along, norm2, order, candidates, close }
  }
  const candidates = async (): Promise<Handle> => (opened ??= await openRows(made, pieces, rowFiles, run))
  const along = together(Float64Array, parts.along)
  const norm2 = together(Float64Array, parts.norm2)
  return {
    ...loaded,
    along: along && overPoints(along, count, (sum, points) => sum / Math.sqrt(points)),
    norm2: rowFiles.length > 0 && norm2 ? overPoints(norm2, count, (sum) => sum) : undefined,
    order: undefined,
    candidates,
    close,
  }
}

interface RowFile {
  path: string
  offset: number
  count: number
}

/** Rows of gradients in memory; where they would take more than half of the budget, they stay in their files. */
async function openRows(
  { folder, key }: Pick<Made, 'folder' | 'key'>,
  pieces: number[],
  files: RowFile[],
  { memory = 2 ** 31, signal }: RunOptions & { memory?: number },
): Promise<Handle> {
  const handle = callNative(() => addon().openFactored(pieces))
  const width = pieces.reduce((sum, number, i) => sum + (i % 2 === 1 ? number : 0), 0)
  const room = Math.floor(memory / 2 / (4 * width))
  const total = files.reduce((sum, { count }) => sum + count, 0)
  for (const [shard, file] of files.entries()) {
    signal?.throwIfAborted()
    if (total > room) callNative(() => addon().appendFactoredFile(handle, { ...file, room }))
    else {
      const { sections } = await readShard(folder, { key, shard })
      callNative(() => addon().appendFactored(handle, sections.rows as Float32Array))
    }
  }
  return handle
}

/**
 * A gradient at several points is their concatenation; the direction has length 1 at each, 1 / √points over all.
 */
function overPoints(values: Float64Array, count: number, end: (sum: number, points: number) => number): Float64Array {
  const points = values.length / count
  return Float64Array.from({ length: count }, (_, i) => {
    let sum = 0
    for (let k = 0; k < points; k++) sum += values[i * points + k]
    return end(sum, points)
  })
}

function together<T extends Float64Array | Float32Array | Int32Array>(
  Type: new (length: number) => T,
  parts: Section[] | undefined,
): T | undefined {
  if (!parts) return undefined
  const all = new Type(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

function joinTokens(offsets: Uint32Array[], ids: (Uint16Array | Uint32Array)[], count: number) {
  const all = {
    offsets: new Float64Array(count + 1),
    ids: new Uint32Array(ids.reduce((n, { length }) => n + length, 0)),
  }
  let [row, at] = [0, 0]
  for (const [s, own] of offsets.entries()) {
    all.ids.set(ids[s], at)
    for (let i = 1; i < own.length; i++) all.offsets[row + i] = at + own[i]
    row += own.length - 1
    at += ids[s].length
  }
  return all
}
