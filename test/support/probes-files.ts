import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readRecords } from '../../lib/text/index.js'
import type { ProbeOptions, ReadControl, TextRecord } from '../../lib/text/index.js'
import type { WarpError } from '../../lib/errors.js'

/** A folder for the files of one test file; removed after its tests. */
export const folder = mkdtempSync(join(tmpdir(), 'warp-probes-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Writes a file (folders are made) and returns its path. */
export function write(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

export async function all(
  sources: string[],
  options: ProbeOptions = {},
  control: ReadControl = {},
): Promise<TextRecord[]> {
  const records: TextRecord[] = []
  for await (const record of readRecords(sources, options, control)) records.push(record)
  return records
}

/** The error a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<WarpError> {
  try {
    await promise
  } catch (error) {
    return error as WarpError
  }
  throw new Error('nothing was refused')
}
