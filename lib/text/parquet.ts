import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { type ErrorDetails, inputError } from '../errors.js'
import { fieldsOf } from './fields.js'
import { unknownColumn } from './json.js'
import { errorAt } from './place.js'
import type { Columns, Row, SourceFile } from './types.js'

/** What the thread of a file is told: the file and the columns it may need. */
export interface ParquetRequest {
  path: string
  columns: Columns
}

/** What it says: the names of its columns, then rows whenever it is asked for more; `rows` is empty at the end. */
export type ParquetMessage =
  | { names: string[] }
  | { rows: Row[] }
  | { code: string; message: string; details: ErrorDetails }

const hints: Record<string, string> = {
  PROBES_PARQUET_ENCRYPTED: 'decrypt it first',
  PROBES_PARQUET_TOO_LARGE: 'write it with smaller row groups: to_parquet(FILE, row_group_size=50000)',
  PROBES_UTF8: 'columns of text hold UTF-8',
}

/** Rows of a Parquet file, decoded on a thread of their own; the line of a row is its number, from 1. */
export async function* readParquet(
  bytes: AsyncIterable<Buffer>,
  file: SourceFile,
  columns: Columns,
): AsyncGenerator<Row[]> {
  for await (const _ of bytes) void _ // read once from end to end: hashed, counted, and surely there
  const request: ParquetRequest = { path: file.path as string, columns }
  const worker = new Worker(path.join(__dirname, 'parquet-worker.js'), { workerData: request })
  const messages = listen(worker)
  try {
    const first = await messages.next()
    checkColumns('names' in first ? first.names : refuse(first, file), file, columns)
    for (;;) {
      worker.postMessage('more')
      const next = await messages.next()
      const rows = 'rows' in next ? next.rows : refuse(next, file)
      if (rows.length === 0) return
      yield rows
    }
  } finally {
    await worker.terminate()
  }
}

function listen(worker: Worker): { next(): Promise<ParquetMessage> } {
  const waiting: ParquetMessage[] = []
  let wake: (() => void) | undefined
  let failed: Error | undefined
  worker.on('message', (message: ParquetMessage) => {
    waiting.push(message)
    wake?.()
  })
  worker.on('error', (error: Error) => {
    failed = error
    wake?.()
  })
  return {
    async next() {
      while (waiting.length === 0) {
        if (failed !== undefined) {
          return { code: 'PROBES_PARQUET_INVALID', message: failed.message, details: {} }
        }
        await new Promise<void>((resolve) => (wake = resolve))
      }
      return waiting.shift() as ParquetMessage
    },
  }
}

function refuse(message: ParquetMessage, { name }: SourceFile): never {
  if (!('code' in message)) throw new Error('the thread of a Parquet file said something else')
  const { code, details } = message
  throw errorAt(code, { file: name }, message.message, hints[code] ?? 'is the file complete, and Parquet?', details)
}

function checkColumns(names: string[], file: SourceFile, columns: Columns): void {
  const { text, label, domain } = fieldsOf(columns)
  const required = [
    ...text,
    ...(columns.labelRequired && !columns.labelOptional ? [label] : []),
    ...(columns.domainRequired ? [domain] : []),
  ]
  for (const field of required) {
    if (field.column(names) === undefined) throw unknownColumn(field.name, names, { file: file.name })
  }
  if (new Set(names).size !== names.length) {
    throw inputError(
      'PROBES_COLUMN_TWICE',
      `${file.name}: two columns have one name`,
      { file: file.name, found: names },
      'rename one of them',
    )
  }
}
