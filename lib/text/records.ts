import { usageError } from '../errors.js'
import { readCsv } from './csv.js'
import { Field } from './fields.js'
import { GivenReading, givenFile, isFiles, type ProbeSource } from './given.js'
import { readJsonArray, readJsonLines } from './json.js'
import { readTextFile, readTextLines } from './lines.js'
import { readParquet } from './parquet.js'
import { meantName } from './nearest.js'
import { errorAt, list, placeOf } from './place.js'
import { isUnlabeled, mapped, toRecord } from './record.js'
import { StratifiedSample } from './sample.js'
import { Skipped } from './skipped.js'
import { Reading } from './source.js'
import { checkFormat, listSources } from './sources.js'
import type {
  Columns,
  ProbeOptions,
  ReadControl,
  ReadInput,
  ReadOptions,
  Row,
  SourceFile,
  TextRecord,
} from './types.js'

/** The records of all sources in batches, with what only is known at the end. */
export class RecordReader {
  /** unlabeled rows left out */
  dropped = 0
  /** rows left out because they cannot be used */
  readonly skipped: Skipped
  readonly #blank = { count: 0 }
  readonly #told: string[] = []
  #row = 0

  private constructor(
    readonly options: ReadOptions,
    readonly columns: Columns,
    readonly files: SourceFile[],
    readonly reading: Reading | GivenReading,
  ) {
    this.skipped = new Skipped(options.skipInvalid === true)
  }

  /** @param labelRequired every record must have a label: its own, or its place in a directory of domains */
  static async open(
    sources: ProbeSource,
    options: ReadOptions,
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
      quotes: options.quotes,
      domain: options.domain ?? 'domain',
      domainRequired: options.domain !== undefined,
    }
    if (!isFiles(sources)) {
      return new RecordReader(options, columns, [givenFile], new GivenReading(sources, control))
    }
    const found = await listSources([...sources], options.format, control)
    const json = found.files.find(({ format }) => options.columns !== undefined && format !== 'csv' && format !== 'tsv')
    if (json !== undefined) {
      throw usageError(
        'PROBES_COLUMNS_UNUSED',
        `--columns names CSV and TSV columns, but ${json.name} is ${json.format}`,
        { file: json.name },
        'leave --columns out',
      )
    }
    return new RecordReader(options, columns, found.files, new Reading(found.inputs, found.total, control))
  }

  async *batches(): AsyncGenerator<TextRecord[]> {
    const responds = this.options.response !== undefined
    for (const file of this.files) {
      const first = this.#row
      for await (const rows of this.#rows(file)) {
        const records: TextRecord[] = []
        for (const row of rows) {
          const number = this.#row++
          const record = this.skipped.unless(() => toRecord(row, number, file, this.columns, responds))
          if (record === undefined) continue
          if (this.options.dropUnlabeled === true && isUnlabeled(record, this.options)) this.dropped++
          else records.push(record)
        }
        if (records.length > 0) yield records
      }
      if (this.#row === first) throw emptyFile(file)
      this.skipped.refuseAll(this.#row - first)
    }
  }

  #rows(file: SourceFile): AsyncGenerator<Row[]> {
    // The name of a domain's file or folder stands in for a label column.
    const columns =
      file.domain === undefined || this.options.label !== undefined
        ? this.columns
        : { ...this.columns, labelRequired: false }
    const { reading } = this
    if (reading instanceof GivenReading) return reading.rows(columns)
    switch (file.format) {
      case 'jsonl':
        return readJsonLines(reading.open(file), file, columns)
      case 'json':
        return readJsonArray(reading.open(file), file, columns)
      case 'csv':
      case 'tsv':
        return readCsv(reading.open(file), file, columns, this.#told)
      case 'txt':
        return file.whole
          ? readTextFile(reading.open(file), file)
          : readTextLines(reading.open(file), file, this.#blank)
      case 'parquet':
        return readParquet(reading.bytes(file), file, columns)
    }
  }

  /** What to tell the reader of the result. */
  notes(): string[] {
    const notes = [...this.#told]
    const several = this.columns.text.filter((name) => new Field(name).several)
    if (several.length > 0) notes.push(`the texts of ${several.join(', ')} in a row are joined by newlines`)
    if (this.#blank.count > 0) notes.push(`${this.#blank.count} blank lines of .txt files were skipped`)
    if (this.dropped > 0) notes.push(`${this.dropped} unlabeled texts were dropped (--drop-unlabeled)`)
    return [...notes, ...this.skipped.notes()]
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
  sources: ProbeSource,
  options: ProbeOptions = {},
  control: ReadControl = {},
): AsyncGenerator<TextRecord> {
  for await (const records of readBatches(sources, options, control)) {
    for (const record of records) yield record
  }
}

/** The same, as many at once as a piece of a file holds: a turn for each text costs more than some texts do. */
export async function* readBatches(
  sources: ProbeSource,
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
  control.notes?.push(...reader.notes())
  control.inputs?.push(...reader.inputs())
}

/** What all sources hold, without looking for texts in it. */
export async function hashSources(
  sources: string[],
  options: ProbeOptions = {},
  control: ReadControl = {},
): Promise<ReadInput[]> {
  const { files, inputs, total } = await listSources(sources, options.format, control)
  const reading = new Reading(inputs, total, control)
  for (const file of files) for await (const _piece of reading.bytes(file)) control.signal?.throwIfAborted()
  return reading.inputs()
}

/** The error for a domain outside the allowed ones. */
export function unknownDomain(domain: string | undefined, allowed: string[], source: string): Error {
  const found = domain === undefined ? 'no domain' : `the domain "${domain}"`
  return errorAt(
    'PROBES_DOMAIN_UNKNOWN',
    placeOf(source),
    `expected one of ${list(allowed)}, found ${found}`,
    domain === undefined
      ? 'name the column with --domain'
      : meantName(domain, allowed, 'name the column with --domain'),
    { expected: allowed.slice(0, 100), found: domain },
  )
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

function emptyFile(file: SourceFile): Error {
  return errorAt('PROBES_EMPTY', { file: file.name }, 'there is no text in it', 'is the file complete?')
}
