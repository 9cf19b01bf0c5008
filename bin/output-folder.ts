import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { writeFileAtomic } from '../lib/checkpoint/index.js'
import { usageError } from '../lib/errors.js'

/** Refuses, before any work, a folder that already holds one of the files, unless `force`. */
export async function checkOutput(folder: string, files: string[], force = false): Promise<void> {
  const there = await readdir(folder).catch(() => [] as string[])
  const taken = files.find((file) => there.includes(file))
  if (taken && !force) throw usageError('OUTPUT_EXISTS', `${path.join(folder, taken)} is already there`, { file: path.join(folder, taken) }, 'another folder, or --force')
}

/** Writes each file whole or not at all. */
export async function writeOutput(folder: string, files: Record<string, string | Uint8Array>, force = false): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [name, data] of Object.entries(files)) await writeFileAtomic(path.join(folder, name), data, { force })
}
