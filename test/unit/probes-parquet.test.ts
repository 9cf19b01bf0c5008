import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { readProbes } from '../../lib/text/index.js'
import { repositoryRoot } from '../support/shared.js'
import { all, failure, write } from '../support/probes-files.js'

// Files of pyarrow: test/fixtures/texts/make.py.
const fixture = (name: string): string => join(repositoryRoot, 'test/fixtures/texts', `${name}.parquet`)
const count = 12
const each = <T>(make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

test.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'delta'])('%s', async (name) => {
  expect(await all([fixture(name)])).toEqual(
    each((row) => ({
      text: `text ${row} ünï 漢 😀`,
      label: String(row % 2),
      source: `${fixture(name)}:${row + 1}`,
      row,
    })),
  )
})

test('values inside columns, of lists one or all of them; whole numbers in every type', async () => {
  const one = await all([fixture('zstd')], { text: ['messages[-1].content'], label: 'meta.label' })
  expect(one.map(({ text, label }) => [text, label])).toEqual(each((i) => [`a${i}`, 'ab'[i % 2]]))
  const notes: string[] = []
  const chat = await all([fixture('zstd')], { text: ['messages[].content'], label: 'score' }, { notes })
  expect(chat.map(({ text, label }) => [text, label])).toEqual(each((i) => [`q${i}\na${i}`, String(i % 2)]))
  expect(notes.join()).toMatch(/messages\[\]\.content.*newlines/)
})

test('as probes, with their bytes counted and hashed', async () => {
  const probes = await readProbes([fixture('gzip')], { labels: ['x', 'y'] })
  expect(probes.counts).toEqual([6, 6])
  expect(probes.inputs[0].size).toBe(readFileSync(fixture('gzip')).length)
  expect(probes.inputs[0].sha256).toMatch(/^[0-9a-f]{64}$/)
})

test('rows with gaps are refused by their number, or left out', async () => {
  expect(await failure(all([fixture('gaps')]))).toMatchObject({ code: 'PROBES_TEXT_MISSING', details: { line: 2 } })
  const notes: string[] = []
  const left = await all([fixture('gaps')], { skipInvalid: true, dropUnlabeled: true }, { notes })
  expect(left.map(({ text, row }) => [text, row])).toEqual([['a', 0]])
  expect(notes).toHaveLength(3)
  expect(notes.join()).toMatch(
    /1 unlabeled.*1 rows without a text.*gaps\.parquet:2.*1 rows with an empty text.*gaps\.parquet:3/,
  )
})

const bytes = readFileSync(fixture('zstd'))
const changed = (at: number, value: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at] = value
  return copy
}

test.each<[string, () => string, string, RegExp]>([
  ['another column', () => fixture('none'), 'PROBES_COLUMN_UNKNOWN', /did you mean "text"/],
  ['no rows', () => fixture('empty'), 'PROBES_EMPTY', /no text/],
  ['texts that are not UTF-8', () => fixture('latin'), 'PROBES_UTF8', /UTF-8/],
  ['a page of 300 MB in ten kilobytes', () => fixture('bomb'), 'PROBES_PARQUET_TOO_LARGE', /at most/],
  ['half a file', () => write('half.parquet', bytes.subarray(0, 2000)), 'PROBES_PARQUET_INVALID', /complete/],
  ['an end without a beginning', () => write('end.parquet', bytes.subarray(100)), 'PROBES_PARQUET_INVALID', /complete/],
  [
    'footer of another length',
    () => write('footer.parquet', changed(bytes.length - 6, 0xff)),
    'PROBES_PARQUET_INVALID',
    /./,
  ],
  ['a broken page', () => write('page.parquet', Buffer.from(bytes).fill(0xee, 30, 90)), 'PROBES_PARQUET_INVALID', /./],
  ['text with the name', () => write('text.parquet', 'text,label\na,b\n'), 'PROBES_PARQUET_INVALID', /./],
])('%s is refused', async (_, file, code, says) => {
  const options = code === 'PROBES_COLUMN_UNKNOWN' ? { text: ['txt'] } : {}
  const error = await failure(all([file()], options))
  expect(error).toMatchObject({ code, exitCode: 3, details: { file: file() } })
  expect(`${error.message}\n${error.hint}`).toMatch(says)
})

test('stdin, and Parquet inside gzip, are refused', async () => {
  const stdin = Readable.from([bytes])
  expect(await failure(all(['-'], { format: 'parquet' }, { stdin }))).toMatchObject({ code: 'PROBES_PARQUET_STDIN' })
  expect(await failure(all([write('a.parquet.gz', bytes)]))).toMatchObject({ code: 'PROBES_COMPRESSED' })
})
