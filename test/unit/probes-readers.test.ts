import { createHash } from 'node:crypto'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import type { ProbeOptions } from '../../lib/text/index.js'
import { readProbes } from '../../lib/text/index.js'
import { dataFile, whenPresent } from '../support/shared.js'
import { all, folder, write } from '../support/probes-files.js'

const rows = [
  { text: 'Grüße, "Welt"', label: 'World' },
  { text: 'a\nb\r\nc', label: 'Sports' },
  { text: '𝄞 \\ \t €', label: 'World' },
]
const expected = rows.map(({ text, label }, row) => ({ text, label, row }))
const bare = (records: { text: string; label?: string; row: number }[]): unknown[] =>
  records.map(({ text, label, row }) => ({ text, label, row }))

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
const csv = (separator: string, end: string): string =>
  [['text', 'label'], ...rows.map(({ text, label }) => [quoted(text), label])]
    .map((cells) => cells.join(separator) + end)
    .join('')

describe('every format gives the same records', () => {
  test.each([
    ['a.jsonl', rows.map((row) => JSON.stringify(row)).join('\n')],
    ['a.ndjson', rows.map((row) => `${JSON.stringify(row)}\r\n`).join('\n')],
    ['a.json', JSON.stringify(rows)],
    ['pretty.json', `\n${JSON.stringify(rows, null, 2)}\n`],
    ['a.csv', csv(',', '\n')],
    ['windows.csv', csv(',', '\r\n')],
    ['old-mac.csv', csv(',', '\r')],
    ['open-end.csv', csv(',', '\n').slice(0, -1)],
    ['a.tsv', csv('\t', '\n')],
    ['marked.csv', `\ufeff${csv(',', '\n')}`],
    ['marked.jsonl', `\ufeff${rows.map((row) => JSON.stringify(row)).join('\n')}`],
    ['marked.json', `\ufeff${JSON.stringify(rows)}`],
  ])('%s', async (name, content) => {
    // line ends inside quotes are not expected in a TSV
    const options = name.endsWith('.tsv') ? { quotes: true } : {}
    expect(bare(await all([write(name, content)], options))).toEqual(expected)
  })

  test('stdin is JSON lines, or what --format says', async () => {
    const pieces = (text: string): Readable => Readable.from([...Buffer.from(text)].map((byte) => Buffer.of(byte)))
    const lines = rows.map((row) => JSON.stringify(row)).join('\n')
    expect(bare(await all(['-'], {}, { stdin: pieces(lines) }))).toEqual(expected)
    expect(bare(await all(['-'], { format: 'csv' }, { stdin: pieces(csv(',', '\n')) }))).toEqual(expected)
    expect(bare(await all(['-'], { format: 'json' }, { stdin: pieces(JSON.stringify(rows)) }))).toEqual(expected)
  })

  test('--format overrides the extension', async () => {
    expect(
      bare(await all([write('lines.dat', rows.map((row) => JSON.stringify(row)).join('\n'))], { format: 'jsonl' })),
    ).toEqual(expected)
  })

  test('any texts survive CSV, TSV, JSON and JSON lines, cut into pieces anywhere', async () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter((value) => value.trim() !== '')
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 9 }),
        async (texts, size) => {
          const records = texts.map((value) => ({ text: value, label: 'x' }))
          const contents: [NonNullable<ProbeOptions['format']>, string][] = [
            ['csv', ['text,label', ...texts.map((value) => `${quoted(value)},x`)].join('\n')],
            ['tsv', ['text\tlabel', ...texts.map((value) => `${quoted(value)}\tx`)].join('\r\n')],
            ['json', JSON.stringify(records)],
            ['jsonl', records.map((record) => JSON.stringify(record)).join('\n')],
          ]
          for (const [format, content] of contents) {
            const bytes = Buffer.from(content)
            const pieces: Buffer[] = []
            for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
            const read = await all(
              ['-'],
              { format, ...(format === 'tsv' && { quotes: true }) },
              { stdin: Readable.from(pieces) },
            )
            expect(read.map((record) => record.text)).toEqual(texts)
          }
        },
      ),
      { numRuns: 60, seed: 1 },
    )
  })
})

describe('columns', () => {
  test('no header, several text columns, integer labels', async () => {
    const path = write('ag.csv', '"3","Wall St.","Bears, claw"\n"4","Race","two\nlines"\n')
    const records = await all([path], { columns: ['label', 'title', 'description'], text: ['title', 'description'] })
    expect(records).toEqual([
      { text: 'Wall St. Bears, claw', label: '3', source: `${path}:1`, row: 0 },
      { text: 'Race two\nlines', label: '4', source: `${path}:2`, row: 1 },
    ])
  })

  test('label, domain and text columns by name; numbers as labels in JSON', async () => {
    const path = write('named.jsonl', '{"t": "one", "l": 0, "d": "x"}\n{"t": "two", "l": "1", "d": "y"}\n')
    expect(await all([path], { text: ['t'], label: 'l', domain: 'd' })).toEqual([
      { text: 'one', label: '0', domain: 'x', source: `${path}:1`, row: 0 },
      { text: 'two', label: '1', domain: 'y', source: `${path}:2`, row: 1 },
    ])
  })

  test('a text without label or domain is a record; --label-map maps what it names', async () => {
    const path = write('bare.jsonl', '{"text": "one"}\n{"text": "two", "label": 2}\n{"text": "three", "label": 3}')
    expect((await all([path], { labelMap: { 2: 'Sports' } })).map(({ label }) => label)).toEqual([
      undefined,
      'Sports',
      '3',
    ])
  })

  test('names of object prototypes are no columns', async () => {
    const path = write('proto.jsonl', '{"text": "one", "label": "constructor"}')
    expect(await all([path], { labelMap: {} })).toEqual([
      { text: 'one', label: 'constructor', source: `${path}:1`, row: 0 },
    ])
    await expect(all([path], { text: ['toString'] })).rejects.toMatchObject({ code: 'PROBES_COLUMN_UNKNOWN' })
  })
})

describe('places', () => {
  test('rows carry the physical line on which they begin, over several sources', async () => {
    const table = write('lines.csv', 'text,label\r\n\r\n"a\r\nb",x\r\n\n\nc,x\n"d\n\n",x')
    const lines = write('lines.jsonl', '\n{"text": "e"}\n\n{"text": "f"}')
    const array = write('lines.json', '[\n\n{"text":\n "g"},{"text": "h"}\n,\n{"text": "i"}]')
    expect((await all([table, lines, array])).map(({ source, row }) => [source, row])).toEqual([
      [`${table}:3`, 0],
      [`${table}:7`, 1],
      [`${table}:8`, 2],
      [`${lines}:2`, 3],
      [`${lines}:4`, 4],
      [`${array}:3`, 5],
      [`${array}:4`, 6],
      [`${array}:6`, 7],
    ])
  })

  test('lines are counted across pieces of the file', async () => {
    const count = 30_000
    const path = write('long.csv', `text,label\n${'"a,\n",x\n'.repeat(count)}b,x`)
    const records = await all([path])
    expect(records.length).toBe(count + 1)
    expect(records[count].source).toBe(`${path}:${2 * count + 2}`)
  })
})

describe('a directory of domains', () => {
  const tree = (name: string, files: Record<string, string>): string => {
    for (const [path, content] of Object.entries(files)) write(join(name, path), content)
    return join(folder, name)
  }
  const short = (records: { text: string; domain?: string; label?: string }[]): unknown[] =>
    records.map(({ text, domain, label }) => [text, domain, label])

  test('a .txt file per domain holds a text per line', async () => {
    const path = tree('files', { 'b.txt': 'one\r\n\ntwo', 'a.txt': 'three\n' })
    expect(short(await all([path]))).toEqual([
      ['three', 'a', undefined],
      ['one', 'b', undefined],
      ['two', 'b', undefined],
    ])
  })

  test('in a folder per domain each .txt file is one text; hidden files do not count', async () => {
    const path = tree('folders', {
      'b/2.txt': 'one\ntwo\n',
      'b/1.txt': 'three',
      'a/x.txt': 'four',
      '.hidden': '?',
      'a/.DS_Store': '?',
    })
    expect(short(await all([path]))).toEqual([
      ['four', 'a', undefined],
      ['three', 'b', undefined],
      ['one\ntwo', 'b', undefined],
    ])
  })

  test('JSONL and CSV per domain, in files or folders; the name is the domain', async () => {
    const path = tree('mixed', {
      'a.jsonl': '{"text": "one", "label": "x"}',
      'b/part-1.csv': 'text\ntwo\n',
      'b/part-2.jsonl': '{"text": "three", "domain": "q"}',
    })
    expect(short(await all([path]))).toEqual([
      ['one', 'a', 'x'],
      ['two', 'b', undefined],
      ['three', 'b', undefined],
    ])
  })

  test('links are followed', async () => {
    const path = tree('links', { 'a.txt': 'one' })
    symlinkSync(write('elsewhere/b.txt', 'two'), join(path, 'b.txt'))
    expect(short(await all([path]))).toEqual([
      ['one', 'a', undefined],
      ['two', 'b', undefined],
    ])
  })
})

describe('what was read', () => {
  const labels = ['a', 'b']
  test('size and SHA-256 of each source, also of stdin and of a folder', async () => {
    const content = '{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}\n'
    const path = write('hashed.jsonl', `\ufeff${content}`)
    const folderPath = join(folder, 'hashed')
    write('hashed/a.txt', 'one')
    write('hashed/b.txt', 'two')
    const sha256 = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')
    const { inputs } = await readProbes(
      [path, '-', folderPath],
      { labels },
      { stdin: Readable.from([Buffer.from(content)]) },
    )
    expect(inputs).toEqual([
      { path, size: content.length + 3, sha256: sha256(`\ufeff${content}`) },
      { path: '-', size: content.length, sha256: sha256(content) },
      { path: folderPath, size: 6, sha256: sha256(`a.txt\0${sha256('one')}\nb.txt\0${sha256('two')}\n`) },
    ])
  })

  test('progress never goes back and ends at the total', async () => {
    const paths = [1, 2].map((i) => write(`progress-${i}.jsonl`, '{"text": "one", "label": "a"}\n'.repeat(9000)))
    const seen: { done: number; total: number }[] = []
    await all(paths, {}, { onProgress: (progress) => seen.push(progress) })
    expect(seen.length).toBeGreaterThan(4)
    seen.forEach(({ done }, i) => expect(done).toBeGreaterThan(i === 0 ? 0 : seen[i - 1].done))
    expect(seen.at(-1)).toMatchObject({ done: 2 * 9000 * 30, total: 2 * 9000 * 30 })
  })

  test('an abort stops a file and a silent pipe', async () => {
    const path = write('abort.jsonl', '{"text": "one", "label": "a"}\n'.repeat(90_000))
    const control = new AbortController()
    const reason = new Error('enough')
    let count = 0
    const reading = all(
      [path],
      {},
      { signal: control.signal, onProgress: () => ++count === 2 && control.abort(reason) },
    )
    await expect(reading).rejects.toBe(reason)
    expect(count).toBeLessThan(6)
    const silent = new AbortController()
    const stdin = new Readable({ read() {} })
    setTimeout(() => silent.abort(reason), 20)
    await expect(all(['-'], {}, { signal: silent.signal, stdin })).rejects.toBe(reason)
    expect(stdin.destroyed).toBe(true)
    await expect(all([path], {}, { signal: silent.signal })).rejects.toBe(reason)
  })
})

whenPresent(dataFile('ag_news_test.csv'))('reads AG News', async () => {
  const path = dataFile('ag_news_test.csv')
  const set = await readProbes([path], {
    columns: ['label', 'title', 'description'],
    text: ['title', 'description'],
    labels: ['World', 'Sports', 'Business', 'Sci/Tech'],
    labelMap: { 1: 'World', 2: 'Sports', 3: 'Business', 4: 'Sci/Tech' },
  })
  expect(set.counts).toEqual([1900, 1900, 1900, 1900])
  expect(set.domains).toEqual(['World', 'Sports', 'Business', 'Sci/Tech'])
  expect(set.texts[0]).toMatch(/^Fears for T N pension after talks Unions/)
  expect(set.sources[7599]).toBe(`${path}:7600`)
  expect(set.notes).toEqual([])
})

whenPresent(dataFile('clinc_domains.jsonl'))('reads CLINC', async () => {
  expect((await all([dataFile('clinc_domains.jsonl')])).length).toBe(22_500)
})
