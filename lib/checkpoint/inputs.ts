import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { localFolder } from '../hub/index.js'
import type { RunOptions } from '../native/task.js'
import { fileRecord, type FileRecord } from './files.js'
import { hashFiles } from './hash.js'
import { openModel } from './model.js'
import { stat } from '../stat.js'

/** A file that went in. */
export interface InputFile {
  role: string
  path: string
  /** bytes */
  size: number
  sha256: string
}

/** What was given under a role: a model, or files of texts; folders of texts and `-` are left out. */
export interface GivenInput {
  role: string
  model?: string
  files?: readonly string[]
}

/** The small files of a model directory that decide what its weights mean. */
const small = ['config.json', 'adapter_config.json', 'tokenizer.json']

/** The files that a result goes by, with their hashes: weights, config, tokenizer, texts. */
export async function hashGiven(given: readonly GivenInput[], options: RunOptions = {}): Promise<InputFile[]> {
  const records: (FileRecord & { role: string })[] = []
  for (const { role, model, files = [] } of given) {
    const paths = [...(model === undefined ? [] : await modelFiles(model)), ...files]
    for (const path of paths) {
      const isFile = await stat(path).then(
        (found) => found.isFile(),
        () => false,
      )
      if (isFile) records.push({ role, ...(await fileRecord(path)) })
    }
  }
  const hashed = await hashFiles(records, options)
  return hashed.map(({ role, path, size, sha256 }) => ({ role, path, size, sha256 }))
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
