import { type ErrorDetails, inputError, type WarpError } from '../errors.js'

export interface Place {
  file: string
  /** physical line, from 1 */
  line?: number
  /** in UTF-16 units, from 1 */
  column?: number
  /** bytes from the start of the file */
  offset?: number
}

/** An input error whose message begins with its place, as compilers write it. */
export function errorAt(code: string, place: Place, message: string, hint: string, more: ErrorDetails = {}): WarpError {
  const { file, line, column, offset } = place
  const lines = line === undefined ? '' : column === undefined ? `:${line}` : `:${line}:${column}`
  const bytes = offset === undefined ? '' : ` at byte ${offset}`
  return inputError(code, `${file}${lines}${bytes}: ${message}`, { ...place, ...more }, hint)
}

/** What a JSON value is, for messages: "an array", "null", "a number (3)". */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  return `a ${typeof value} (${shorten(String(value))})`
}

/** At most 40 characters of a text. */
export function shorten(text: string): string {
  const characters = [...text.slice(0, 82)]
  return characters.length > 40 ? `${characters.slice(0, 39).join('')}…` : text
}

/** Names in quotes, at most `most` of them. */
export function list(names: readonly string[], most = 20): string {
  const shown = names
    .slice(0, most)
    .map((name) => `"${shorten(name)}"`)
    .join(', ')
  return names.length > most ? `${shown} and ${names.length - most} more` : shown
}

/** File and line of a record's source. */
export function placeOf(source: string): { file: string; line: number } {
  const colon = source.lastIndexOf(':')
  return { file: source.slice(0, colon), line: Number(source.slice(colon + 1)) }
}
