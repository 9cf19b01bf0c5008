import { mkdir, statfs } from 'node:fs/promises'
import path from 'node:path'
import { resourceError } from './errors.js'
import { stat } from './stat.js'

/**
 * Makes a folder and those it lies in; gives those that were new, outermost first. (The recursion of Node's own `mkdir`
 * never ends under /proc.)
 * @throws WarpError (resource) OUTPUT_NOT_WRITABLE
 */
export async function makeFolders(folder: string): Promise<string[]> {
  const [, missing] = await missingFolders(folder)
  for (const one of missing) {
    await mkdir(one).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw notWritable(folder, cause) // another process was faster
    })
  }
  return missing
}

/** The nearest folder that is there, and those to be made, outermost first. @throws OUTPUT_NOT_WRITABLE */
export async function missingFolders(folder: string): Promise<[nearest: string, missing: string[]]> {
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

/** Bytes free where `file` is or would be. */
export async function freeSpace(file: string): Promise<number> {
  for (let at = path.resolve(file); ; at = path.dirname(at)) {
    const found = await statfs(at).catch(() => undefined)
    if (found) return found.bavail * found.bsize
    if (at === path.dirname(at)) return 0
  }
}

/** Of a folder, or a file in one. */
export function notWritable(target: string, cause: unknown): Error {
  const { code } = cause as NodeJS.ErrnoException
  return resourceError(
    'OUTPUT_NOT_WRITABLE',
    `${target}: cannot be written (${code})`,
    { file: target, found: code },
    'a folder that you may write to',
  )
}
