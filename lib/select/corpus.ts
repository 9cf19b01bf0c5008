import { inputError, usageError } from '../errors.js'
import { placeOf } from '../text/place.js'
import { readBatches, type ProbeOptions, type ReadControl, type TextRecord } from '../text/index.js'
import { encodeAhead, type BatchEncoder, type TokenBatch } from '../text/tokenizer/index.js'
import type { Window } from './types.js'

export interface DocumentOptions extends ProbeOptions {
  /** lines of .txt files without a blank line between them are one document */
  paragraphs?: boolean
}

export interface CorpusOptions extends DocumentOptions {
  /** tokens of a window, special ones included */
  window: number
  /** tokens from the start of a window to the start of the next one */
  stride: number
}

/** Windows with their tokens: window i has `ids.subarray(offsets[i], offsets[i + 1])`. */
export interface WindowBatch {
  windows: Window[]
  ids: Uint32Array
  typeIds: Uint8Array
  offsets: Uint32Array
  /** tokens of each window's prompt, where there are responses */
  prompts?: Uint32Array
}

/** Windows whose tokens are rows of a batch, from `row` on. */
export interface WindowRun {
  windows: Window[]
  tokens: TokenBatch
  row: number
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
): AsyncGenerator<WindowRun> {
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
  const waiting: (CutBatch | Promise<CutBatch>)[] = []
  const first = async (): Promise<WindowRun[]> => {
    const { runs, ...own } = await waiting.shift()!
    for (const name of ['documents', 'split', 'truncated'] as const) counts[name] += own[name]
    return runs
  }
  for await (const { batch, tokens } of encodeAhead(batches, (all) => all.map(({ text }) => text), tokenizer, {})) {
    control.signal?.throwIfAborted()
    const cut = cutBatch(batch, tokens, tokenizer, room)
    if (cut instanceof Promise) cut.catch(() => undefined) // it is waited for in its turn, or never after another error
    waiting.push(cut)
    while (waiting.length > cutAhead || (waiting.length > 0 && !(waiting[0] instanceof Promise))) yield* await first()
  }
  while (waiting.length > 0) yield* await first()
}

interface Room {
  window: number
  stride: number
  /** tokens that every window has beside its text's */
  special: number
}

interface CutBatch extends CorpusCounts {
  runs: WindowRun[]
}

/** At once where no document is too long. @throws WarpError CORPUS_NO_TOKENS; those of the tokenizer */
function cutBatch(
  batch: TextRecord[],
  tokens: TokenBatch,
  tokenizer: BatchEncoder,
  room: Room,
): CutBatch | Promise<CutBatch> {
  const lengthOf = (i: number): number => tokens.offsets[i + 1] - tokens.offsets[i]
  const none = batch.findIndex((_, i) => lengthOf(i) <= room.special)
  if (none >= 0) {
    const { source } = batch[none]
    throw inputError('CORPUS_NO_TOKENS', `${source}: the document gives no token`, placeOf(source), 'remove it')
  }
  const long = Array.from(batch.keys()).filter((i) => lengthOf(i) > room.window)
  if (long.length > 0) return cutLong(batch, tokens, tokenizer, long, room)
  return { runs: [{ windows: batch.map(whole), tokens, row: 0 }], documents: batch.length, split: 0, truncated: 0 }
}

async function cutLong(
  batch: TextRecord[],
  tokens: TokenBatch,
  tokenizer: BatchEncoder,
  long: number[],
  { window, stride, special }: Room,
): Promise<CutBatch> {
  const uncut = long.find((i) => batch[i].prompt !== undefined)
  if (uncut !== undefined) throw tooLong(batch[uncut], window)
  const parts = await cut(
    long.map((i) => batch[i]),
    tokenizer,
    window - special,
    stride,
  )
  const cuts = parts.flat()
  const counts = { documents: batch.length, split: cuts.length, truncated: 0 }
  const again = await tokenizer.encodeBatch(
    cuts.map(({ text }) => text),
    { maxLength: window },
  )
  counts.truncated = again.truncated.reduce((sum, one) => sum + one, 0)
  const runs: WindowRun[] = []
  let [from, row] = [0, 0] // of the documents, of the windows of those that were cut
  for (const [k, i] of [...long, batch.length].entries()) {
    if (from < i) runs.push({ windows: batch.slice(from, i).map(whole), tokens, row: from })
    if (i < batch.length) runs.push({ windows: parts[k], tokens: again, row })
    row += parts[k]?.length ?? 0
    from = i + 1
  }
  return { runs, ...counts }
}

const whole = ({ row, source, text, prompt, label }: TextRecord): Window => ({
  document: row,
  window: 0,
  from: 0,
  to: text.length,
  source,
  prompt: prompt?.length ?? 0,
  text,
  label: label ?? null,
})

/** Batches of documents: of .txt files lines, or paragraphs of them. */
export async function* documents(
  sources: string[],
  { paragraphs = false, ...options }: DocumentOptions,
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

function tooLong({ source }: TextRecord, window: number): Error {
  return inputError(
    'CORPUS_RESPONSE_LONG',
    `${source}: the document has more than ${window} tokens; prompts and their responses are not cut`,
    { ...placeOf(source), expected: window },
    '--window, up to the positions of the model, or remove it',
  )
}

/** Of each document its windows of at most `room` tokens, cut between words; one begins where `stride` have passed. */
async function cut(records: TextRecord[], tokenizer: BatchEncoder, room: number, stride: number): Promise<Window[][]> {
  const words = records.map(({ text }) =>
    Array.from(text.matchAll(new RegExp(`\\S{1,${longestWord}}`, 'gu')), ({ index, 0: word }) => ({
      from: index,
      to: index + word.length,
    })),
  )
  const { offsets } = await tokenizer.encodeBatch(
    records.flatMap(({ text }, i) => words[i].map(({ from, to }) => ` ${text.slice(from, to)}`)),
    { addSpecialTokens: false },
  )
  let begin = 0
  return records.map((record, i) => {
    const own = offsets.subarray(begin, begin + words[i].length + 1)
    begin += words[i].length
    return windowsOf(record, words[i], own, { room, stride })
  })
}

/** @param offsets of the tokens of each word */
function windowsOf(
  { row, source, text, label }: TextRecord,
  words: { from: number; to: number }[],
  offsets: Uint32Array,
  { room, stride }: { room: number; stride: number },
): Window[] {
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
      prompt: 0,
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
