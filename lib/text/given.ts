import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { usageError } from '../errors.js'
import { fieldsOf } from './fields.js'
import { rowOf } from './json.js'
import { describe, errorAt } from './place.js'
import type { Columns, ReadControl, ReadInput, Row, SourceFile } from './types.js'

/** Texts as a program has them: `{ text, label, domain }`, or other columns by the names that the options give. */
export type GivenTexts = Iterable<object> | AsyncIterable<object>
/** Files, folders, `-` for JSONL on stdin; or the texts themselves. */
export type ProbeSource = readonly string[] | GivenTexts

const rowsAtOnce = 1 << 10

/** @throws WarpError (usage) OPTION_TYPE for what is neither a list of paths nor of records */
export function isFiles(source: ProbeSource): source is readonly string[] {
  if (Array.isArray(source) && source.every((item) => typeof item === 'string')) return true
  if (typeof source === 'object' && source !== null && (Symbol.iterator in source || Symbol.asyncIterator in source)) {
    return false
  }
  throw usageError(
    'OPTION_TYPE',
    `texts must be a list of paths, or records in a list or an (async) iterable; found ${describe(source)}`,
    { found: describe(source) },
    "probes: ['FILE'], or probes: [{ text, label }]",
  )
}

/** Where records are said to stand: `records:17` is the 17th. */
export const givenFile: SourceFile = {
  path: undefined,
  name: 'records',
  format: 'jsonl',
  compression: undefined,
  domain: undefined,
  whole: false,
  input: 0,
}

/** Reads records; the hash is of their texts, labels and domains as lines of JSON. */
export class GivenReading {
  #size = 0
  readonly #hash = createHash('sha256')

  constructor(
    readonly source: GivenTexts,
    readonly control: ReadControl,
  ) {}

  async *rows(columns: Columns): AsyncGenerator<Row[]> {
    const fields = fieldsOf(columns)
    let rows: Row[] = []
    let line = 0
    for await (const record of this.source) {
      const place = { file: givenFile.name, line: ++line }
      if (typeof record !== 'object' || record === null || Array.isArray(record)) {
        throw errorAt('PROBES_NOT_OBJECT', place, `expected an object, found ${describe(record)}`, '{ text, label }')
      }
      const row = rowOf(record as Record<string, unknown>, place, columns, fields, line === 1)
      this.#count(row)
      rows.push(row)
      if (rows.length < rowsAtOnce) continue
      yield rows
      rows = []
      await nextTurn()
      this.control.signal?.throwIfAborted()
      this.control.onProgress?.({ phase: 'read', done: line, total: 0, unit: 'texts' })
    }
    if (rows.length > 0) yield rows
  }

  #count({ text, label, domain }: Row): void {
    const bytes = Buffer.from(`${JSON.stringify([...text, label, domain])}\n`)
    this.#size += bytes.length
    this.#hash.update(bytes)
  }

  inputs(): ReadInput[] {
    return [{ path: givenFile.name, size: this.#size, sha256: this.#hash.copy().digest('hex') }]
  }
}

/** What a result says that its texts were: the paths, or `records`. */
export const sourceNames = (source: ProbeSource | undefined): string[] => {
  if (source === undefined) return []
  return isFiles(source) ? [...source] : [givenFile.name]
}
