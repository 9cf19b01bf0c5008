import { createHash } from 'node:crypto'
import { assertUnchanged, readExactly, withFile } from './files.js'

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
}

/**
 * SHA-256 of a file's bytes, in lower-case hexadecimal; memory use does not depend on its size.
 * @throws the signal's reason when aborted; WarpError FILE_NOT_FOUND, FILE_CHANGED
 */
export function fileSha256(path: string, { signal, onProgress }: HashOptions = {}): Promise<string> {
  return withFile(path, async (handle, record) => {
    const hash = createHash('sha256')
    for (let done = 0; done < record.size;) {
      signal?.throwIfAborted()
      const piece = await readExactly(handle, path, done, Math.min(1 << 20, record.size - done))
      hash.update(piece)
      done += piece.length
      onProgress?.({ phase: 'hash', done, total: record.size, unit: 'bytes' })
    }
    await assertUnchanged([record])
    return hash.digest('hex')
  })
}
