import { constants } from 'node:fs'
import { access, rmdir, stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import { writeFileAtomic } from '../lib/checkpoint/atomic.js'
import { refuseInputs, removeParts, withClaim, withFileClaim, type ClaimOptions } from '../lib/claim.js'
import { usageError } from '../lib/errors.js'
import { makeFolders, missingFolders, notWritable } from '../lib/folders.js'
import { lstat } from '../lib/stat.js'
import { LineWriter } from './line-writer.js'

export interface OutputOptions extends ClaimOptions {
  /** that the work will write into the folder, or into folders in it */
  files: string[]
  /** replace them */
  force?: boolean
  /** files and folders that the work reads, `-` among them */
  inputs: string[]
}

/** Runs work whose output goes into a folder, if one is given: checked before, and claimed for this run alone. */
export async function withOutput<T>(
  folder: string | undefined,
  options: OutputOptions,
  work: () => Promise<T>,
): Promise<T> {
  if (folder === undefined) return work()
  const { files, force, inputs } = options
  await checkFolder(folder)
  await refuseInputs([folder, ...files.map((file) => path.join(folder, file))], inputs)
  return withClaim(folder, { ...options, writes: files }, async () => {
    await checkOutput(folder, files, force)
    for (const file of files.filter((name) => path.dirname(name) !== '.'))
      await removeParts(path.join(folder, path.dirname(file)), [path.basename(file)])
    return work()
  })
}

/** @throws WarpError OUTPUT_NOT_WRITABLE, OUTPUT_IS_INPUT, OUTPUT_EMPTY */
export async function checkPlace(folder: string, inputs: string[]): Promise<void> {
  await checkFolder(folder)
  await refuseInputs([folder], inputs)
}

async function checkFolder(folder: string): Promise<void> {
  const [nearest] = await missingFolders(folder)
  await access(nearest, constants.W_OK | constants.X_OK).catch((cause: unknown) => {
    throw notWritable(folder, cause)
  })
}

/** Refuses, before any work, a folder that already holds one of the files, unless `force`. */
async function checkOutput(folder: string, files: string[], force = false): Promise<void> {
  if (force) return
  const there = await Promise.all(files.map((file) => lstat(path.join(folder, file)).catch(() => undefined)))
  const taken = files.find((_, i) => there[i])
  if (taken)
    throw usageError(
      'OUTPUT_EXISTS',
      `${path.join(folder, taken)} is already there`,
      { file: path.join(folder, taken) },
      'another folder, or --force',
    )
}

/**
 * Runs work whose lines go into a file of its own, if one is given: opened before any work, which refuses one that is
 * there (unless `force`), that is an input, that another run writes, or that those of `folder` will be; named after it.
 * @throws WarpError OUTPUT_IS_INPUT, OUTPUT_TWICE, OUTPUT_BUSY and those of LineWriter
 */
export async function withFile<T>(
  file: string | undefined,
  { files = [], folder, ...options }: Partial<OutputOptions> & { folder?: string; inputs: string[] },
  work: (lines: LineWriter | undefined) => Promise<T>,
): Promise<T> {
  if (file === undefined) return work(undefined)
  await refuseInputs([file], options.inputs)
  const own = folder === undefined ? [] : files.map((name) => path.resolve(folder, name))
  if (own.includes(path.resolve(file)))
    throw usageError('OUTPUT_TWICE', `${file}: -o ${folder} writes this file too`, { file }, 'another name')
  return withFileClaim(file, options, async () => {
    const lines = await LineWriter.open(file, options.force)
    try {
      const result = await work(lines)
      await lines.commit()
      return result
    } finally {
      await lines.discard()
    }
  })
}

/**
 * Writes each file whole or not at all; what was new is taken back when a later one fails. In the end those of `all`
 * that are not among them are gone: they are of an earlier run.
 */
export async function writeOutput(
  folder: string,
  files: Record<string, string | Uint8Array>,
  force = false,
  all: readonly string[] = [],
): Promise<void> {
  const made = (await makeFolders(folder)).map((one) => () => rmdir(one))
  try {
    for (const [name, data] of Object.entries(files)) {
      const file = path.join(folder, name)
      made.push(...(await makeFolders(path.dirname(file))).map((one) => () => rmdir(one)))
      const replaces = await stat(file).then(
        () => true,
        () => false,
      )
      await writeFileAtomic(file, data, { force })
      if (!replaces) made.push(() => unlink(file))
    }
  } catch (error) {
    for (const undo of made.reverse()) await undo().catch(() => undefined)
    throw error
  }
  for (const name of all) if (!(name in files)) await unlink(path.join(folder, name)).catch(() => undefined)
}
