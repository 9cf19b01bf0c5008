import { type CsvError, Parser } from 'csv-parse'
import { unknownColumn } from './json.js'
import { nearest } from './nearest.js'
import { errorAt, list, shorten } from './place.js'
import { longestRecord, tooLong } from './source.js'
import type { Columns, Row, SourceFile } from './types.js'

interface Cells {
  cells: string[]
  line: number
}

/** CSV (RFC 4180; quotes doubled inside quotes, line ends inside quotes) or the same with tabs. */
export async function* readCsv(
  chunks: AsyncIterable<Buffer>,
  file: SourceFile,
  columns: Columns,
  notes: string[] = [],
): AsyncGenerator<Row[]> {
  const { rest, quotes, note } = await decideQuotes(chunks, file, columns.quotes)
  if (note !== undefined) notes.push(`${file.name}: ${note}`)
  let header = columns.names === undefined ? undefined : new Header(columns.names, 0, file, columns)
  let headerOnly = false
  for await (const records of readCells(rest, file, { quotes, spans: columns.quotes !== undefined })) {
    const rows: Row[] = []
    headerOnly = header === undefined && records.length === 1
    for (const { cells, line } of records) {
      if (header === undefined) header = new Header(cells, line, file, columns)
      else rows.push(header.row(cells, line))
    }
    if (rows.length > 0) yield rows
  }
  if (headerOnly) {
    throw errorAt('PROBES_HEADER_ONLY', { file: file.name }, 'there is a header but no row', 'is the file complete?')
  }
}

/** Bytes of the beginning of a file that say whether its fields stand in quotes. */
const decidingBytes = 1 << 16

/** Whether fields stand in quotes: as asked for; in CSV always; in TSV unless its beginning says otherwise. */
async function decideQuotes(
  chunks: AsyncIterable<Buffer>,
  file: SourceFile,
  asked: boolean | undefined,
): Promise<{ rest: AsyncIterable<Buffer>; quotes: boolean; note?: string }> {
  if (asked !== undefined || file.format !== 'tsv') return { rest: chunks, quotes: asked ?? true }
  const iterator = chunks[Symbol.asyncIterator]()
  const head: Buffer[] = []
  let size = 0
  let ended = false
  while (size < decidingBytes && !ended) {
    const { value, done } = await iterator.next()
    ended = done === true
    if (!ended) {
      head.push(value as Buffer)
      size += (value as Buffer).length
    }
  }
  async function* again(): AsyncGenerator<Buffer> {
    yield* head
    if (!ended) yield* { [Symbol.asyncIterator]: () => iterator }
  }
  const text = Buffer.concat(head).toString('utf8')
  const quotes = inQuotes(text, ended)
  if (!text.includes('"')) return { rest: again(), quotes }
  const note = quotes
    ? 'quotes around fields are not part of the texts (--no-quotes: they are)'
    : 'quotes are part of the texts, since not every field that has some is in quotes (--quotes: they are not)'
  return { rest: again(), quotes, note }
}

/** Whether every quote in the beginning of a TSV opens or closes a field, or is doubled inside one. */
function inQuotes(text: string, whole: boolean): boolean {
  const separates = (at: number): boolean => at < 0 || at >= text.length || '\t\n\r'.includes(text[at])
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    if (!separates(at - 1)) return false
    let close = text.indexOf('"', at + 1)
    while (close >= 0 && text[close + 1] === '"') close = text.indexOf('"', close + 2)
    // one that is open at the end may close on the same line further on
    if (close < 0) return !whole && !text.includes('\n', at)
    if (!separates(close + 1)) return false
    at = close + 1
  }
  return true
}

/** Which cell is which, and how many there must be. */
class Header {
  readonly #text: number[]
  readonly #label: number
  readonly #domain: number

  /** @param line where the names stand, 0 where they were given */
  constructor(
    readonly names: string[],
    readonly line: number,
    readonly file: SourceFile,
    readonly columns: Columns,
  ) {
    this.#text = columns.text.map((column) => this.#index(column, true))
    this.#label = this.#index(columns.label, columns.labelRequired)
    this.#domain = this.#index(columns.domain, columns.domainRequired)
  }

  #index(column: string, required: boolean): number {
    const index = this.names.indexOf(column)
    const place = this.line === 0 ? { file: this.file.name } : { file: this.file.name, line: this.line }
    if (index < 0 && required) throw unknownColumn(column, this.names, place, this.#hint(column))
    if (index >= 0 && this.names.indexOf(column, index + 1) >= 0) {
      throw errorAt('PROBES_COLUMN_TWICE', place, `two columns are named "${column}"`, 'rename one of them')
    }
    return index
  }

  #hint(column: string): string {
    const near = nearest(column, this.names)
    if (near !== undefined) return `did you mean "${near}"?`
    if (this.line === 0) return `--columns must name it: ${this.names.join(',')}`
    const delimiter = [',', '\t', ';', '|'].find((mark) => this.names.length === 1 && this.names[0].includes(mark))
    if (delimiter === '\t') return '--format tsv: the columns are separated by tabs'
    if (delimiter === ',') return '--format csv: the columns are separated by commas'
    if (delimiter !== undefined) return `the columns are separated by "${delimiter}"; convert them to commas`
    return 'name the columns with --text and --label, or with --columns if the file has no header'
  }

  row(cells: string[], line: number): Row {
    const { names, file } = this
    if (cells.length !== names.length) {
      throw errorAt(
        'PROBES_RAGGED_ROW',
        { file: file.name, line },
        `expected ${names.length} columns, found ${cells.length}`,
        'quote fields that hold the separator, and double the quotes inside them',
        { expected: names.length, found: cells.length },
      )
    }
    if (this.line === 0 && cells.every((cell, i) => cell === names[i])) {
      throw errorAt(
        'PROBES_HEADER_TWICE',
        { file: file.name, line },
        `the file has the header ${list(names)} itself`,
        'leave --columns out',
      )
    }
    const cell = (index: number): string | undefined => (index < 0 ? undefined : cells[index])
    return { line, text: this.#text.map(cell), label: cell(this.#label), domain: cell(this.#domain) }
  }
}

/** Rows as cells, with the physical line on which each begins; blank lines are skipped. */
async function* readCells(
  chunks: AsyncIterable<Buffer>,
  file: SourceFile,
  { quotes, spans }: { quotes: boolean; spans: boolean },
): AsyncGenerator<Cells[]> {
  const tabs = file.format === 'tsv'
  const delimiter = tabs ? '\t' : ','
  let found: { cells: string[]; end: number }[] = []
  const parser = new Parser({
    delimiter,
    record_delimiter: ['\r\n', '\n', '\r'],
    quote: quotes ? '"' : null,
    escape: quotes ? '"' : null,
    skip_empty_lines: true,
    relax_column_count: true,
    // Nothing is queued in the stream: rows are taken as they are found, with the byte after their end.
    on_record: (cells: string[], { bytes }: { bytes: number }) => {
      found.push({ cells, end: bytes })
      return undefined
    },
  })
  parser.on('error', () => {}) // it reaches the callbacks below
  const rest = new Remainder(file.name, delimiter, quotes)
  const take = (): Cells[] => {
    const records = found.map(({ cells, end }) => ({ cells, line: rest.advance(end, tabs && !spans) }))
    found = []
    return records
  }
  const feed = (chunk: Buffer | undefined): Promise<CsvError | undefined> =>
    new Promise((resolve) => {
      const done = (error?: Error | null): void => resolve((error as CsvError | null | undefined) ?? undefined)
      if (chunk === undefined) parser.end(done)
      else parser.write(chunk, done)
    })
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue
    rest.append(chunk)
    const error = await feed(chunk)
    const records = take()
    if (records.length > 0) yield records
    if (error !== undefined) throw rest.error(error)
    rest.checkLength()
  }
  const error = await feed(undefined)
  const records = take()
  if (records.length > 0) yield records
  if (error !== undefined) throw rest.error(error)
}

const quote = 0x22
const newline = 0x0a
const carriageReturn = 0x0d

/** The bytes that no finished row covers, and the physical line on which they begin. */
class Remainder {
  /** joined only when a row ends or fails: a row may span hundreds of them */
  #pieces: Buffer[] = []
  #size = 0
  #start = 0
  #line = 1

  constructor(
    readonly file: string,
    readonly delimiter: string,
    readonly quotes: boolean,
  ) {}

  append(chunk: Buffer): void {
    this.#pieces.push(chunk)
    this.#size += chunk.length
  }

  get #bytes(): Buffer {
    if (this.#pieces.length !== 1) this.#pieces = [Buffer.concat(this.#pieces)]
    return this.#pieces[0]
  }

  /** Leaves the row that ends at byte `end` of the file; its first line. @param single it must not go on in another */
  advance(end: number, single: boolean): number {
    this.#skipBlank()
    const line = this.#line
    this.#skip(end - this.#start)
    if (single && this.#line > line + 1) {
      throw errorAt(
        'PROBES_QUOTE_SPANS',
        { file: this.file, line },
        `a quote that opens on this line closes ${this.#line - line - 1} lines later`,
        '--no-quotes if quotes are part of the texts; --quotes if texts hold line ends',
        { found: this.#line - 1 },
      )
    }
    return line
  }

  #skipBlank(): void {
    const bytes = this.#bytes
    let blank = 0
    while (bytes[blank] === newline || bytes[blank] === carriageReturn) blank++
    this.#skip(blank)
  }

  #skip(length: number): void {
    const bytes = this.#bytes
    this.#line += lineBreaks(bytes, length)
    this.#pieces = [bytes.subarray(length)]
    this.#size -= length
    this.#start += length
  }

  checkLength(): void {
    if (this.#size <= longestRecord) return
    this.#skipBlank()
    const fault = this.#quoteFault()
    if (fault?.kind === 'unclosed') throw this.#unclosed(fault.opened)
    throw tooLong(this.file, this.#line, 'the row', 'is this CSV with line ends? see --format')
  }

  /** The error with its place, which the parser knows only roughly. */
  error(cause: CsvError): Error {
    this.#skipBlank()
    const fault = this.#quoteFault()
    if (fault === undefined) {
      return errorAt(
        'PROBES_CSV_INVALID',
        { file: this.file, line: this.#line },
        shorten(cause.message),
        'is this CSV?',
      )
    }
    if (fault.kind === 'unclosed') return this.#unclosed(fault.opened)
    const opened = fault.opened === undefined ? undefined : this.#place(fault.opened)
    return errorAt(
      'PROBES_QUOTE_STRAY',
      this.#place(fault.at),
      opened === undefined
        ? 'a quote inside a field that does not begin with one'
        : `text after the closing quote of a field that began on line ${opened.line}, column ${opened.column}`,
      'put the field in quotes and double the quotes inside it; --no-quotes if all quotes are part of the texts',
      { openedLine: opened?.line },
    )
  }

  #unclosed(opened: number): Error {
    return errorAt(
      'PROBES_QUOTE_UNCLOSED',
      this.#place(opened),
      'the quote that opens here is never closed',
      'close it, or double it if it belongs to the text; --no-quotes if all quotes are part of the texts',
    )
  }

  #place(at: number): { file: string; line: number; column: number } {
    const before = this.#bytes.subarray(0, at)
    const lineStart = Math.max(before.lastIndexOf(newline), before.lastIndexOf(carriageReturn)) + 1
    return {
      file: this.file,
      line: this.#line + lineBreaks(this.#bytes, at),
      column: before.toString('utf8', lineStart).length + 1,
    }
  }

  /** The first quote that breaks the rules, by the same rules as the parser. */
  #quoteFault(): { kind: 'unclosed'; opened: number } | { kind: 'stray'; at: number; opened?: number } | undefined {
    if (!this.quotes) return undefined
    const bytes = this.#bytes
    const separates = (byte: number | undefined): boolean =>
      byte === undefined || byte === newline || byte === carriageReturn || byte === this.delimiter.charCodeAt(0)
    let opened: number | undefined
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] !== quote) continue
      if (opened === undefined) {
        if (!separates(bytes[at - 1])) return { kind: 'stray', at }
        opened = at
      } else if (bytes[at + 1] === quote) {
        at++
      } else if (separates(bytes[at + 1])) {
        opened = undefined
      } else {
        return { kind: 'stray', at: at + 1, opened }
      }
    }
    return opened === undefined ? undefined : { kind: 'unclosed', opened }
  }
}

/** Line ends among the first `length` bytes: \n, \r\n, or \r alone. */
function lineBreaks(bytes: Buffer, length: number): number {
  let count = 0
  for (let at = 0; at < length; at++) {
    const byte = bytes[at]
    if (byte === newline || (byte === carriageReturn && bytes[at + 1] !== newline)) count++
  }
  return count
}
