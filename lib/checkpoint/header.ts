import type { FileHandle } from 'node:fs/promises'
import { inputError, type ErrorDetails, type WarpError } from '../errors.js'
import { dtypeNames, isDtype, tensorBytes, type Dtype } from './dtypes.js'
import { readExactly, withFile, type FileRecord } from './files.js'
import { brief, isObject, parseStrictJson, type Json } from './json.js'

/** One tensor of one safetensors file. */
export interface StoredTensor {
  storedName: string
  dtype: Dtype
  shape: number[]
  /** bytes from the start of the file */
  offset: number
  /** bytes */
  length: number
}

export interface SafetensorsHeader {
  /** in the order of their data */
  tensors: StoredTensor[]
  metadata: Record<string, string>
  /** bytes */
  fileSize: number
  /** bytes from the start of the file to the first byte of data */
  dataStart: number
}

const MAX_HEADER = 100_000_000
const MAX_TENSORS = 200_000
const MAX_NAME_BYTES = 1024
const FIELDS = ['dtype', 'shape', 'data_offsets']
const AGAIN = 'Download or export the file again.'

/**
 * Reads and validates the header of a safetensors file; the data itself is not read. Accepts and refuses what the
 * format's reference reader does, and on top of it refuses duplicate keys, unknown fields of an entry, control
 * characters in names, and absurd counts. Nothing is allocated from a length that has not been checked.
 *
 * @throws WarpError (input) `SAFETENSORS_…` naming file, byte offset or tensor; FILE_NOT_FOUND, FILE_CHANGED,
 * also when the file is not the `expected` one
 */
export function readSafetensorsHeader(path: string, expected?: FileRecord): Promise<SafetensorsHeader> {
  return withFile(path, (handle, { size }) => readHeader(handle, path, size), expected)
}

/** The same on an open file of `fileSize` bytes. */
export async function readHeader(handle: FileHandle, path: string, fileSize: number): Promise<SafetensorsHeader> {
  const start = await readExactly(handle, path, 0, Math.min(512, fileSize))
  const headerLength = checkHeaderLength(start, path, fileSize)
  const bytes = await readExactly(handle, path, 8, headerLength)
  const first = bytes.find((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)
  const foreign = first === 0x7b ? undefined : foreignFormat(start, path)
  if (foreign) throw foreign
  const root = parseStrictJson(bytes, { file: path, prefix: 'SAFETENSORS', fileOffset: 8, integersOnly: true })
  if (!isObject(root)) {
    throw inputError(
      'SAFETENSORS_NOT_OBJECT',
      `${path}: the header is ${brief(root)}; expected a JSON object`,
      { file: path, offset: 8, expected: 'an object' },
      AGAIN,
    )
  }
  const { __metadata__: metadata, ...entries } = root
  const names = Object.keys(entries)
  if (names.length > MAX_TENSORS) {
    throw inputError(
      'SAFETENSORS_TOO_MANY_TENSORS',
      `${path}: ${names.length} tensors; expected at most ${MAX_TENSORS}`,
      { file: path, found: names.length, expected: MAX_TENSORS },
      'Split the checkpoint into shards.',
    )
  }
  const dataStart = 8 + headerLength
  const tensors = names.map((name) => readEntry(name, entries[name]!, path, dataStart))
  tensors.sort((a, b) => a.offset - b.offset || a.length - b.length)
  checkCoverage(tensors, path, dataStart, fileSize)
  return { tensors, metadata: readMetadata(metadata, path), fileSize, dataStart }
}

function checkHeaderLength(start: Buffer, file: string, fileSize: number): number {
  if (fileSize < 8) {
    throw inputError(
      'SAFETENSORS_TOO_SHORT',
      `${file}: ${fileSize} bytes; a safetensors file has at least 8`,
      { file, found: fileSize, expected: 8 },
      AGAIN,
    )
  }
  const length = start.readBigUInt64LE(0)
  if (length > 0n && length <= BigInt(Math.min(MAX_HEADER, fileSize - 8))) return Number(length)
  const foreign = foreignFormat(start, file)
  if (foreign) throw foreign
  const details = { file, offset: 0, found: length.toString() }
  if (length === 0n) {
    throw inputError(
      'SAFETENSORS_HEADER_EMPTY',
      `${file}: header length 0; expected at least 2 bytes ("{}")`,
      details,
      AGAIN,
    )
  }
  if (length > BigInt(MAX_HEADER)) {
    throw inputError(
      'SAFETENSORS_HEADER_TOO_LARGE',
      `${file}: header length ${length}; expected at most ${MAX_HEADER}`,
      { ...details, expected: MAX_HEADER },
      'This is probably not a safetensors file.',
    )
  }
  throw inputError(
    'SAFETENSORS_HEADER_TRUNCATED',
    `${file}: the header is said to have ${length} bytes, but the file ends after ${fileSize - 8} of them`,
    { ...details, expected: `at most ${fileSize - 8}` },
    'The download is incomplete; get the file again.',
  )
}

/** What people really have behind a name that ends in .safetensors. */
function foreignFormat(start: Buffer, file: string): WarpError | undefined {
  const text = start.toString('latin1')
  const make = (code: string, what: string, hint: string): WarpError =>
    inputError(
      code,
      `${file}: is ${what}; expected a safetensors file`,
      { file, offset: 0, found: text.slice(0, 16), expected: 'safetensors' },
      hint,
    )
  if (text.startsWith('version https://git-lfs')) {
    return make(
      'SAFETENSORS_LFS_POINTER',
      'a Git-LFS pointer, not the weights',
      'Run `git lfs pull` in the repository.',
    )
  }
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) {
    return make('SAFETENSORS_HTML', 'a web page', 'The download got an error or log-in page; fetch the file itself.')
  }
  if (text.startsWith('GGUF')) {
    return make(
      'SAFETENSORS_GGUF',
      'a GGUF file',
      'Use the original Hugging Face directory; GGUF is quantised or renamed.',
    )
  }
  const convert = 'Load it with torch.load(…, weights_only=True) and write it with safetensors.torch.save_file.'
  if (text.startsWith('PK\x03\x04')) return make('SAFETENSORS_ZIP', 'a ZIP archive (a PyTorch checkpoint?)', convert)
  if (/^\x80[\x02-\x05]/.test(text))
    return make('SAFETENSORS_PICKLE', 'a Python pickle (an old PyTorch checkpoint)', convert)
  return undefined
}

function readMetadata(value: Json | undefined, file: string): Record<string, string> {
  if (value === undefined || value === null) return {}
  const wrong = isObject(value) ? Object.entries(value).find(([, v]) => typeof v !== 'string') : ['', value]
  if (wrong) {
    throw inputError(
      'SAFETENSORS_METADATA',
      `${file}: __metadata__${wrong[0] ? `.${wrong[0]}` : ''} is ${brief(wrong[1])}; expected strings only`,
      { file, found: wrong[1], expected: 'string to string' },
      AGAIN,
    )
  }
  return value as Record<string, string>
}

function readEntry(name: string, value: Json, file: string, dataStart: number): StoredTensor {
  const fail = (code: string, what: string, details: ErrorDetails = {}, hint = AGAIN): never => {
    throw inputError(
      `SAFETENSORS_${code}`,
      `${file}: tensor ${JSON.stringify(name.slice(0, 200))}: ${what}`,
      { file, tensor: name.slice(0, 200), ...details },
      hint,
    )
  }
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name))
    fail('NAME', 'control character in the name', { expected: 'printable characters' })
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    fail('NAME', `name of ${Buffer.byteLength(name)} bytes; expected at most ${MAX_NAME_BYTES}`, {
      expected: MAX_NAME_BYTES,
    })
  }
  if (!isObject(value)) return fail('ENTRY', 'is not described by an object', { expected: FIELDS })
  const missing = FIELDS.find((field) => !(field in value))
  if (missing) fail('FIELD_MISSING', `field "${missing}" is missing`, { expected: FIELDS })
  const unknown = Object.keys(value).find((key) => !FIELDS.includes(key))
  if (unknown)
    fail('FIELD_UNKNOWN', `unknown field ${JSON.stringify(unknown)}; expected ${FIELDS.join(', ')}`, {
      found: unknown,
      expected: FIELDS,
    })
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string' || !isDtype(dtype)) {
    return fail('DTYPE_UNKNOWN', `unknown dtype ${JSON.stringify(dtype)}`, { found: dtype, expected: dtypeNames })
  }
  if (!isSizes(shape)) {
    return fail('SHAPE', `shape ${JSON.stringify(shape)} is not a list of non-negative integers`, { found: shape })
  }
  if (!isSizes(offsets) || offsets.length !== 2) {
    return fail('OFFSETS', `data_offsets ${JSON.stringify(offsets)} are not two non-negative integers`, {
      found: offsets,
    })
  }
  const [begin, end] = offsets as [number, number]
  if (end < begin) fail('OFFSETS_REVERSED', `data ends (${end}) before it begins (${begin})`, { found: offsets })
  const length = tensorBytes(dtype, shape)
  if (Number.isNaN(length)) {
    fail('SIZE_OVERFLOW', `shape [${shape}] of ${dtype} is more than 2^53 bits or not whole bytes`, { found: shape })
  }
  if (length !== end - begin) {
    fail('SIZE_MISMATCH', `shape [${shape}] of ${dtype} needs ${length} bytes, data_offsets give ${end - begin}`, {
      found: end - begin,
      expected: length,
    })
  }
  return { storedName: name, dtype, shape, offset: dataStart + begin, length }
}

function isSizes(value: Json | undefined): value is number[] {
  return Array.isArray(value) && value.every((v) => typeof v === 'number' && Number.isSafeInteger(v) && v >= 0)
}

/** The data area must be covered once, from its first byte to the end of the file. */
function checkCoverage(tensors: StoredTensor[], file: string, dataStart: number, fileSize: number): void {
  let end = dataStart
  for (const t of tensors) {
    if (t.offset === end) {
      end += t.length
      continue
    }
    const code = end === dataStart ? 'FIRST_OFFSET' : t.offset > end ? 'HOLE' : 'OVERLAP'
    const what = {
      FIRST_OFFSET: 'the first data begins',
      HOLE: 'unused bytes before the data',
      OVERLAP: 'shares data with another tensor',
    }
    throw inputError(
      `SAFETENSORS_${code}`,
      `${file}: tensor ${JSON.stringify(t.storedName)}: ${what[code]} at byte ${t.offset}; ` +
        `expected to begin at ${end}`,
      { file, tensor: t.storedName, offset: t.offset, expected: end },
      AGAIN,
    )
  }
  if (end === fileSize) return
  if (end > fileSize) {
    const cut = tensors.find((t) => t.offset + t.length > fileSize)!
    throw inputError(
      'SAFETENSORS_DATA_MISSING',
      `${file}: ${end - fileSize} bytes are missing at the end (tensor ` +
        `${JSON.stringify(cut.storedName)} is cut); expected ${end} bytes, found ${fileSize}`,
      { file, tensor: cut.storedName, offset: fileSize, expected: end, found: fileSize },
      'The download is incomplete; get the file again.',
    )
  }
  throw inputError(
    'SAFETENSORS_DATA_TRAILING',
    `${file}: ${fileSize - end} bytes after the last tensor; expected ${end} bytes, found ${fileSize}`,
    { file, offset: end, expected: end, found: fileSize },
    AGAIN,
  )
}
