import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { readSmallFile } from './files.js'
import { assertInside, listDirectory } from './locate.js'

/** A file of a model directory that is neither weights nor configuration, on its way into another one. */
export interface CarriedFile {
  name: string
  path: string
  bytes: Buffer
  sha256: string
}

const largest = 2 ** 28

/**
 * Reads those of `names` that are in a model directory: regular files inside it, of at most 256 MiB each.
 * @throws WarpError (input) CARRIED_LINK_ESCAPES, FILE_NOT_REGULAR, FILE_TOO_LARGE, FILE_UNREADABLE
 */
export async function readCarried(dir: string, names: readonly string[]): Promise<CarriedFile[]> {
  const there = new Set(await listDirectory(dir))
  const files: CarriedFile[] = []
  for (const name of names.filter((one) => there.has(one))) {
    const path = join(dir, name)
    await assertInside(dir, path, 'CARRIED_LINK_ESCAPES')
    const bytes = await readSmallFile(path, largest)
    files.push({ name, path, bytes, sha256: createHash('sha256').update(bytes).digest('hex') })
  }
  return files
}
