import type { Readable } from 'node:stream'
import type { Compression } from './compression.js'
import type { RunOptions } from '../native/task.js'

/** How the bytes of a source are read; `txt` is one text per line. */
export type ProbeFormat = 'jsonl' | 'json' | 'csv' | 'tsv' | 'txt' | 'parquet'

/** Options of every command that reads texts, named as on the command line. */
export interface ProbeOptions {
  /** overrides what the extensions say; default by extension, `jsonl` for stdin */
  format?: ProbeFormat
  /** column names of CSV and TSV files without a header */
  columns?: string[]
  /** whether fields of CSV and TSV may stand in quotes; default: CSV yes, TSV unless the file itself says no */
  quotes?: boolean
  /** columns joined by one space, or values inside them (`messages[].content`); default `text` */
  text?: string[]
  /** column of the response that follows the text, which is then its prompt (language models); default: none */
  response?: string
  /** default `label` */
  label?: string
  /** default `domain` where there is such a column */
  domain?: string
  /** raw label → the model's label name or id */
  labelMap?: Record<string, string>
  /** keep so many texts, in proportion to the domains */
  limit?: number
  /** keep so many texts of each domain */
  perDomain?: number
  /** of the subsample, default 0 */
  seed?: number
  /** leave out texts without a label (missing, empty, `-` or −1) instead of refusing them */
  dropUnlabeled?: boolean
  /** leave out and count what cannot be used: no text, no Unicode, a label that is none of the model's */
  skipInvalid?: boolean
  /** the domains that may occur, and must; default: any, or the model's labels where the domain is the label */
  domains?: string[]
}

/** The same, and the names that the model gives its labels, where there is one. */
export interface ReadOptions extends ProbeOptions {
  labels?: readonly string[] | null
}

export interface TextRecord {
  text: string
  /** what of the text comes before the response, where a column is named as one */
  prompt?: string
  label?: string
  domain?: string
  /** `file:line`; line 1 for a file that is one text */
  source: string
  /** number of the data row over all sources, from 0, dropped rows included */
  row: number
}

/** What was read: a source as given; for a folder the size is that of its files and the hash is over their hashes. */
export interface ReadInput {
  path: string
  size: number
  sha256: string
}

export interface ReadControl extends RunOptions {
  /** gets what there is to tell of the texts, after the last */
  notes?: string[]
  /** gets what was read, after the last text */
  inputs?: ReadInput[]
  /** what `-` reads, default `process.stdin` */
  stdin?: Readable
}

/** One file, or stdin, with what its place in the sources says about it. */
export interface SourceFile {
  /** undefined for stdin */
  path: string | undefined
  /** for messages */
  name: string
  format: ProbeFormat
  /** from the ending of the name */
  compression: Compression | undefined
  /** from the name of a file or folder in a directory of domains */
  domain: string | undefined
  /** the file is one text */
  whole: boolean
  /** index of the source it came from */
  input: number
}

/** The columns to read, and which of them must be there. */
export interface Columns {
  names: string[] | undefined
  text: string[]
  label: string
  labelRequired: boolean
  /** rows of JSON may lack the label: they will be dropped */
  labelOptional: boolean
  /** of CSV and TSV; undefined: the format or the file decides */
  quotes: boolean | undefined
  domain: string
  domainRequired: boolean
}

/** One data row before its values are checked; undefined: no such column. */
export interface Row {
  /** physical line on which the row begins, from 1 */
  line: number
  text: unknown[]
  label: unknown
  domain: unknown
}
