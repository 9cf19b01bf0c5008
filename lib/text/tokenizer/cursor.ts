import { inputError, type WarpError } from '../../errors.js'

/** The hint where a tokenizer's file is damaged. */
export const saveAgain =
  'Save the tokenizer again: AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY).'
/** The hint where a tokenizer is of another kind. */
export const supportedHint = 'Only BERT WordPiece and byte-level BPE tokenizers are read.'

/** A value of a JSON file that knows where it is, so that a complaint can say so. */
export class Cursor {
  constructor(
    readonly file: string,
    readonly path: string,
    readonly value: unknown,
  ) {}

  /** A field of an object; absent fields are `undefined` values. */
  field(name: string): Cursor {
    if (!this.isObject()) throw this.wrong('an object')
    const fields = this.value as Record<string, unknown>
    const value =
      this.value instanceof Map
        ? (this.value.get(name) as unknown)
        : Object.hasOwn(fields, name)
          ? fields[name]
          : undefined
    return new Cursor(this.file, this.path === '' ? name : `${this.path}.${name}`, value)
  }

  isObject(): boolean {
    return typeof this.value === 'object' && this.value !== null && !Array.isArray(this.value)
  }

  isNull(): boolean {
    return this.value === null || this.value === undefined
  }

  items(): Cursor[] {
    if (!Array.isArray(this.value)) throw this.wrong('an array')
    return this.value.map((item, i) => new Cursor(this.file, `${this.path}[${i}]`, item))
  }

  /** Of an object, or of the Map that `parseTokenizer` makes of one. */
  entries(): Iterable<[string, unknown]> {
    if (!this.isObject()) throw this.wrong('an object')
    return this.value instanceof Map ? (this.value as Map<string, unknown>) : Object.entries(this.value as object)
  }

  string(): string {
    if (typeof this.value !== 'string') throw this.wrong('a string')
    return this.value
  }

  boolean(absent?: boolean): boolean {
    if (this.value === undefined && absent !== undefined) return absent
    if (typeof this.value !== 'boolean') throw this.wrong('true or false')
    return this.value
  }

  /** A non-negative integer below `limit`. */
  integer(limit: number): number {
    if (!isIndex(this.value, limit)) throw this.wrong(`an integer from 0 to ${limit - 1}`)
    return this.value
  }

  /** The file is not what the format says: names the place, what stands there and what was expected. */
  wrong(expected: string): WarpError {
    const found = shown(this.value)
    return this.error('TOKENIZER_INVALID', `found ${found}, expected ${expected}`, { found, expected })
  }

  error(code: string, what: string, details: Record<string, unknown> = {}, hint = saveAgain): WarpError {
    const at = this.path === '' ? this.file : `${this.file}: ${this.path}`
    return inputError(code, `${at}: ${what}`, { file: this.file, component: this.path, ...details }, hint)
  }
}

export const isIndex = (value: unknown, limit: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < limit

/** A value as it may stand in a message: short, on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
