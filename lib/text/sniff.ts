import { errorAt } from './place.js'
import type { ProbeFormat } from './types.js'

/** How many bytes `checkContent` wants to see at least, where there are so many. */
export const sniffLength = 512

// Over the first bytes as Latin-1. Magic made of letters takes in what follows it: a text may begin with "PARENTS".
const parquet = /^(PAR1\x15|PARE[\s\S]{3}\0)/
const compressed: [RegExp, string, string][] = [
  [/^\x1f\x8b/, 'gzip-compressed', 'give it a name that ends with .gz'],
  [/^PK\x03\x04/, 'a ZIP archive or an office document', 'unpack it first (unzip)'],
  [/^\x28\xb5\x2f\xfd/, 'Zstandard-compressed', 'give it a name that ends with .zst'],
  [/^BZh[1-9]1AY&SY/, 'bzip2-compressed', 'unpack it first (bunzip2)'],
  [/^\xfd7zXZ\0/, 'xz-compressed', 'unpack it first (unxz)'],
]
const wide: [RegExp, string][] = [
  [/^(\xff\xfe\0\0|\0\0\xfe\xff)/, 'UTF-32'],
  [/^(\xff\xfe|\xfe\xff)/, 'UTF-16'],
]

/** Refuses a file whose first bytes say that it is something else than its name or `--format` promises. */
export function checkContent(head: Buffer, file: string, format: ProbeFormat): void {
  const refuse = (code: string, what: string, hint: string): never => {
    throw errorAt(code, { file, offset: 0 }, `expected ${format}, found ${what}`, hint, {
      expected: format,
      found: what,
    })
  }
  const magic = head.toString('latin1', 0, 16)
  if (parquet.test(magic)) refuse('PROBES_FORMAT_LIES', 'a Parquet file', '--format parquet')
  for (const [pattern, what, hint] of compressed) {
    if (pattern.test(magic)) refuse('PROBES_COMPRESSED', `a file that is ${what}`, hint)
  }
  for (const [pattern, what] of wide) {
    if (pattern.test(magic)) refuse('PROBES_ENCODING', what, `iconv -f ${what} -t UTF-8 FILE`)
  }
  const start = head
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .trimStart()
  if (start.startsWith('version https://git-lfs')) {
    refuse('PROBES_LFS_POINTER', 'a Git LFS pointer instead of the data', 'git lfs pull')
  }
  if (/^<(!doctype\s+html|html[\s>])/i.test(start)) {
    refuse('PROBES_HTML', 'an HTML page', 'download the raw file, not the page that shows it')
  }
  if (start.startsWith('%PDF-')) refuse('PROBES_FORMAT_LIES', 'a PDF document', 'extract its text first')
  const actual = jsonKind(start, format)
  if (actual !== undefined) {
    refuse(
      'PROBES_FORMAT_LIES',
      actual === 'json' ? 'a JSON array' : 'JSON objects, one per line',
      `--format ${actual}`,
    )
  }
}

/** The JSON format that a text promised as something else really has. */
function jsonKind(start: string, format: ProbeFormat): ProbeFormat | undefined {
  const array = start.startsWith('[')
  switch (format) {
    case 'jsonl':
      return array ? 'json' : undefined
    case 'json': {
      const [first, second] = start.split(/\r?\n/, 2)
      return start.startsWith('{') && second?.startsWith('{') && isJson(first) ? 'jsonl' : undefined
    }
    case 'csv':
    case 'tsv':
      // A quote inside an unquoted field is no CSV, so these cannot be meant as a row.
      if (/^\[\s*[[{]/.test(start)) return 'json'
      return /^\{\s*"/.test(start) ? 'jsonl' : undefined
    case 'txt':
    case 'parquet':
      return undefined
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
