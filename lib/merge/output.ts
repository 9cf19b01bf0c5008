import {
  copyFile,
  lstat,
  readFile,
  readdir,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { resourceError, usageError } from '../errors.js'
import { makeFolders, notWritable } from '../folders.js'

/** While it is there, the folder is unfinished: it holds what was asked for. */
const journal = 'warp.merge.part'
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
 * Makes the output folder ready, or recognises one that the same command left unfinished. Nothing is written when it is
 * refused.
 * @throws WarpError (usage) OUTPUT_IS_INPUT, OUTPUT_EXISTS; (resource) OUTPUT_NOT_WRITABLE, DISK_FULL
 */
export async function prepareOutput(
  output: string,
  plan: string,
  inputs: readonly string[],
  force: boolean,
): Promise<{ resumed: boolean; created: boolean }> {
  const real = await realpath(output).catch(() => undefined)
  for (const input of inputs) {
    if (real !== undefined && real === (await realpath(input))) {
      throw usageError(
        'OUTPUT_IS_INPUT',
        `${output}: is the model directory ${input}`,
        { file: output },
        'Give another output directory.',
      )
    }
  }
  const found = await lstat(output).catch(() => undefined)
  if (found && !(await stat(output).catch(() => found)).isDirectory()) {
    throw usageError(
      'OUTPUT_EXISTS',
      `${output}: is there already and no directory`,
      { file: output },
      'Give another output directory.',
    )
  }
  const entries = found ? await guarded(output, () => readdir(output)) : []
  if (entries.includes(journal) && (await readFile(join(output, journal), 'utf8')) === plan)
    return { resumed: true, created: false }
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
  await makeFolders(output)
  await publish(join(output, journal), plan)
  return { resumed: false, created: !found }
}

/** Takes back an output folder in which no file was finished, so that a failure leaves nothing behind. */
export async function abandonOutput(output: string, folders: readonly string[], created: boolean): Promise<void> {
  await rm(join(output, journal), { force: true }).catch(() => undefined)
  for (const folder of [...folders, ...(created ? [output] : [])]) await rmdir(folder).catch(() => undefined)
}

export async function finishOutput(output: string): Promise<void> {
  await rm(join(output, journal), { force: true })
}

/** A file of this size is there: an earlier run of the same plan finished it, for only whole files get their names. */
export async function isComplete(file: string, size: number): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.size === size
}

/** Bytes free where `path` is or would be. */
export async function freeSpace(path: string): Promise<number> {
  for (let at = resolve(path); ; at = dirname(at)) {
    const found = await statfs(at).catch(() => undefined)
    if (found) return found.bavail * found.bsize
    if (at === dirname(at)) return 0
  }
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

/**
 * A small file under its name only when whole. Not flushed to the disk, as the weights beside it are not: a killed
 * process is what this must survive.
 */
export async function publish(file: string, data: string): Promise<void> {
  await guarded(
    file,
    async () => {
      await writeFile(`${file}.part`, data)
      await rename(`${file}.part`, file)
    },
    Buffer.byteLength(data),
  ).catch(async (error) => {
    await rm(`${file}.part`, { force: true }).catch(() => undefined)
    throw error
  })
}

export async function publishCopy(from: string, file: string): Promise<void> {
  await guarded(file, async () => {
    await copyFile(from, `${file}.part`)
    await rename(`${file}.part`, file)
  }).catch(async (error) => {
    await rm(`${file}.part`, { force: true }).catch(() => undefined)
    throw error
  })
}

/** FILE.part, written and closed by native code, gets its name. */
export async function publishPart(file: string): Promise<void> {
  await guarded(file, () => rename(`${file}.part`, file))
}

export async function removeParts(folders: readonly string[], files: readonly string[]): Promise<void> {
  for (const folder of folders) for (const file of files) await rm(join(folder, `${file}.part`), { force: true })
}
