import { open, readlink, stat, type FileHandle } from 'node:fs/promises'
import { inputError } from '../errors.js'

/** A file as it was when it was looked at; `mtimeMs` and `size` tell later whether it changed. */
export interface FileRecord {
  path: string
  /** bytes */
  size: number
  /** milliseconds since the epoch */
  mtimeMs: number
}

/**
 * Opens a regular file for reading, passes it with its size to `use`, and closes it whatever happens.
 * @throws WarpError FILE_NOT_FOUND, FILE_NOT_REGULAR, FILE_UNREADABLE
 */
export async function withFile<T>(path: string, use: (file: FileHandle, record: FileRecord) => Promise<T>): Promise<T> {
  const record = await fileRecord(path)
  let handle: FileHandle
  try {
    handle = await open(path, 'r')
  } catch (cause) {
    throw unreadable(path, cause)
  }
  try {
    return await use(handle, record)
  } finally {
    await handle.close()
  }
}

/** Looked at before opening: opening a named pipe would wait for a writer for ever. */
export async function fileRecord(path: string): Promise<FileRecord> {
  const found = await stat(path).catch(async (cause) => {
    throw await unreachable(path, cause)
  })
  if (!found.isFile()) {
    throw inputError(
      'FILE_NOT_REGULAR',
      `${path}: is ${found.isDirectory() ? 'a directory' : 'not a regular file'}; expected a file`,
      { file: path, expected: 'a regular file' },
      'Give a file on disk; pipes and devices cannot be read twice.',
    )
  }
  return { path, size: found.size, mtimeMs: found.mtimeMs }
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
    return inputError('FILE_NOT_FOUND', `${path}: no such file`, { file: path }, 'Check the path.')
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
 * @throws WarpError FILE_CHANGED when the file ends earlier than its recorded size promised
 */
export async function readExactly(handle: FileHandle, path: string, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
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

/**
 * Looks again at files recorded earlier.
 * @throws WarpError FILE_CHANGED when one has another size or modification time, or is gone
 */
export async function assertUnchanged(files: readonly FileRecord[]): Promise<void> {
  for (const before of files) {
    const now = await stat(before.path).catch(() => undefined)
    if (now?.size === before.size && now.mtimeMs === before.mtimeMs) continue
    const found = now ? `${now.size} bytes, modified ${now.mtime.toISOString()}` : 'gone'
    throw inputError(
      'FILE_CHANGED',
      `${before.path}: changed while it was being used (was ${before.size} bytes, now ${found})`,
      { file: before.path, expected: before.size, found: now?.size ?? null },
      'Something is writing to the file; wait until it is complete.',
    )
  }
}
