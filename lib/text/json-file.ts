import { readFile } from 'node:fs/promises'
import { parseStrictJson } from '../checkpoint/json.js'
import { inputError } from '../errors.js'
import { jsonFault } from './json-position.js'
import { errorAt } from './place.js'

/**
 * Reads a small JSON file that a person wrote: faults are named by line and column; duplicate keys and bytes that are
 * not UTF-8 are refused. Codes: `PREFIX_UNREADABLE`, `PREFIX_NOT_JSON`, `PREFIX_NOT_UTF8`, `PREFIX_DUPLICATE_KEY`.
 * @param example for hints: what the file should look like
 */
export async function readJsonFile(file: string, prefix: string, example: string): Promise<unknown> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    const found = error.code
    throw inputError(`${prefix}_UNREADABLE`, `${file}: cannot be read (${found})`, { file, found }, 'check the path')
  })
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  const json = bytes.subarray(marked ? 3 : 0)
  const text = json.toString('utf8')
  const fault = jsonFault(text)
  if (fault !== undefined) {
    const before = text.slice(0, fault.index).split('\n')
    const place = { file, line: before.length, column: before[before.length - 1].length + 1 }
    throw errorAt(`${prefix}_NOT_JSON`, place, `not JSON: ${fault.problem}`, `expected ${example}`)
  }
  return parseStrictJson(json, { file, prefix, fileOffset: marked ? 3 : 0 })
}
