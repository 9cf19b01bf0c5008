import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { localFolder } from '../hub/index.js'
import type { WarpError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { fileRecord, type FileRecord } from './files.js'
import { fileSha256, type Progress } from './hash.js'
import { openModel } from './model.js'

/** A file that went in. */
export interface InputFile {
  role: string
  path: string
  /** bytes */
  size: number
  /** null where the file changed since the work began */
  sha256: string | null
}

/** What was given under a role: a model, or files of texts as they were when the work began. */
export interface GivenInput {
  role: string
  model?: string
  files?: readonly FileRecord[]
}

/** Files as they are now; folders, `-` and what is not there are left out. */
export async function filesNow(paths: readonly string[] = []): Promise<FileRecord[]> {
  const records = await Promise.all(paths.map((path) => fileRecord(path).catch(() => undefined)))
  return records.filter((record) => record !== undefined)
}

/** The small files of a model directory that decide what its weights mean. */
const small = ['config.json', 'adapter_config.json', 'tokenizer.json']

/**
 * The files that a result goes by, with their hashes: weights, config, tokenizer, texts; no hash of bytes that the work
 * did not use.
 */
export async function hashGiven(given: readonly GivenInput[], options: RunOptions = {}): Promise<InputFile[]> {
  const records: (FileRecord & { role: string })[] = []
  for (const { role, model, files = [] } of given) {
    const own = model === undefined ? [] : await filesNow(await modelFiles(model))
    for (const record of [...own, ...files]) records.push({ role, ...record })
  }
  const total = records.reduce((sum, { size }) => sum + size, 0)
  const hashed: InputFile[] = []
  let before = 0
  for (const { role, ...expected } of records) {
    const { path, size } = expected
    const from = before
    const onProgress = ({ done }: Progress): void =>
      options.onProgress?.({ phase: 'hash', done: from + done, total, unit: 'bytes' })
    const sha256 = await fileSha256(path, { signal: options.signal, onProgress, expected }).catch(
      (error: WarpError) => {
        if (error.code === 'FILE_CHANGED' || error.code === 'FILE_NOT_FOUND') return null
        throw error
      },
    )
    hashed.push({ role, path, size, sha256 })
    before += size
  }
  return hashed
}

/** Weights of a model or an adapter, and what decides their meaning. */
async function modelFiles(given: string): Promise<string[]> {
  const { dir } = await localFolder(given, 'model')
  const weights = await openModel(dir, { forward: false }).then(
    ({ files }) => files.map(({ path }) => path),
    async () => (await readdir(dir)).filter((name) => name.endsWith('.safetensors')).map((name) => join(dir, name)),
  )
  return [...weights, ...smallFiles(dir)]
}

/** Where the small files of a model would be. */
export const smallFiles = (dir: string): string[] => small.map((name) => join(dir, name))
