import { constants } from 'node:fs'
import { access, mkdir, readdir, rmdir, stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import { writeFileAtomic } from '../lib/checkpoint/atomic.js'
import { resourceError, usageError } from '../lib/errors.js'

/** Refuses, before any work, a folder that cannot be written, or already holds one of the files, unless `force`. */
export async function checkOutput(folder: string, files: string[], force = false): Promise<void> {
  if (folder === '') throw usageError('OUTPUT_EMPTY', 'the output folder has no name', {}, '-o out')
  const [nearest] = await missingFolders(folder)
  await access(nearest, constants.W_OK | constants.X_OK).catch((cause: unknown) => { throw notWritable(folder, cause) })
  const there = await readdir(folder).catch(() => [] as string[])
  const taken = files.find((file) => there.includes(file))
  if (taken && !force) throw usageError('OUTPUT_EXISTS', `${path.join(folder, taken)} is already there`, { file: path.join(folder, taken) }, 'another folder, or --force')
}

/** Writes each file whole or not at all; what was new is taken back when a later one fails. */
export async function writeOutput(folder: string, files: Record<string, string | Uint8Array>, force = false): Promise<void> {
  const made = (await makeFolders(folder)).map((one) => () => rmdir(one))
  try {
    for (const [name, data] of Object.entries(files)) {
      const file = path.join(folder, name)
      const replaces = await stat(file).then(() => true, () => false)
      await writeFileAtomic(file, data, { force })
      if (!replaces) made.push(() => unlink(file))
    }
  } catch (error) {
    for (const undo of made.reverse()) await undo().catch(() => undefined)
    throw error
  }
}

/** Makes a folder and those it lies in; gives those that were new, outermost first. */
export async function makeFolders(folder: string): Promise<string[]> {
  const [, missing] = await missingFolders(folder)
  for (const one of missing) await mkdir(one).catch((cause: unknown) => { throw notWritable(folder, cause) })
  return missing
}

/** The nearest folder that is there, and those to be made, outermost first (mkdir's own recursion never ends on /proc). */
async function missingFolders(folder: string): Promise<[nearest: string, missing: string[]]> {
  const missing: string[] = []
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const found = await stat(at).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw notWritable(folder, cause)
    })
    if (found?.isDirectory()) return [at, missing]
    if (found) throw notWritable(folder, { code: 'ENOTDIR' })
    missing.unshift(at)
  }
}

function notWritable(folder: string, cause: unknown): Error {
  const { code } = cause as NodeJS.ErrnoException
  return resourceError('OUTPUT_NOT_WRITABLE', `${folder}: cannot be written (${code})`, { file: folder, found: code }, 'a folder that you may write to')
}
