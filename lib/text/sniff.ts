import { errorAt } from './place.js'
import type { ProbeFormat } from './types.js'

/** How many bytes `checkContent` wants to see at least, where there are so many. */
export const sniffLength = 512

const compressed: [string, number[], string][] = [
  ['gzip-compressed', [0x1f, 0x8b], 'gunzip'],
  ['a ZIP archive or an office document', [0x50, 0x4b, 0x03, 0x04], 'unzip'],
  ['Zstandard-compressed', [0x28, 0xb5, 0x2f, 0xfd], 'unzstd'],
  ['bzip2-compressed', [0x42, 0x5a, 0x68], 'bunzip2'],
  ['xz-compressed', [0xfd, 0x37, 0x7a, 0x58, 0x5a], 'unxz'],
]

const wideMarks: [string, number[]][] = [
  ['UTF-32', [0xff, 0xfe, 0x00, 0x00]],
  ['UTF-32', [0x00, 0x00, 0xfe, 0xff]],
  ['UTF-16', [0xff, 0xfe]],
  ['UTF-16', [0xfe, 0xff]],
]

const startsWith = (head: Buffer, bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte)

/** How to turn a Parquet file into one that can be read. */
export const parquetHint =
  'convert it: python3 -c "import pandas; pandas.read_parquet(\'FILE\').to_json(\'FILE.jsonl\', orient=\'records\', lines=True)"'

/** Refuses a file whose first bytes say that it is something else than its name or `--format` promises. */
export function checkContent(head: Buffer, file: string, format: ProbeFormat): void {
  const refuse = (code: string, what: string, hint: string): never => {
    throw errorAt(code, { file, offset: 0 }, `expected ${format}, found ${what}`, hint, { expected: format, found: what })
  }
  if (startsWith(head, [...Buffer.from('PAR1')]) || startsWith(head, [...Buffer.from('PARE')])) {
    refuse('PROBES_PARQUET_UNSUPPORTED', 'a Parquet file, which is not supported', parquetHint)
  }
  for (const [what, magic, tool] of compressed) {
    if (startsWith(head, magic)) refuse('PROBES_COMPRESSED', `a file that is ${what}`, `unpack it first (${tool})`)
  }
  for (const [what, mark] of wideMarks) {
    if (startsWith(head, mark)) refuse('PROBES_ENCODING', what, `iconv -f ${what} -t UTF-8 FILE`)
  }
  const start = head.toString('utf8').replace(/^\ufeff/, '').trimStart()
  if (start.startsWith('version https://git-lfs')) {
    refuse('PROBES_LFS_POINTER', 'a Git LFS pointer instead of the data', 'git lfs pull')
  }
  if (/^<(!doctype\s+html|html[\s>])/i.test(start)) {
    refuse('PROBES_HTML', 'an HTML page', 'download the raw file, not the page that shows it')
  }
  if (start.startsWith('%PDF-')) refuse('PROBES_FORMAT_LIES', 'a PDF document', 'extract its text first')
  const actual = jsonKind(start, format)
  if (actual !== undefined) {
    refuse('PROBES_FORMAT_LIES', actual === 'json' ? 'a JSON array' : 'JSON objects, one per line', `--format ${actual}`)
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
