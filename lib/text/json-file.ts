import { readSmallFile } from '../checkpoint/files.js'
import { parseStrictJson } from '../checkpoint/json.js'
import { inputError, type WarpError } from '../errors.js'
import { jsonFault } from './json-position.js'
import { errorAt } from './place.js'

const largest = 2 ** 28

/**
 * Reads a JSON file that a person or this product wrote: a regular file of at most 256 MiB, faults named by line and
 * column; duplicate keys and bytes that are not UTF-8 are refused; objects have no prototype. Codes:
 * `PREFIX_UNREADABLE`, `PREFIX_NOT_JSON`, `PREFIX_NOT_UTF8`, `PREFIX_DUPLICATE_KEY`.
 * @param example for hints: what the file should look like
 */
export async function readJsonFile(file: string, prefix: string, example: string): Promise<unknown> {
  const bytes = await readSmallFile(file, largest).catch((error: WarpError) => {
    throw inputError(`${prefix}_UNREADABLE`, error.message, { ...error.details, file }, error.hint)
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
