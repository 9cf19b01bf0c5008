import { longestRecord, readWhole, tooLong } from './source.js'
import type { Row, SourceFile } from './types.js'

export interface Line {
  text: string
  /** from 1 */
  line: number
}

/** The lines of a file, without their ends; a batch per piece read. Memory: one piece and one line. */
export async function* readLines(chunks: AsyncIterable<Buffer>, file: string): AsyncGenerator<Line[]> {
  let line = 1
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const chunk of chunks) {
    const batch: Line[] = []
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      checkLength(restBytes + end - from, file, line)
      batch.push({ text: lineText(rest, chunk, from, end), line: line++ })
      rest = []
      restBytes = 0
      from = end + 1
    }
    if (from < chunk.length) {
      rest.push(chunk.subarray(from))
      restBytes += chunk.length - from
      checkLength(restBytes, file, line)
    }
    if (batch.length > 0) yield batch
  }
  if (restBytes > 0) yield [{ text: Buffer.concat(rest).toString('utf8'), line }]
}

function checkLength(bytes: number, file: string, line: number): void {
  if (bytes > longestRecord) throw tooLong(file, line, 'the line', 'is this one record per line? see --format')
}

function lineText(rest: Buffer[], chunk: Buffer, from: number, end: number): string {
  const text =
    rest.length === 0
      ? chunk.toString('utf8', from, end)
      : Buffer.concat([...rest, chunk.subarray(from, end)]).toString('utf8')
  return text.endsWith('\r') ? text.slice(0, -1) : text
}

/** A text per line; lines without any text are skipped and counted in `blank`. */
export async function* readTextLines(
  chunks: AsyncIterable<Buffer>,
  file: SourceFile,
  blank: { count: number },
): AsyncGenerator<Row[]> {
  for await (const lines of readLines(chunks, file.name)) {
    const rows: Row[] = []
    for (const { text, line } of lines) {
      if (text.trim() === '') blank.count++
      else rows.push({ line, text: [text], label: undefined, domain: undefined })
    }
    yield rows
  }
}

/** The file is one text; its last line end does not belong to it. */
export async function* readTextFile(chunks: AsyncIterable<Buffer>, file: SourceFile): AsyncGenerator<Row[]> {
  const text = await readWhole(chunks, file.name)
  if (text.length > 0) yield [{ line: 1, text: [text.replace(/\r?\n$/, '')], label: undefined, domain: undefined }]
}
