// The thread that decodes one Parquet file: see parquet.ts.
import { open } from 'node:fs/promises'
import { parentPort, workerData } from 'node:worker_threads'
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet' with { 'resolution-mode': 'import' }
import type { ErrorDetails } from '../errors.js'
import { fieldsOf } from './fields.js'
import { rowOf } from './json.js'
import type { ParquetMessage, ParquetRequest } from './parquet.js'
import type { Row } from './types.js'

const { path, columns } = workerData as ParquetRequest
const fields = fieldsOf(columns)
/** rows in a message */
const rowsAtOnce = 1 << 12
/** Bytes of the wanted columns of a row group, and of one page, unpacked: more was not written in earnest. */
const largestGroup = 2 ** 31
const largestPage = 2 ** 28
const mostRows = 2 ** 27

class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly details: ErrorDetails = {},
  ) {
    super(message)
  }
}

const say = (message: ParquetMessage): void => parentPort!.postMessage(message)

let requests = 0
let wake = (): void => {}
parentPort!.on('message', () => {
  requests++
  wake()
})

/** Waits until more is asked for. */
async function asked(): Promise<void> {
  while (requests === 0) await new Promise<void>((resolve) => (wake = resolve))
  requests--
}

/** What the file says of itself is believed only as far as memory allows. */
function guarded(compressors: Compressors): { compressors: Compressors; begin(): void } {
  let given = 0
  const entries = Object.entries(compressors).map(([name, decompress]) => {
    const guard = (input: Uint8Array, length: number): Uint8Array => {
      given += length
      if (length > largestPage) throw tooLarge('bytes of a page', length, largestPage)
      if (given > largestGroup) throw tooLarge('bytes of the pages of a row group', given, largestGroup)
      return decompress!(input, length)
    }
    return [name, guard]
  })
  return { compressors: Object.fromEntries(entries) as Compressors, begin: () => (given = 0) }
}

const tooLarge = (what: string, found: number, expected: number): Refusal =>
  new Refusal('PROBES_PARQUET_TOO_LARGE', `${what}: ${found}, at most ${expected} are read`, { expected, found })

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Whole numbers and plain values, which other threads and JSON have. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value) || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}

async function buffer(): Promise<AsyncBuffer> {
  const file = await open(path)
  const { size } = await file.stat()
  const slice = async (start: number, end = size): Promise<ArrayBuffer> => {
    if (!(start >= 0 && start <= end && end <= size))
      throw new Refusal('PROBES_PARQUET_INVALID', 'it points outside the file')
    const bytes = new Uint8Array(end - start)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
    if (bytesRead < bytes.length) throw new Refusal('PROBES_PARQUET_INVALID', 'the file ends early')
    return bytes.buffer
  }
  const head = Buffer.from(await slice(0, Math.min(4, size))).toString('latin1')
  const tail = Buffer.from(await slice(Math.max(0, size - 4))).toString('latin1')
  if (tail === 'PARE') throw new Refusal('PROBES_PARQUET_ENCRYPTED', 'the file is encrypted')
  if (head !== 'PAR1' || tail !== 'PAR1')
    throw new Refusal('PROBES_PARQUET_INVALID', 'not a Parquet file, or not all of it')
  return { byteLength: size, slice }
}

function checkGroups({ row_groups }: FileMetaData, wanted: string[]): void {
  for (const { columns: chunks, num_rows } of row_groups) {
    const sizes = chunks.map(({ meta_data }) =>
      meta_data !== undefined && wanted.includes(meta_data.path_in_schema[0])
        ? Number(meta_data.total_uncompressed_size)
        : 0,
    )
    const size = sizes.reduce((a, b) => a + b, 0)
    if (!(size >= 0 && size <= largestGroup)) throw tooLarge('bytes of a row group', size, largestGroup)
    if (!(Number(num_rows) >= 0 && Number(num_rows) <= mostRows))
      throw tooLarge('rows of a row group', Number(num_rows), mostRows)
  }
}

async function serve(): Promise<void> {
  const { parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import('hyparquet')
  const { compressors: known } = await import('hyparquet-compressors')
  const file = await buffer()
  const metadata = await parquetMetadataAsync(file)
  const names = parquetSchema(metadata).children.map(({ element }) => element.name)
  say({ names })
  const wanted = [...fields.text, fields.label, fields.domain].map((field) => field.column(names))
  const used = [...new Set(wanted)].filter((name): name is string => name !== undefined)
  checkGroups(metadata, used)
  const { compressors, begin } = guarded(known)
  const parsers = { stringFromBytes: (bytes: Uint8Array) => (bytes === undefined ? undefined : utf8.decode(bytes)) }
  let rowStart = 0
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows)
    begin()
    const found = await parquetReadObjects({ file, metadata, columns: used, rowStart, rowEnd, compressors, parsers })
    if (found.length !== rowEnd - rowStart)
      throw new Refusal('PROBES_PARQUET_INVALID', 'a row group has other rows than it says')
    for (let at = 0; at < found.length; at += rowsAtOnce) {
      const rows: Row[] = found
        .slice(at, at + rowsAtOnce)
        .map((row, i) =>
          rowOf(
            plain(row) as Record<string, unknown>,
            { file: path, line: rowStart + at + i + 1 },
            columns,
            fields,
            false,
          ),
        )
      await asked()
      say({ rows })
    }
    rowStart = rowEnd
  }
  await asked()
  say({ rows: [] })
}

serve().catch((error: Error & { code?: string }) => {
  if (error instanceof Refusal) say({ code: error.code, message: error.message, details: error.details })
  else if (error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
    say({ code: 'PROBES_UTF8', message: 'a text is not UTF-8', details: {} })
  else say({ code: 'PROBES_PARQUET_INVALID', message: `cannot be decoded: ${error.message}`, details: {} })
})
