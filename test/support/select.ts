import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** SHA-256 of the files of features of a selection, by name. */
export function featureDigests(output: string, names = /./): Record<string, string> {
  const folder = join(output, 'features')
  const hash = (name: string): string =>
    createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')
  const found = readdirSync(folder).filter((name) => names.test(name))
  return Object.fromEntries(found.sort().map((name) => [name, hash(name)]))
}
