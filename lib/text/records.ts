import { usageError } from '../errors.js'
import { readCsv } from './csv.js'
import { readJsonArray, readJsonLines } from './json.js'
import { readTextFile, readTextLines } from './lines.js'
import { meant } from './nearest.js'
import { describe, errorAt, list } from './place.js'
import { StratifiedSample } from './sample.js'
import { Reading } from './source.js'
import { checkFormat, listSources, type Sources } from './sources.js'
import type { Columns, ProbeOptions, ReadControl, ReadInput, Row, SourceFile, TextRecord } from './types.js'

/** The records of all sources in batches, with what only is known at the end. */
export class RecordReader {
  /** unlabeled rows left out */
  dropped = 0
  readonly #blank = { count: 0 }
  #row = 0

  private constructor(
    readonly options: ProbeOptions,
    readonly columns: Columns,
    readonly sources: Sources,
    readonly reading: Reading,
  ) {}

  /** @param labelRequired every record must have a label: its own, or its place in a directory of domains */
  static async open(
    sources: string[],
    options: ProbeOptions,
    control: ReadControl,
    labelRequired: boolean,
  ): Promise<RecordReader> {
    checkOptions(options)
    const columns: Columns = {
      names: options.columns,
      text: [...(options.text ?? ['text']), ...(options.response === undefined ? [] : [options.response])],
      label: options.label ?? 'label',
      labelRequired: labelRequired || options.label !== undefined,
      labelOptional: options.dropUnlabeled === true,
      domain: options.domain ?? 'domain',
      domainRequired: options.domain !== undefined,
    }
    const found = await listSources(sources, options.format, control)
    const json = found.files.find(({ format }) => options.columns !== undefined && format !== 'csv' && format !== 'tsv')
    if (json !== undefined) {
      throw usageError(
        'PROBES_COLUMNS_UNUSED',
        `--columns names CSV and TSV columns, but ${json.name} is ${json.format}`,
        { file: json.name },
        'leave --columns out',
      )
    }
    return new RecordReader(options, columns, found, new Reading(found.inputs, found.total, control))
  }

  async *batches(): AsyncGenerator<TextRecord[]> {
    for (const file of this.sources.files) {
      const first = this.#row
      for await (const rows of this.#rows(file)) {
        const records: TextRecord[] = []
        for (const row of rows) {
          const record = toRecord(row, this.#row++, file, this.columns, this.options.response !== undefined)
          if (this.options.dropUnlabeled === true && isUnlabeled(record, this.options)) this.dropped++
          else records.push(record)
        }
        if (records.length > 0) yield records
      }
      if (this.#row === first) throw emptyFile(file)
    }
  }

  #rows(file: SourceFile): AsyncGenerator<Row[]> {
    const chunks = this.reading.open(file)
    // The name of a domain's file or folder stands in for a label column.
    const columns =
      file.domain === undefined || this.options.label !== undefined
        ? this.columns
        : { ...this.columns, labelRequired: false }
    switch (file.format) {
      case 'jsonl':
        return readJsonLines(chunks, file, columns)
      case 'json':
        return readJsonArray(chunks, file, columns)
      case 'csv':
      case 'tsv':
        return readCsv(chunks, file, columns)
      case 'txt':
        return file.whole ? readTextFile(chunks, file) : readTextLines(chunks, file, this.#blank)
    }
  }

  /** What to tell the reader of the result. */
  notes(): string[] {
    const notes: string[] = []
    if (this.#blank.count > 0) notes.push(`${this.#blank.count} blank lines of .txt files were skipped`)
    if (this.dropped > 0) notes.push(`${this.dropped} unlabeled texts were dropped (--drop-unlabeled)`)
    return notes
  }

  inputs(): ReadInput[] {
    return this.reading.inputs()
  }
}

/**
 * The texts of files, directories of domains and stdin, one after the other, in memory that does not grow with them
 * (but for `limit` and `perDomain`, which keep the subsample and yield it at the end). Labels are what the label map
 * makes of them, else as they stand. Refuses what `inputs.md` lists under probes and corpora: `WarpError` with
 * `code`, place and hint.
 */
export async function* readRecords(
  sources: string[],
  options: ProbeOptions = {},
  control: ReadControl = {},
): AsyncGenerator<TextRecord> {
  for await (const records of readBatches(sources, options, control)) {
    for (const record of records) yield record
  }
}

/** The same, as many at once as a piece of a file holds: a turn for each text costs more than some texts do. */
export async function* readBatches(
  sources: string[],
  options: ProbeOptions = {},
  control: ReadControl = {},
): AsyncGenerator<TextRecord[]> {
  const reader = await RecordReader.open(sources, options, control, false)
  const allowed = options.domains === undefined ? undefined : new Set(options.domains)
  const sampled = options.limit !== undefined || options.perDomain !== undefined
  const sample = new StratifiedSample<TextRecord>(options.limit, options.perDomain, options.seed ?? 0)
  for await (const records of reader.batches()) {
    for (const record of records) {
      if (record.label !== undefined) record.label = mapped(record.label, options.labelMap) ?? record.label
      const domain = record.domain ?? record.label
      if (allowed !== undefined && !allowed.has(domain ?? '')) throw unknownDomain(domain, [...allowed], record.source)
      if (sampled) sample.add(domain ?? '', record.row, record)
    }
    if (!sampled) yield records
  }
  if (sampled) yield sample.finish().items
}

/** What a label map says of a raw label. */
export function mapped(label: string, map: Record<string, string> | undefined): string | undefined {
  return map !== undefined && Object.hasOwn(map, label) ? map[label] : undefined
}

/** The error for a domain outside the allowed ones. */
export function unknownDomain(domain: string | undefined, allowed: string[], source: string): Error {
  const found = domain === undefined ? 'no domain' : `the domain "${domain}"`
  return errorAt(
    'PROBES_DOMAIN_UNKNOWN',
    placeOf(source),
    `expected one of ${list(allowed)}, found ${found}`,
    domain === undefined ? 'name the column with --domain' : meant(domain, allowed, 'name the column with --domain'),
    { expected: allowed.slice(0, 100), found: domain },
  )
}

/** File and line of a record's source. */
export function placeOf(source: string): { file: string; line: number } {
  const colon = source.lastIndexOf(':')
  return { file: source.slice(0, colon), line: Number(source.slice(colon + 1)) }
}

function checkOptions(options: ProbeOptions): void {
  checkFormat(options.format)
  const { limit, perDomain } = options
  for (const [name, value] of Object.entries({ limit: limit, 'per-domain': perDomain })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw usageError(
        'PROBES_OPTION_INVALID',
        `--${name} is ${value}; it must be a whole number above 0`,
        {
          found: value,
        },
        `leave --${name} out for all texts`,
      )
    }
  }
  if (limit !== undefined && perDomain !== undefined) {
    throw usageError('PROBES_OPTION_CONFLICT', '--limit and --per-domain exclude each other', {}, 'give one of them')
  }
  for (const [name, value] of Object.entries({ text: options.text, columns: options.columns })) {
    if (value !== undefined && (value.length === 0 || value.includes(''))) {
      throw usageError('PROBES_OPTION_INVALID', `--${name} has an empty name`, {}, 'separate names with single commas')
    }
  }
}

const loneSurrogate = /\p{Surrogate}/u

/** Checks the values of a row. */
function toRecord(row: Row, number: number, file: SourceFile, columns: Columns, responds: boolean): TextRecord {
  const place = { file: file.name, line: row.line }
  let text = ''
  let prompt = ''
  for (const [i, value] of row.text.entries()) {
    if (typeof value !== 'string') {
      const missing = value === undefined || value === null
      throw errorAt(
        missing ? 'PROBES_TEXT_MISSING' : 'PROBES_TEXT_TYPE',
        place,
        `"${columns.text[i]}" must be a string, found ${describe(value)}`,
        missing
          ? 'remove the row, or give it a text'
          : 'write the text as a string, or choose another column with --text',
        { expected: 'string', found: describe(value) },
      )
    }
    prompt = text
    text = i === 0 ? value : `${text} ${value}`
  }
  if (text.trim() === '') {
    throw errorAt('PROBES_TEXT_EMPTY', place, 'the text is empty', 'remove the row, or give it a text')
  }
  const label = labelText(row.label, place, columns)
  const named = columns.domainRequired || file.domain === undefined
  const domain = named ? domainText(row.domain, place, columns) : file.domain
  for (const [name, value] of [
    ['text', text],
    ['label', label],
    ['domain', domain],
  ]) {
    if (value !== undefined && loneSurrogate.test(value)) {
      throw errorAt(
        'PROBES_LONE_SURROGATE',
        place,
        `the ${name} has half a surrogate pair at character ${value.search(loneSurrogate) + 1}`,
        'write characters beyond U+FFFF as two \\u escapes, or as themselves',
      )
    }
  }
  return {
    text,
    ...(responds && { prompt }),
    ...(label === undefined ? {} : { label }),
    ...(domain === undefined ? {} : { domain }),
    source: `${file.name}:${row.line}`,
    row: number,
  }
}

function labelText(value: unknown, place: { file: string; line: number }, columns: Columns): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return value
  if (Number.isSafeInteger(value)) return String(value)
  throw errorAt(
    'PROBES_LABEL_TYPE',
    place,
    `"${columns.label}" must be a string or a whole number, found ${describe(value)}`,
    'choose another column with --label',
    { expected: 'string or integer', found: describe(value) },
  )
}

function domainText(value: unknown, place: { file: string; line: number }, columns: Columns): string | undefined {
  if (typeof value === 'string' && value !== '') return value
  if (Number.isSafeInteger(value)) return String(value)
  const missing = value === undefined || value === null || value === ''
  if (missing && !columns.domainRequired) return undefined
  throw errorAt(
    missing ? 'PROBES_DOMAIN_MISSING' : 'PROBES_DOMAIN_TYPE',
    place,
    `"${columns.domain}" must name the domain, found ${describe(value)}`,
    'name the column with --domain',
    { expected: 'string or integer', found: describe(value) },
  )
}

/** No label, or −1, which data sets write for texts nobody labelled. */
export function isUnlabeled(record: TextRecord, options: ProbeOptions): boolean {
  const label = record.label ?? record.domain
  if (label === undefined) return true
  return label === '-1' && mapped(label, options.labelMap) === undefined
}

function emptyFile(file: SourceFile): Error {
  return errorAt('PROBES_EMPTY', { file: file.name }, 'there is no text in it', 'is the file complete?')
}
