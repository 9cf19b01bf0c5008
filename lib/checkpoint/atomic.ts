import { randomBytes } from 'node:crypto'
import { link, open, rename, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { resourceError, usageError, type WarpError } from '../errors.js'
import { lstat } from '../stat.js'

export interface AtomicOptions {
  /** replace a file that is there */
  force?: boolean
}

/**
 * Writes a file so that its name never stands for half of it: into a temporary file beside it, flushed to the disk,
 * then given its name. The temporary file is removed when anything fails.
 *
 * @throws WarpError (usage) OUTPUT_EXISTS without `force`; (resource) DISK_FULL, OUTPUT_NOT_WRITABLE
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: AtomicOptions = {},
): Promise<void> {
  const bytes = typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength
  return writeAtomic(path, bytes, (handle) => handle.writeFile(data), options)
}

/** `writeFileAtomic` for a file of `bytes` bytes that `write` writes piece by piece. */
export async function writeAtomic(
  path: string,
  bytes: number,
  write: (handle: FileHandle) => Promise<void>,
  { force = false }: AtomicOptions = {},
): Promise<void> {
  if (!force && (await lstat(path).catch(() => undefined))) throw exists(path)
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`) // see writtenAs
  try {
    const handle = await open(temporary, 'wx')
    try {
      await write(handle)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await publish(temporary, path, force)
  } catch (cause) {
    throw explain(cause, path, bytes)
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
  await syncDirectory(dirname(path))
}

/** The name of the file that a temporary file was to become; undefined of any other file. */
export const writtenAs = (name: string): string | undefined => /^\.(.+)\.[0-9a-f]{12}\.part$/.exec(name)?.[1]

/** A hard link, unlike a rename, does not replace a file that appeared meanwhile. */
export async function publish(temporary: string, path: string, force: boolean): Promise<void> {
  if (force) return rename(temporary, path)
  try {
    await link(temporary, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw exists(path)
    // some file systems have no hard links
    await rename(temporary, path)
  }
}

/** The new name itself reaches the disk; not every file system allows it, and then there is nothing to do. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r').catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}

function exists(path: string): WarpError {
  return usageError(
    'OUTPUT_EXISTS',
    `${path}: is there already`,
    { file: path },
    'Give another name, or --force to replace it.',
  )
}

const refusals = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ENOTEMPTY',
  'EEXIST',
  'ENAMETOOLONG',
  'ELOOP',
  'ENXIO',
])

/** What kept `bytes` bytes from being written, as a WarpError where it is the disk or the permissions. */
export function explain(cause: unknown, path: string, bytes: number): unknown {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return resourceError(
      'DISK_FULL',
      `${path}: no space for ${bytes} bytes`,
      { file: path, expected: bytes },
      'Free some space, or write elsewhere.',
    )
  }
  if (code && refusals.has(code)) {
    return resourceError(
      'OUTPUT_NOT_WRITABLE',
      `${path}: cannot be written (${code})`,
      { file: path, found: code },
      'Give a name in a directory that exists and that you may write to.',
    )
  }
  return cause
}
