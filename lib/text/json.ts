import { describe, errorAt, list, type Place } from './place.js'
import { parseStrictJson } from '../checkpoint/json.js'
import type { WarpError } from '../errors.js'
import { jsonFault } from './json-position.js'
import { readLines } from './lines.js'
import { meant } from './nearest.js'
import { longestRecord, tooLong } from './source.js'
import { type Field, type Fields, fieldsOf } from './fields.js'
import type { Columns, Row, SourceFile } from './types.js'

type Spot = Required<Pick<Place, 'file' | 'line' | 'column'>>

/** A JSON object per line; blank lines are skipped. */
export async function* readJsonLines(
  chunks: AsyncIterable<Buffer>,
  file: SourceFile,
  columns: Columns,
): AsyncGenerator<Row[]> {
  const fields = fieldsOf(columns)
  let first = true
  for await (const lines of readLines(chunks, file.name)) {
    const rows: Row[] = []
    for (const { text, line } of lines) {
      if (text.trim() === '') continue
      rows.push(
        parseRow(text, { file: file.name, line, column: 1 }, columns, fields, first, 'one JSON object per line'),
      )
      first = false
    }
    yield rows
  }
}

/** The objects of one JSON array, wherever its line ends are. Memory: one piece and one object. */
export async function* readJsonArray(
  chunks: AsyncIterable<Buffer>,
  file: SourceFile,
  columns: Columns,
): AsyncGenerator<Row[]> {
  const scanner = new ArrayScanner(file.name)
  const fields = fieldsOf(columns)
  let first = true
  for await (const chunk of chunks) {
    const rows: Row[] = []
    for (const { text, place } of scanner.push(chunk.toString('utf8'))) {
      rows.push(parseRow(text, place, columns, fields, first, 'an array of objects'))
      first = false
    }
    yield rows
  }
  scanner.end()
}

function parseRow(text: string, place: Spot, columns: Columns, fields: Fields, first: boolean, form: string): Row {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalidJson(text, place, form)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw errorAt(
      'PROBES_NOT_OBJECT',
      place,
      `expected an object, found ${describe(value)}`,
      `write each row as {"${columns.text[0]}": "…", "${columns.label}": "…"}`,
      { found: describe(value) },
    )
  }
  const wanted = [...fields.text, fields.label, fields.domain]
  // of a value inside a column, the column: inside it the same name comes back
  if (wanted.some(({ top }) => mayBeTwice(text, JSON.stringify(top)))) refuseDuplicates(text, place)
  return rowOf(value as Record<string, unknown>, place, columns, fields, first)
}

/** What a row has in the columns. @param first a column that must be there is looked for in the first row alone */
export function rowOf(
  row: Record<string, unknown>,
  place: Place,
  columns: Columns,
  fields: Fields,
  first: boolean,
): Row {
  const pick = (field: Field, required: boolean): unknown => {
    if (required && first && field.column(Object.keys(row)) === undefined) {
      throw unknownColumn(field.name, Object.keys(row), place)
    }
    return field.pick(row)
  }
  return {
    line: place.line ?? 0,
    text: fields.text.map((field) => pick(field, true)),
    label: pick(fields.label, columns.labelRequired && !columns.labelOptional),
    domain: pick(fields.domain, columns.domainRequired),
  }
}

function mayBeTwice(text: string, key: string): boolean {
  const at = text.indexOf(key)
  return at >= 0 && text.indexOf(key, at + key.length) >= 0
}

/** `JSON.parse` takes the last of two values in silence; the strict reader tells, but is slow. */
function refuseDuplicates(text: string, place: Spot): void {
  try {
    parseStrictJson(Buffer.from(text), { file: place.file, prefix: 'PROBES' })
  } catch (error) {
    if ((error as WarpError).code !== 'PROBES_DUPLICATE_KEY') return
    throw errorAt('PROBES_DUPLICATE_KEY', place, 'the object has a key twice', 'remove one of the two')
  }
}

/** The error for a column that is asked for but not there. */
export function unknownColumn(column: string, columns: string[], place: Place, hint?: string): Error {
  return errorAt(
    'PROBES_COLUMN_UNKNOWN',
    place,
    `no column "${column}"; ${columns.length === 0 ? 'there are no columns' : `the columns are ${list(columns)}`}`,
    hint ?? meant(column, columns, 'name the columns with --text, --label and --domain'),
    { expected: column, found: columns.slice(0, 100) },
  )
}

function invalidJson(text: string, start: Spot, wanted: string): Error {
  const fault = jsonFault(text) ?? { index: 0, problem: 'no JSON' }
  const before = text.slice(0, fault.index)
  const lastBreak = before.lastIndexOf('\n')
  const place = {
    file: start.file,
    line: start.line + (before.split('\n').length - 1),
    column: lastBreak < 0 ? start.column + fault.index : fault.index - lastBreak,
  }
  return errorAt('PROBES_JSON_INVALID', place, `not JSON: ${fault.problem}`, `the file must hold ${wanted}`)
}

interface Element {
  text: string
  place: Spot
}

/** Cuts the text of a JSON array, given in pieces, into the texts of its elements; only brackets and strings count. */
class ArrayScanner {
  #line = 1
  /** columns before the current piece on its first line */
  #columns = 0
  #state: 'before' | 'first' | 'next' | 'element' | 'between' | 'after' = 'before'
  #element = ''
  #place: Spot
  #depth = 0
  #inString = false
  #escaped = false

  constructor(readonly file: string) {
    this.#place = { file, line: 1, column: 1 }
  }

  push(piece: string): Element[] {
    const elements: Element[] = []
    let elementStart = 0 // in this piece; an element that goes on from the last piece continues at 0
    let lineStart = -this.#columns
    for (let i = 0; i < piece.length; i++) {
      const code = piece.charCodeAt(i)
      if (code === 10) {
        this.#line++
        lineStart = i + 1
      }
      if (this.#state === 'element') {
        if (!this.#endsElement(code)) continue
        elements.push({ text: this.#element + piece.slice(elementStart, i + 1), place: this.#place })
        this.#element = ''
        this.#state = 'between'
      } else if (code !== 32 && code !== 10 && code !== 13 && code !== 9) {
        this.#place = { file: this.file, line: this.#line, column: i - lineStart + 1 }
        if (this.#outside(piece[i])) elementStart = i
      }
    }
    if (this.#state === 'element') {
      this.#element += piece.slice(elementStart)
      if (this.#element.length > longestRecord) throw this.#tooLong()
    }
    this.#columns = piece.length - lineStart
    return elements
  }

  /** Follows one character inside an element; true when it closes the element. */
  #endsElement(code: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false
      else if (code === 0x5c) this.#escaped = true
      else if (code === 0x22) this.#inString = false
    } else if (code === 0x22) {
      this.#inString = true
    } else if (code === 0x7b || code === 0x5b) {
      this.#depth++
    } else if (code === 0x7d || code === 0x5d) {
      return --this.#depth === 0
    }
    return false
  }

  /** A character outside elements; true when it opens one. */
  #outside(character: string): boolean {
    const state = this.#state
    if (state === 'before') {
      if (character !== '[') {
        throw errorAt(
          'PROBES_NOT_ARRAY',
          this.#place,
          `expected an array of objects, found "${character}"`,
          character === '{' ? 'one object per line is --format jsonl; else wrap the rows in [ ]' : 'is this JSON?',
        )
      }
      this.#state = 'first'
    } else if (state === 'after') {
      throw this.#unexpected(character, 'the end')
    } else if (character === ']' && state !== 'next') {
      this.#state = 'after'
    } else if (state === 'between') {
      if (character !== ',') throw this.#unexpected(character, '"," or "]"')
      this.#state = 'next'
    } else if (character === '{') {
      this.#state = 'element'
      this.#depth = 1
      return true
    } else {
      if (!/[["\-\dtfn]/.test(character)) throw this.#unexpected(character, 'an object')
      throw errorAt(
        'PROBES_NOT_OBJECT',
        this.#place,
        `expected an object, found a value that begins with "${character}"`,
        'write each row as an object with a text and a label',
      )
    }
    return false
  }

  /** After the last piece. */
  end(): void {
    if (this.#state === 'after' || this.#state === 'before') return
    if (this.#state === 'element') throw invalidJson(this.#element, this.#place, 'an array of objects')
    throw errorAt('PROBES_JSON_INVALID', this.#place, 'not JSON: the array is not closed', 'is the file complete?')
  }

  #unexpected(character: string, wanted: string): Error {
    return errorAt(
      'PROBES_JSON_INVALID',
      this.#place,
      `not JSON: "${character}" instead of ${wanted}`,
      'the file must hold an array of objects',
    )
  }

  #tooLong(): Error {
    const fault = jsonFault(this.#element)
    // Text that goes on is a fault at its end; one before that is why the element never closed.
    return fault !== undefined && fault.index < this.#element.length
      ? invalidJson(this.#element, this.#place, 'an array of objects')
      : tooLong(this.file, this.#place.line, 'the element', 'is a bracket or quote left open?')
  }
}
