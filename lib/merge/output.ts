import { readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncDirectory, writeFileAtomic } from '../checkpoint/atomic.js'
import { readSmallFile } from '../checkpoint/files.js'
import { claimFile, refuseInputs } from '../claim.js'
import { resourceError, usageError } from '../errors.js'
import { freeSpace, notWritable } from '../folders.js'
import { lstat, stat } from '../stat.js'

/** While it is there, the folder is unfinished: it holds what was asked for. */
export const journal = 'warp.merge.part'
/** The last file of a finished merge. */
export const record = 'warp.merge.json'

/** What this command writes, and `force` may therefore remove. */
const own = [
  /^model(-\d{5}-of-\d{5})?\.safetensors(\.part)?$/,
  /^model\.safetensors\.index\.json$/,
  /^warp\.merge\./,
  /^point-\d+$/,
]

function explain(cause: unknown, path: string, bytes?: number): unknown {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return resourceError(
      'DISK_FULL',
      `${path}: no space left${bytes === undefined ? '' : ` for ${bytes} bytes`}`,
      { file: path, expected: bytes },
      'Free some space and give the same command again: it goes on with what is missing.',
    )
  }
  const refused = ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENOENT', 'EISDIR', 'ENAMETOOLONG', 'EEXIST']
  return code && refused.includes(code) ? notWritable(path, cause) : cause
}

async function guarded<T>(path: string, work: () => Promise<T>, bytes?: number): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw explain(cause, path, bytes)
  }
}

/**
 * Makes the claimed output folder ready, or recognises one that the same command left unfinished. Nothing is written
 * when it is refused.
 * @throws WarpError (usage) OUTPUT_EXISTS; (resource) OUTPUT_NOT_WRITABLE, DISK_FULL
 */
export async function prepareOutput(output: string, plan: string, force: boolean): Promise<{ resumed: boolean }> {
  const entries = (await guarded(output, () => readdir(output))).filter((name) => name !== claimFile)
  if (entries.includes(journal) && (await readJournal(output)) === plan) return { resumed: true }
  if (entries.length > 0) {
    if (!force) {
      const what = entries.includes(journal)
        ? 'holds an unfinished merge of other inputs or options'
        : 'is there already'
      throw usageError(
        'OUTPUT_EXISTS',
        `${output}: ${what}`,
        { file: output },
        'Give another output directory, or --force to replace what a merge wrote.',
      )
    }
    for (const entry of entries.filter((name) => own.some((pattern) => pattern.test(name))))
      await guarded(output, () => rm(join(output, entry), { recursive: true, force: true }))
  }
  await publish(join(output, journal), plan)
  return { resumed: false }
}

/** Of a journal that is anything but a regular file nothing is believed. */
async function readJournal(output: string): Promise<string | undefined> {
  const file = join(output, journal)
  if (!(await lstat(file)).isFile()) return undefined
  return String(await readSmallFile(file))
}

/** Refuses outputs that are inputs or no directory, before anything is written. @throws OUTPUT_IS_INPUT, _EXISTS */
export async function checkOutput(
  output: string,
  folders: readonly string[],
  inputs: readonly string[],
): Promise<void> {
  await refuseInputs([output, ...folders], inputs)
  const found = await lstat(output).catch(() => undefined)
  if (!found || (await stat(output).catch(() => found)).isDirectory()) return
  throw usageError(
    'OUTPUT_EXISTS',
    `${output}: is there already and no directory`,
    { file: output },
    'Give another output directory.',
  )
}

/** Takes back an output folder in which no file was finished, so that a failure leaves nothing behind. */
export async function abandonOutput(output: string, folders: readonly string[]): Promise<void> {
  for (const folder of folders) if (folder !== output) await rmdir(folder).catch(() => undefined)
  await rm(join(output, journal), { force: true }).catch(() => undefined)
}

export async function finishOutput(output: string): Promise<void> {
  await rm(join(output, journal), { force: true })
}

/** A file of this size is there: an earlier run of the same plan finished it, for only whole files get their names. */
export async function isComplete(file: string, size: number): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.size === size
}

/** @throws WarpError (resource) DISK_FULL with the bytes needed and free */
export async function checkSpace(output: string, needed: number): Promise<void> {
  const free = await freeSpace(output)
  if (free >= needed) return
  throw resourceError(
    'DISK_FULL',
    `${output}: needs ${needed} bytes, ${free} are free`,
    { file: output, expected: needed, found: free },
    'Free some space, give another output directory, fewer points, or --dtype bf16.',
  )
}

/** A small file under its name only when whole, and on the disk. */
export const publish = (file: string, data: string | Uint8Array): Promise<void> =>
  writeFileAtomic(file, data, { force: true })

/** FILE.part, written, flushed to the disk and closed by native code, gets its name: it says that the file is whole. */
export async function publishPart(file: string): Promise<void> {
  await guarded(file, () => rename(`${file}.part`, file))
  await syncDirectory(dirname(file))
}

export async function removeParts(folders: readonly string[], files: readonly string[]): Promise<void> {
  for (const folder of folders) for (const file of files) await rm(join(folder, `${file}.part`), { force: true })
}
