import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { WarpError } from '../errors.js'
import { assertUnchanged, fileRecord, type FileRecord } from './files.js'

/** What of a model directory decides results. */
const read = /(\.safetensors|\.json|\.txt|\.model|\.jinja)$/

/** The files of model directories as they are now; what cannot be read is left to those who read it. */
async function recordsOf(dirs: readonly string[]): Promise<FileRecord[]> {
  const records: FileRecord[] = []
  for (const dir of dirs) {
    for (const name of (await readdir(dir).catch(() => [])).filter((one) => read.test(one))) {
      const record = await fileRecord(join(dir, name)).catch(() => undefined)
      if (record) records.push(record)
    }
  }
  return records
}

/**
 * Runs work on model directories and looks at their files before and after it: by then a result may be made of two
 * versions, and an error be that of half a file.
 * @throws WarpError (input) FILE_CHANGED; else what `work` throws
 */
export async function whileUnchanged<T>(dirs: readonly string[], work: () => Promise<T>): Promise<T> {
  const records = await recordsOf(dirs)
  let result: T
  try {
    result = await work()
  } catch (error) {
    if ((error as WarpError | undefined)?.kind === 'input') await assertUnchanged(records)
    throw error
  }
  await assertUnchanged(records)
  return result
}
