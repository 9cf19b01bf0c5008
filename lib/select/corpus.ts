import { inputError, usageError } from '../errors.js'
import { placeOf } from '../text/place.js'
import { readBatches, type ProbeOptions, type ReadControl, type TextRecord } from '../text/index.js'
import { encodeAhead, type BatchEncoder, type TokenBatch } from '../text/tokenizer/index.js'
import type { Window } from './types.js'

export interface CorpusOptions extends ProbeOptions {
  /** tokens of a window, special ones included */
  window: number
  /** tokens from the start of a window to the start of the next one */
  stride: number
  paragraphs?: boolean
}

/** Windows with their tokens: window i has `ids.subarray(offsets[i], offsets[i + 1])`. */
export interface WindowBatch {
  windows: Window[]
  ids: Uint32Array
  typeIds: Uint8Array
  offsets: Uint32Array
}

/** What was met on the way. */
export interface CorpusCounts {
  documents: number
  /** windows of documents that were cut */
  split: number
  /** windows whose last tokens were left out: they have no place to be cut at */
  truncated: number
}

/** Batches whose long documents are being cut while the next ones are encoded. */
const cutAhead = 4

/** The longest stretch without a blank that is not cut. */
const longestWord = 64

/**
 * The documents of a corpus as windows with their tokens, in the order of the sources; memory does not grow with them.
 * @throws WarpError of the readers and the tokenizer; CORPUS_NO_TOKENS
 */
export async function* readWindows(
  sources: string[],
  tokenizer: BatchEncoder,
  options: CorpusOptions,
  counts: CorpusCounts,
  control: ReadControl = {},
): AsyncGenerator<WindowBatch> {
  const { window, stride } = options
  if (window < 3 || stride < 1 || stride > window)
    throw usageError(
      'WINDOW_RANGE',
      `windows of ${window} tokens every ${stride}; expected at least 3 and a stride from 1 to the window's tokens`,
      { found: [window, stride] },
      '--window 128 --stride 128',
    )
  const special = (await tokenizer.encodeBatch([''])).ids.length
  const room = { window, stride, special }
  const batches = documents(sources, options, control)
  const waiting: Promise<CutBatch>[] = []
  const first = async (): Promise<WindowBatch> => {
    const { windows, ...own } = await waiting.shift()!
    for (const name of ['documents', 'split', 'truncated'] as const) counts[name] += own[name]
    return windows
  }
  for await (const { batch, tokens } of encodeAhead(batches, (all) => all.map(({ text }) => text), tokenizer, {})) {
    control.signal?.throwIfAborted()
    const cut = cutBatch(batch, tokens, tokenizer, room)
    cut.catch(() => undefined) // it is waited for in its turn, or never after another error
    waiting.push(cut)
    if (waiting.length > cutAhead) yield first()
  }
  while (waiting.length > 0) yield first()
}

interface CutBatch extends CorpusCounts {
  windows: WindowBatch
}

/** @throws WarpError CORPUS_NO_TOKENS; those of the tokenizer */
async function cutBatch(
  batch: TextRecord[],
  tokens: TokenBatch,
  tokenizer: BatchEncoder,
  { window, stride, special }: { window: number; stride: number; special: number },
): Promise<CutBatch> {
  const windows: Window[] = []
  const cuts: number[] = [] // windows of documents that were cut
  const rows: number[] = [] // of the others: their rows of tokens
  for (const [i, record] of batch.entries()) {
    const length = tokens.offsets[i + 1] - tokens.offsets[i]
    if (length <= special)
      throw inputError(
        'CORPUS_NO_TOKENS',
        `${record.source}: the document gives no token`,
        placeOf(record.source),
        'remove it',
      )
    if (length <= window) {
      rows[windows.length] = i
      windows.push(whole(record))
      continue
    }
    const parts = await cut(record, tokenizer, window - special, stride)
    parts.forEach((part) => cuts.push(windows.push(part) - 1))
  }
  const counts = { documents: batch.length, split: cuts.length, truncated: 0 }
  if (cuts.length === 0) {
    const { ids, typeIds, offsets } = tokens
    return { windows: { windows, ids, typeIds, offsets }, ...counts }
  }
  const again = await tokenizer.encodeBatch(
    cuts.map((i) => windows[i].text),
    { maxLength: window },
  )
  counts.truncated = again.truncated.reduce((sum, one) => sum + one, 0)
  const place = new Map(cuts.map((i, k) => [i, k]))
  const of = (i: number) => (place.has(i) ? { from: again, row: place.get(i)! } : { from: tokens, row: rows[i] })
  return { windows: assemble(windows, of), ...counts }
}

/** Windows with tokens of two batches. */
function assemble(windows: Window[], of: (i: number) => { from: TokenBatch; row: number }): WindowBatch {
  const offsets = new Uint32Array(windows.length + 1)
  const parts = windows.map((_, i) => {
    const { from, row } = of(i)
    const [begin, end] = [from.offsets[row], from.offsets[row + 1]]
    offsets[i + 1] = offsets[i] + end - begin
    return { from, begin, end }
  })
  const ids = new Uint32Array(offsets[windows.length])
  const typeIds = new Uint8Array(ids.length)
  for (const [i, { from, begin, end }] of parts.entries()) {
    ids.set(from.ids.subarray(begin, end), offsets[i])
    typeIds.set(from.typeIds.subarray(begin, end), offsets[i])
  }
  return { windows, ids, typeIds, offsets }
}

const whole = ({ row, source, text, label }: TextRecord): Window => ({
  document: row,
  window: 0,
  from: 0,
  to: text.length,
  source,
  text,
  label: label ?? null,
})

/** Batches of documents: of .txt files lines, or paragraphs of them. */
async function* documents(
  sources: string[],
  { paragraphs = false, ...options }: CorpusOptions,
  control: ReadControl,
): AsyncGenerator<TextRecord[]> {
  const batches = readBatches(sources, options, control)
  if (!paragraphs) {
    yield* batches
    return
  }
  let open: { record: TextRecord; lines: string[]; file: string; line: number } | undefined
  let row = 0
  const close = (): TextRecord[] => (open ? [{ ...open.record, text: open.lines.join('\n'), row: row++ }] : [])
  for await (const batch of batches) {
    const done: TextRecord[] = []
    for (const record of batch) {
      const { file, line } = placeOf(record.source)
      if (open && open.file === file && open.line + 1 === line && file.toLowerCase().endsWith('.txt')) {
        open.lines.push(record.text)
        open.line = line
        continue
      }
      done.push(...close())
      open = { record, lines: [record.text], file, line }
    }
    if (done.length > 0) yield done
  }
  const last = close()
  if (last.length > 0) yield last
}

/** Windows of at most `room` tokens, cut between words; each begins where `stride` tokens have passed. */
async function cut(
  { row, source, text, label }: TextRecord,
  tokenizer: BatchEncoder,
  room: number,
  stride: number,
): Promise<Window[]> {
  const words = [...text.matchAll(new RegExp(`\\S{1,${longestWord}}`, 'gu'))].map(({ index, 0: word }) => ({
    from: index,
    to: index + word.length,
  }))
  const { offsets } = await tokenizer.encodeBatch(
    words.map(({ from, to }) => ` ${text.slice(from, to)}`),
    { addSpecialTokens: false },
  )
  const windows: Window[] = []
  for (let first = 0; first < words.length; ) {
    let end = first + 1
    while (end < words.length && offsets[end + 1] - offsets[first] <= room) end++
    const [from, to] = [words[first].from, words[end - 1].to]
    windows.push({
      document: row,
      window: windows.length,
      from,
      to,
      source,
      text: text.slice(from, to),
      label: label ?? null,
    })
    if (end === words.length) break
    const start = offsets[first]
    let next = first + 1
    while (next < end && offsets[next] - start < stride) next++
    first = next
  }
  return windows
}

/** Batches of exactly `size` windows, the last one of what is left. */
export async function* regroupWindows(batches: AsyncIterable<WindowBatch>, size: number): AsyncGenerator<WindowBatch> {
  let held: WindowBatch[] = []
  let count = 0
  for await (const batch of batches) {
    held.push(batch)
    count += batch.windows.length
    if (count < size) continue
    let all = join(held)
    while (all.windows.length >= size) {
      yield slice(all, 0, size)
      all = slice(all, size, all.windows.length)
    }
    held = all.windows.length > 0 ? [all] : []
    count = all.windows.length
  }
  if (count > 0) yield join(held)
}

export function slice({ windows, ids, typeIds, offsets }: WindowBatch, begin: number, end: number): WindowBatch {
  const [from, to] = [offsets[begin], offsets[end]]
  return {
    windows: windows.slice(begin, end),
    ids: ids.slice(from, to),
    typeIds: typeIds.slice(from, to),
    offsets: offsets.slice(begin, end + 1).map((offset) => offset - from),
  }
}

function join(batches: WindowBatch[]): WindowBatch {
  if (batches.length === 1) return batches[0]
  const tokens = batches.reduce((sum, { ids }) => sum + ids.length, 0)
  const windows = batches.flatMap((batch) => batch.windows)
  const all: TokenBatch = {
    ids: new Uint32Array(tokens),
    typeIds: new Uint8Array(tokens),
    offsets: new Uint32Array(windows.length + 1),
    truncated: new Uint8Array(0),
  }
  let [at, row] = [0, 0]
  for (const { ids, typeIds, offsets } of batches) {
    all.ids.set(ids, at)
    all.typeIds.set(typeIds, at)
    for (let i = 1; i < offsets.length; i++) all.offsets[row + i] = at + offsets[i]
    at += ids.length
    row += offsets.length - 1
  }
  return { windows, ...all }
}
