import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { assertUnchanged, readExactly, withFile, type FileRecord } from './files.js'

export interface Progress {
  phase: string
  done: number
  total: number
  unit: string
}

export interface HashOptions {
  signal?: AbortSignal
  /** called after each mebibyte read; `done` and `total` in bytes */
  onProgress?: (progress: Progress) => void
  /** the file as it was opened earlier: FILE_CHANGED when it is another now */
  expected?: FileRecord
}

const trusted = new Map<string, string>()
const keyOf = ({ path, size, mtimeMs }: FileRecord): string => JSON.stringify([resolve(path), size, mtimeMs])

/** From now on `fileSha256` believes this process that a file of this size and time has this hash. */
export function trustHash({ sha256, ...record }: FileRecord & { sha256: string }): void {
  trusted.set(keyOf(record), sha256)
}

/**
 * SHA-256 of a file's bytes, in lower-case hexadecimal; memory use does not depend on its size.
 * @throws the signal's reason when aborted; WarpError FILE_NOT_FOUND, FILE_CHANGED
 */
export function fileSha256(path: string, { signal, onProgress, expected }: HashOptions = {}): Promise<string> {
  return withFile(
    path,
    async (handle, record) => {
      const known = trusted.get(keyOf(record))
      if (known !== undefined) return known
      const hash = createHash('sha256')
      const block = Buffer.allocUnsafe(Math.min(1 << 20, record.size))
      for (let done = 0; done < record.size; ) {
        signal?.throwIfAborted()
        const piece = await readExactly(handle, path, done, Math.min(block.length, record.size - done), block)
        hash.update(piece)
        done += piece.length
        onProgress?.({ phase: 'hash', done, total: record.size, unit: 'bytes' })
      }
      await assertUnchanged([record])
      return hash.digest('hex')
    },
    expected,
  )
}

/** SHA-256 of several files in turn, with the progress of all. @throws as `fileSha256` */
export async function hashFiles<File extends FileRecord>(
  files: readonly File[],
  { signal, onProgress }: HashOptions = {},
): Promise<(File & { sha256: string })[]> {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const hashed: (File & { sha256: string })[] = []
  let before = 0
  for (const file of files) {
    const from = before
    const told =
      onProgress && (({ done }: Progress) => onProgress({ phase: 'hash', done: from + done, total, unit: 'bytes' }))
    hashed.push({ ...file, sha256: await fileSha256(file.path, { signal, onProgress: told, expected: file }) })
    before += file.size
  }
  return hashed
}
