import { constants, statSync, type Stats } from 'node:fs'
import { open, readlink, type FileHandle } from 'node:fs/promises'
import { inputError } from '../errors.js'
import { stat } from '../stat.js'

/** A file as it was when it was looked at; size, time and identity tell later whether it changed. */
export interface FileRecord {
  path: string
  /** bytes */
  size: number
  /** milliseconds since the epoch */
  mtimeMs: number
  /** of the file behind the name, on this machine; a copy that takes its place has another */
  identity?: string
}

/**
 * Opens a regular file for reading, passes it with its record to `use`, and closes it whatever happens. The record is
 * that of the file that was opened, whatever happens to its name.
 * @param expected an earlier record: FILE_CHANGED when the file is another one, or was written since
 * @throws WarpError FILE_NOT_FOUND, FILE_NOT_REGULAR, FILE_UNREADABLE
 */
export async function withFile<T>(
  path: string,
  use: (file: FileHandle, record: FileRecord) => Promise<T>,
  expected?: FileRecord,
): Promise<T> {
  await fileRecord(path)
  let handle: FileHandle
  try {
    // not to wait for a writer where a named pipe has taken the file's place since
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw unreadable(path, cause)
  }
  try {
    const record = recordOf(path, await handle.stat())
    if (expected && !same(expected, record)) throw changed(expected, record)
    return await use(handle, record)
  } finally {
    await handle.close()
  }
}

/** Looked at before opening: opening a device may do things. */
export async function fileRecord(path: string): Promise<FileRecord> {
  const found = await stat(path).catch(async (cause) => {
    throw await unreachable(path, cause)
  })
  return recordOf(path, found)
}

function recordOf(path: string, found: Stats): FileRecord {
  if (!found.isFile()) {
    throw inputError(
      'FILE_NOT_REGULAR',
      `${path}: is ${found.isDirectory() ? 'a directory' : 'not a regular file'}; expected a file`,
      { file: path, expected: 'a regular file' },
      'Give a file on disk; pipes and devices cannot be read twice.',
    )
  }
  return { path, size: found.size, mtimeMs: found.mtimeMs, identity: `${found.dev}:${found.ino}` }
}

/** Size, time and, where both know it, the file behind the name. */
function same(one: FileRecord, other: FileRecord): boolean {
  const { identity = other.identity } = one
  return one.size === other.size && one.mtimeMs === other.mtimeMs && identity === (other.identity ?? identity)
}

function changed(before: FileRecord, now: FileRecord | undefined): Error {
  const found = now ? `${now.size} bytes, modified ${new Date(now.mtimeMs).toISOString()}` : 'gone'
  const replaced = now?.size === before.size && now.mtimeMs === before.mtimeMs ? ', another file' : ''
  return inputError(
    'FILE_CHANGED',
    `${before.path}: changed while it was being used (was ${before.size} bytes, now ${found}${replaced})`,
    { file: before.path, expected: before.size, found: now?.size ?? null },
    'Something is writing to the file; wait until it is complete.',
  )
}

/** Of a link, what is wrong with where it leads: a cache whose contents were removed leaves such. */
async function unreachable(path: string, cause: unknown): Promise<Error> {
  const code = (cause as NodeJS.ErrnoException).code
  const target = code === 'ENOENT' || code === 'ELOOP' ? await readlink(path).catch(() => undefined) : undefined
  if (target === undefined) return unreadable(path, cause)
  const details = { file: path, found: target }
  if (code === 'ELOOP') {
    const hint = 'Remove the links and copy or download the file again.'
    return inputError('FILE_LINK_CIRCULAR', `${path}: is a link to ${target}, which leads back to it`, details, hint)
  }
  return inputError(
    'FILE_LINK_BROKEN',
    `${path}: is a link to ${target}, which is not there`,
    details,
    'The cache has lost its contents: download the model again, with hf:owner/name for example.',
  )
}

function unreadable(path: string, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return inputError('FILE_NOT_FOUND', `${path}: no such file`, { file: path, found: code }, 'Check the path.')
  }
  return inputError(
    'FILE_UNREADABLE',
    `${path}: cannot be read (${code ?? String(cause)})`,
    { file: path, found: code },
    'Check the permissions of the file and its directories.',
  )
}

/**
 * Reads exactly `length` bytes from `offset`.
 * @param into takes them, where one buffer is to serve for many pieces: what is given back is its beginning
 * @throws WarpError FILE_CHANGED when the file ends earlier than its recorded size promised
 */
export async function readExactly(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
  into = Buffer.allocUnsafe(length),
): Promise<Buffer> {
  const buffer = into.subarray(0, length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, offset + done)
    if (bytesRead === 0) {
      throw inputError(
        'FILE_CHANGED',
        `${path}: ends at byte ${offset + done} while ${offset + length} bytes were there when it was opened`,
        { file: path, offset: offset + done, expected: offset + length },
        'Something is writing to the file; wait until it is complete.',
      )
    }
    done += bytesRead
  }
  return buffer
}

/**
 * Whole contents of a small file (configuration, index).
 * @throws WarpError FILE_TOO_LARGE above `limit` bytes, before anything is allocated
 */
export function readSmallFile(path: string, limit = 100_000_000): Promise<Buffer> {
  return withFile(path, async (handle, { size }) => {
    if (size > limit) {
      throw inputError(
        'FILE_TOO_LARGE',
        `${path}: ${size} bytes; expected at most ${limit}`,
        { file: path, found: size, expected: limit },
        'This cannot be the file its name says.',
      )
    }
    return readExactly(handle, path, 0, size)
  })
}

/** `assertUnchanged` for files that were opened by name just now, before anything is read from them. */
export function assertOpened(files: readonly FileRecord[]): void {
  for (const before of files) {
    const now = statSync(before.path, { throwIfNoEntry: false })
    const record = now?.isFile() ? recordOf(before.path, now) : undefined
    if (!record || !same(before, record)) throw changed(before, record)
  }
}

/**
 * Looks again at files recorded earlier.
 * @throws WarpError FILE_CHANGED when one has another size or modification time, is another file, or is gone
 */
export async function assertUnchanged(files: readonly FileRecord[]): Promise<void> {
  for (const before of files) {
    const now = await fileRecord(before.path).catch(() => undefined)
    if (!now || !same(before, now)) throw changed(before, now)
  }
}
