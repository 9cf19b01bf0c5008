import { isUtf8 } from 'node:buffer'
import { inputError, type WarpError } from '../errors.js'

export type Json = null | boolean | number | string | Json[] | JsonObject
/** Objects have no prototype, so that a key such as `__proto__` or `toString` is a key like any other. */
export interface JsonObject {
  [key: string]: Json
}

export interface StrictJsonOptions {
  /** for errors */
  file: string
  /** error codes are `PREFIX_NOT_JSON`, `PREFIX_NOT_UTF8`, `PREFIX_DUPLICATE_KEY`, `PREFIX_INTEGER_TOO_LARGE` */
  prefix: string
  /** where the text starts in the file, bytes; default 0 */
  fileOffset?: number
  /**
   * Only plain non-negative integers are numbers: `1.0`, `1e2` and `-1` come back as NaN for the caller to refuse by
   * name, and integers above 2^53 are an error (JSON.parse would round them). Default false: any JSON number.
   */
  integersOnly?: boolean
}

const MAX_DEPTH = 64
const plain = /[^"\\\u0000-\u001f]*/y
const blank = /[ \t\n\r]*/y
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const words = new Map([
  ['t', true],
  ['f', false],
  ['n', null],
])
const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/**
 * Reads one JSON text (RFC 8259) with the checks that `JSON.parse` lacks: duplicate keys at any level are refused,
 * integers are never rounded (with `integersOnly`), unpaired surrogates and bytes that are not UTF-8 are refused.
 * A byte-order mark is not white space.
 *
 * @throws WarpError (input) that names file and byte offset
 */
export function parseStrictJson(bytes: Uint8Array, options: StrictJsonOptions): Json {
  return new Parser(decode(bytes, options), options).document()
}

function decode(bytes: Uint8Array, options: StrictJsonOptions): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    const offset = (options.fileOffset ?? 0) + firstInvalidByte(bytes)
    throw inputError(
      `${options.prefix}_NOT_UTF8`,
      `${options.file}: not UTF-8 at byte ${offset}; expected UTF-8 JSON`,
      { file: options.file, offset, expected: 'UTF-8' },
      'Download or export the file again.',
    )
  }
}

/** Length of the longest prefix that decodes, by bisection; only on the way to an error. */
function firstInvalidByte(bytes: Uint8Array): number {
  let good = 0
  let bad = bytes.length
  while (good + 1 < bad) {
    const middle = (good + bad) >> 1
    try {
      // stream: a sequence cut by the bisection itself is not an error
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle), { stream: true })
      good = middle
    } catch {
      bad = middle
    }
  }
  // the prefix may end within the sequence that turns out bad
  while (!isUtf8(bytes.subarray(0, good))) good--
  return good
}

class Parser {
  private at = 0
  private depth = 0

  constructor(
    private readonly text: string,
    private readonly options: StrictJsonOptions,
  ) {}

  document(): Json {
    const value = this.value()
    this.skip(blank)
    if (this.at < this.text.length) throw this.error('NOT_JSON', 'text after the end of the JSON value')
    return value
  }

  private error(code: string, what: string, at = this.at): WarpError {
    const { file, prefix, fileOffset = 0 } = this.options
    const offset = fileOffset + Buffer.byteLength(this.text.slice(0, at))
    return inputError(
      `${prefix}_${code}`,
      `${file}: ${what} at byte ${offset}`,
      { file, offset, found: what },
      'The file is damaged or was not written by a JSON library; download or export it again.',
    )
  }

  private skip(pattern: RegExp): string {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)?.[0] ?? ''
    this.at += found.length
    return found
  }

  private value(): Json {
    this.skip(blank)
    const c = this.text[this.at]
    if (c === '{' || c === '[') {
      if (++this.depth > MAX_DEPTH) throw this.error('NOT_JSON', `more than ${MAX_DEPTH} nested levels`)
      const value = c === '{' ? this.object() : this.array()
      this.depth--
      return value
    }
    if (c === '"') return this.string()
    const word = words.get(c ?? '')
    if (word === undefined || !this.text.startsWith(String(word), this.at)) return this.number()
    this.at += String(word).length
    return word
  }

  private number(): number {
    const start = this.at
    const literal = this.skip(number)
    if (literal === '') {
      const c = this.text[this.at]
      throw this.error('NOT_JSON', c === undefined ? 'the JSON text ends too early' : `unexpected ${JSON.stringify(c)}`)
    }
    if (!this.options.integersOnly) return Number(literal)
    if (!/^[0-9]+$/.test(literal)) return NaN
    const value = Number(literal)
    if (!Number.isSafeInteger(value)) {
      throw this.error('INTEGER_TOO_LARGE', `integer ${literal.slice(0, 40)} above 2^53 - 1`, start)
    }
    return value
  }

  private array(): Json[] {
    const result: Json[] = []
    this.at++
    this.skip(blank)
    if (this.text[this.at] === ']') {
      this.at++
      return result
    }
    for (;;) {
      result.push(this.value())
      if (this.separator(']')) return result
    }
  }

  private object(): JsonObject {
    const result: JsonObject = Object.create(null)
    this.at++
    this.skip(blank)
    if (this.text[this.at] === '}') {
      this.at++
      return result
    }
    for (;;) {
      this.skip(blank)
      const start = this.at
      if (this.text[this.at] !== '"') throw this.error('NOT_JSON', 'expected a key in double quotes')
      const key = this.string()
      if (key in result) throw this.error('DUPLICATE_KEY', `duplicate key ${JSON.stringify(key)}`, start)
      this.skip(blank)
      if (this.text[this.at] !== ':') throw this.error('NOT_JSON', 'expected ":" after a key')
      this.at++
      result[key] = this.value()
      if (this.separator('}')) return result
    }
  }

  /** True at the closing bracket, false after a comma. */
  private separator(close: string): boolean {
    this.skip(blank)
    const c = this.text[this.at]
    if (c !== ',' && c !== close) {
      throw this.error('NOT_JSON', c === undefined ? 'the JSON text ends too early' : `expected "," or "${close}"`)
    }
    this.at++
    return c === close
  }

  private string(): string {
    const start = this.at++
    let result = this.skip(plain)
    while (this.text[this.at] !== '"') {
      if (this.text[this.at] !== '\\') {
        const ended = this.at >= this.text.length
        throw this.error('NOT_JSON', ended ? 'the JSON text ends inside a string' : 'raw control character in a string')
      }
      result += this.escape() + this.skip(plain)
    }
    this.at++
    if (/\p{Cs}/u.test(result)) throw this.error('NOT_JSON', 'unpaired surrogate in a string', start)
    return result
  }

  private escape(): string {
    const c = this.text[this.at + 1]
    if (c === 'u') {
      const hex = this.text.slice(this.at + 2, this.at + 6)
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.error('NOT_JSON', 'bad \\u escape')
      this.at += 6
      return String.fromCharCode(parseInt(hex, 16))
    }
    const result = escapes[c ?? '']
    if (result === undefined) throw this.error('NOT_JSON', 'bad escape in a string')
    this.at += 2
    return result
  }
}

/** A value as JSON for a message, at most 60 characters; "missing" for undefined. */
export function brief(value: Json | undefined): string {
  return JSON.stringify(value)?.slice(0, 60) ?? 'missing'
}

/** True for `{…}`; arrays and null are not objects. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
