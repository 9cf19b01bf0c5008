import { createHash, type Hash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { relative } from 'node:path'
import { addAbortSignal, type Readable } from 'node:stream'
import { inputError } from '../errors.js'
import { decompress } from './compression.js'
import { errorAt } from './place.js'
import { checkContent, sniffLength } from './sniff.js'
import type { ReadControl, ReadInput, SourceFile } from './types.js'
import { Utf8Gate } from './utf8.js'

const chunkBytes = 1 << 16

/** The longest line, CSV row, JSON element or one-text file. */
export const longestRecord = 16 * 2 ** 20

export function tooLong(file: string, line: number, what: string, hint: string): Error {
  return errorAt('PROBES_LINE_TOO_LONG', { file, line }, `${what} is longer than 16 MiB`, hint, {
    expected: longestRecord,
  })
}

/** Counts and hashes what is read of all sources, and reports progress. */
export class Reading {
  #done = 0
  readonly #inputs: { path: string; size: number; hash: Hash; folder: boolean }[]

  /** @param total bytes of all files, 0 where a pipe makes it unknown */
  constructor(
    sources: { path: string; folder: boolean }[],
    readonly total: number,
    readonly control: ReadControl,
  ) {
    this.#inputs = sources.map(({ path, folder }) => ({ path, size: 0, hash: createHash('sha256'), folder }))
  }

  /** The bytes of a file as they are stored. */
  async *bytes(file: SourceFile): AsyncGenerator<Buffer> {
    const { signal, stdin = process.stdin } = this.control
    signal?.throwIfAborted()
    const handle = file.path === undefined ? undefined : await opened(file)
    const before = await handle?.stat()
    const stream: Readable = handle?.createReadStream({ highWaterMark: chunkBytes, autoClose: false }) ?? stdin
    // one aborted at once says so again when nobody listens any more
    if (handle) stream.on('error', () => undefined)
    if (signal !== undefined) addAbortSignal(signal, stream)
    const input = this.#inputs[file.input]
    const hash = input.folder ? createHash('sha256') : input.hash
    let size = 0
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        hash.update(chunk)
        size += chunk.length
        this.#report(chunk.length)
        yield chunk
      }
      if (before?.isFile()) assertSame(file.name, before, await handle!.stat(), size)
    } catch (error) {
      throw readFailure(error, file, signal)
    } finally {
      await handle?.close()
    }
    input.size += size
    if (input.folder) input.hash.update(`${relative(input.path, file.name)}\0${hash.digest('hex')}\n`)
  }

  /** What is in a file, unpacked, in pieces of whole characters, without byte order mark; kind and encoding checked. */
  async *open(file: SourceFile): AsyncGenerator<Buffer> {
    const stored = this.bytes(file)
    const content = file.compression === undefined ? stored : decompress(stored, file.compression, file.name)
    const gate = new Utf8Gate(file.name)
    let head: Buffer | undefined = Buffer.alloc(0)
    for await (let chunk of content) {
      if (head !== undefined) {
        head = chunk = Buffer.concat([head, chunk])
        if (head.length < sniffLength) continue
        checkContent(head, file.name, file.format)
        head = undefined
      }
      yield gate.push(chunk)
    }
    if (head !== undefined) {
      checkContent(head, file.name, file.format)
      yield gate.push(head)
    }
    gate.end()
  }

  #report(bytes: number): void {
    this.#done += bytes
    this.control.onProgress?.({ phase: 'read', done: this.#done, total: this.total, unit: 'bytes' })
  }

  /** What was read, after everything was. */
  inputs(): ReadInput[] {
    return this.#inputs.map(({ path, size, hash }) => ({ path, size, sha256: hash.copy().digest('hex') }))
  }
}

async function opened(file: SourceFile): Promise<FileHandle> {
  return open(file.path!).catch((error: unknown) => {
    throw readFailure(error, file, undefined)
  })
}

/** What was read is one version of the file. */
function assertSame(file: string, before: Stats, after: Stats, read: number): void {
  if (after.size === before.size && after.mtimeMs === before.mtimeMs && read === after.size) return
  throw inputError(
    'FILE_CHANGED',
    `${file}: changed while it was being read (was ${before.size} bytes, now ${after.size})`,
    { file, expected: before.size, found: after.size },
    'something is writing to the file; wait until it is complete',
  )
}

function readFailure(error: unknown, file: SourceFile, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason
  const code = (error as NodeJS.ErrnoException).code
  const system = typeof code === 'string' && (error as NodeJS.ErrnoException).syscall !== undefined
  if (!system) return error
  return inputError(
    'PROBES_UNREADABLE',
    `${file.name}: cannot be read (${code})`,
    { file: file.name, found: code },
    'check that the file is there and may be read',
  )
}

/** Reads a whole small source; `longestRecord` at most. */
export async function readWhole(chunks: AsyncIterable<Buffer>, file: string): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const chunk of chunks) {
    size += chunk.length
    if (size > longestRecord) throw tooLong(file, 1, 'the text', 'split the file, or give texts as lines or JSONL')
    pieces.push(chunk)
  }
  return Buffer.concat(pieces).toString('utf8')
}

/** True for process.stdin and other streams that a person would have to type into. */
export function isTerminal(stream: Readable): boolean {
  return (stream as { isTTY?: boolean }).isTTY === true
}
