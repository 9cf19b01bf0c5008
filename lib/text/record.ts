import { describe, errorAt } from './place.js'
import type { Columns, ProbeOptions, ReadOptions, Row, SourceFile, TextRecord } from './types.js'

const loneSurrogate = /\p{Surrogate}/u

/**
 * A row whose values have been checked.
 * @param responds the last column of the text is the response, what is before it its prompt
 * @throws WarpError with its place
 */
export function toRecord(row: Row, number: number, file: SourceFile, columns: Columns, responds: boolean): TextRecord {
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
          : Array.isArray(value)
            ? `of a list name the values: --text "${columns.text[i]}[].content"`
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
  if (typeof value === 'string') return wholeNumber(value)
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

/** `3.0`, as tables with gaps write 3, is 3 in every format; anything else is as it stands. */
export const wholeNumber = (text: string): string =>
  /^-?\d+\.0+$/.test(text) ? text.slice(0, text.indexOf('.')) : text

/** What data sets write for texts that nobody labelled. */
const unlabeled = new Set(['-1', '-'])

/** A label that stands for none, unless the map or the model has it. */
export const meansUnlabeled = (label: string, map: ProbeOptions['labelMap'], labels: readonly string[] = []): boolean =>
  unlabeled.has(label) && mapped(label, map) === undefined && !labels.map(wholeNumber).includes(label)

/** No label, or what stands for none. */
export function isUnlabeled(record: TextRecord, { labelMap, labels }: ReadOptions): boolean {
  const label = record.label ?? record.domain
  return label === undefined || meansUnlabeled(label, labelMap, labels ?? [])
}

/** What a label map says of a raw label. */
export function mapped(label: string, map: Record<string, string> | undefined): string | undefined {
  if (map === undefined) return undefined
  if (Object.hasOwn(map, label)) return map[label]
  const other = Object.keys(map).find((raw) => wholeNumber(raw) === label)
  return other === undefined ? undefined : map[other]
}
