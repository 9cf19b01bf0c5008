import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import type { ProbeOptions } from '../../lib/text/index.js'
import { all, failure, folder, write } from '../support/probes-files.js'

interface Refusal {
  /** name and content of the file */
  file: [string, string | Buffer]
  options?: ProbeOptions
  code: string
  /** of the details: line, column, offset, found, … */
  at?: Record<string, unknown>
  /** of message and hint, in this order */
  says?: (string | RegExp)[]
}

const good = '{"text": "one", "label": "x"}\n'
const lines = (...rows: string[]): string => `${rows.join('\n')}\n`

const refusals: Record<string, Refusal> = {
  // the extension lies
  'a JSON array in .jsonl': {
    file: ['a.jsonl', '[{"text": "one"}]'],
    code: 'PROBES_FORMAT_LIES',
    at: { offset: 0, expected: 'jsonl', found: 'a JSON array' },
    says: [/--format json$/],
  },
  'JSON lines in .json': { file: ['a.json', good + good], code: 'PROBES_FORMAT_LIES', says: [/--format jsonl$/] },
  'JSON lines in .csv': { file: ['a.csv', good], code: 'PROBES_FORMAT_LIES', says: [/--format jsonl$/] },
  'a JSON array in .tsv': { file: ['a.tsv', `\n[\n ${good}]`], code: 'PROBES_FORMAT_LIES', says: [/--format json$/] },
  'a PDF document': { file: ['a.txt', '%PDF-1.7\n'], code: 'PROBES_FORMAT_LIES' },
  'gzip behind .jsonl': {
    file: ['z.jsonl', gzipSync(good)],
    code: 'PROBES_COMPRESSED',
    at: { offset: 0 },
    says: ['.gz'],
  },
  'ZIP behind .csv': {
    file: ['z.csv', Buffer.from('PK\x03\x04....')],
    code: 'PROBES_COMPRESSED',
    says: ['ZIP', 'unzip'],
  },
  Zstandard: { file: ['s.jsonl', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0])], code: 'PROBES_COMPRESSED' },
  bzip2: { file: ['b.jsonl', 'BZh91AY&SY'], code: 'PROBES_COMPRESSED' },
  xz: { file: ['x.jsonl', Buffer.from('\xfd7zXZ\0', 'latin1')], code: 'PROBES_COMPRESSED' },
  'a compression that is not read': { file: ['a.jsonl.bz2', good], code: 'PROBES_COMPRESSED' },
  'Parquet behind .csv': {
    file: ['p.csv', 'PAR1\x15\x04\x15'],
    code: 'PROBES_FORMAT_LIES',
    says: ['--format parquet'],
  },
  'encrypted Parquet': { file: ['e.parquet', 'PARE\x80\x02\0\0....PARE'], code: 'PROBES_PARQUET_ENCRYPTED' },
  'a Parquet extension': { file: ['p.parquet', 'PAR1....'], code: 'PROBES_PARQUET_INVALID' },
  'a Git LFS pointer': {
    file: ['l.jsonl', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'],
    code: 'PROBES_LFS_POINTER',
    says: ['git lfs pull'],
  },
  'an HTML page': { file: ['h.csv', '\n<!DOCTYPE html>\n<html>'], code: 'PROBES_HTML' },
  'an HTML page without a doctype': { file: ['h.txt', '<html lang="en">'], code: 'PROBES_HTML' },
  'an unknown extension': {
    file: ['a.doc', good],
    code: 'PROBES_FORMAT_UNKNOWN',
    at: { found: '.doc' },
    says: ['.jsonl', '--format'],
  },
  'no extension': { file: ['data', good], code: 'PROBES_FORMAT_UNKNOWN', at: { found: '' } },

  // empty
  'an empty file': { file: ['e.jsonl', ''], code: 'PROBES_EMPTY' },
  'an empty CSV file': { file: ['e.csv', '\n\n'], code: 'PROBES_EMPTY' },
  'only a byte order mark': { file: ['e.json', '\ufeff'], code: 'PROBES_EMPTY' },
  'an empty array': { file: ['e2.json', '[ ]'], code: 'PROBES_EMPTY' },
  'only blank lines': { file: ['e.txt', ' \n\n'], code: 'PROBES_EMPTY' },
  'header only': { file: ['h2.csv', 'text,label\n'], code: 'PROBES_HEADER_ONLY' },

  // JSON
  'a line that is not JSON': {
    file: ['j.jsonl', lines(good.trim(), '{"text": "two", label: 1}')],
    code: 'PROBES_JSON_INVALID',
    at: { line: 2, column: 17 },
    says: [/j\.jsonl:2:17: .*"l" instead of a name/],
  },
  'a line that ends too early': {
    file: ['j2.jsonl', '{"text": "two"\n'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 1, column: 15 },
    says: ['the end'],
  },
  'a pretty-printed object in .jsonl': {
    file: ['j3.jsonl', '{\n "text": "one"\n}'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 1, column: 2 },
    says: ['one JSON object per line'],
  },
  'two objects on a line': {
    file: ['j4.jsonl', '{"text": "a"} {"text": "b"}'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 1, column: 15 },
  },
  'a key twice': {
    file: [
      'k.jsonl',
      lines('{"text": "text", "label": "label"}', '{"text": "a", "label": "x", "\\u0074ext": "b", "text": "c"}'),
    ],
    code: 'PROBES_DUPLICATE_KEY',
    at: { line: 2, column: 1 },
  },
  'a string as a line': {
    file: ['n.jsonl', lines(good.trim(), '"two"')],
    code: 'PROBES_NOT_OBJECT',
    at: { line: 2, column: 1, found: 'a string (two)' },
  },
  'null as a line': { file: ['n2.jsonl', 'null'], code: 'PROBES_NOT_OBJECT', says: ['null'] },
  'an array as a later line': {
    file: ['n3.jsonl', lines(good.trim(), '["two", "x"]')],
    code: 'PROBES_NOT_OBJECT',
    at: { line: 2 },
    says: ['an array'],
  },
  'an object instead of an array': {
    file: ['o.json', '{"data": [{"text": "one"}]}'],
    code: 'PROBES_NOT_ARRAY',
    at: { line: 1, column: 1 },
  },
  'an array of strings': { file: ['o2.json', '[\n  "one"]'], code: 'PROBES_NOT_OBJECT', at: { line: 2, column: 3 } },
  'an array of arrays': { file: ['o3.json', '[["one", "x"]]'], code: 'PROBES_NOT_OBJECT', at: { line: 1, column: 2 } },
  'an array with a comma too much': {
    file: ['o4.json', '[{"text": "one"},\n]'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 2, column: 1 },
  },
  'an array with a comma too few': {
    file: ['o5.json', '[{"text": "one"}\n {"text": "two"}]'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 2, column: 2 },
    says: ['","'],
  },
  'an array that is not closed': {
    file: ['o6.json', '[{"text": "one"}'],
    code: 'PROBES_JSON_INVALID',
    says: ['not closed'],
  },
  'an element that is not closed': {
    file: ['o7.json', '[\n{"text":\n "one"'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 3, column: 7 },
  },
  'something after the array': {
    file: ['o8.json', '[{"text": "one"}]\n[]'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 2, column: 1 },
  },
  'a fault inside an element': {
    file: ['o9.json', '[{"text": "one"},\n {"text":\n  one}]'],
    code: 'PROBES_JSON_INVALID',
    at: { line: 3, column: 3 },
  },

  // encoding
  'invalid UTF-8': {
    file: ['u.jsonl', Buffer.concat([Buffer.from(good), Buffer.from([0x7b, 0xe9, 0x22])])],
    code: 'PROBES_UTF8',
    at: { offset: good.length + 1 },
    says: [`at byte ${good.length + 1}`, 'UTF-8'],
  },
  'invalid UTF-8 after a byte order mark': {
    file: ['u2.csv', Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff])],
    code: 'PROBES_UTF8',
    at: { offset: 4 },
  },
  'a character cut off at the end': {
    file: ['u3.txt', Buffer.from([0x61, 0xe2, 0x82])],
    code: 'PROBES_UTF8',
    at: { offset: 1 },
  },
  'an overlong sequence': { file: ['u4.txt', Buffer.from([0x61, 0xc0, 0x80])], code: 'PROBES_UTF8', at: { offset: 1 } },
  'an encoded surrogate': {
    file: ['u5.txt', Buffer.from([0x61, 0x62, 0xed, 0xa0, 0x80])],
    code: 'PROBES_UTF8',
    at: { offset: 2 },
  },
  'invalid UTF-8 far into a file': {
    file: ['u6.txt', Buffer.concat([Buffer.from('é'.repeat(50_000)), Buffer.from([0x80])])],
    code: 'PROBES_UTF8',
    at: { offset: 100_000 },
  },
  'UTF-16': {
    file: ['w.csv', Buffer.from('\ufefftext,label\n', 'utf16le')],
    code: 'PROBES_ENCODING',
    says: ['UTF-16', 'iconv'],
  },
  'UTF-32': {
    file: ['w2.csv', Buffer.from([0xff, 0xfe, 0, 0, 0x74, 0, 0, 0])],
    code: 'PROBES_ENCODING',
    says: ['UTF-32'],
  },
  'half a surrogate pair in a text': {
    file: ['s2.jsonl', lines(good.trim(), '{"text": "ab\\ud83d c", "label": "x"}')],
    code: 'PROBES_LONE_SURROGATE',
    at: { line: 2 },
    says: ['character 3'],
  },
  'half a surrogate pair in a label': {
    file: ['s3.json', '[{"text": "a", "label": "\\udc00"}]'],
    code: 'PROBES_LONE_SURROGATE',
    says: ['label'],
  },

  // values
  'a missing text': {
    file: ['t.jsonl', lines(good.trim(), '{"label": "x"}')],
    code: 'PROBES_TEXT_MISSING',
    at: { line: 2 },
  },
  'a null text': { file: ['t2.jsonl', '{"text": null}'], code: 'PROBES_TEXT_MISSING', says: ['null'] },
  'an empty text': { file: ['t3.csv', 'text,label\none,x\n"",x\n'], code: 'PROBES_TEXT_EMPTY', at: { line: 3 } },
  'a text of white space': {
    file: ['t4.jsonl', '{"text": " \\u00a0\\n"}'],
    code: 'PROBES_TEXT_EMPTY',
    at: { line: 1 },
  },
  'a number as text': {
    file: ['t5.jsonl', '{"text": 5}'],
    code: 'PROBES_TEXT_TYPE',
    at: { found: 'a number (5)', expected: 'string' },
  },
  'a list as text': { file: ['t6.json', '[{"text": ["a"]}]'], code: 'PROBES_TEXT_TYPE', says: ['an array'] },
  'an empty folder text': { file: ['dir/a/1.txt', '\n'], code: 'PROBES_TEXT_EMPTY' },
  'a label that is a fraction': {
    file: ['l2.jsonl', '{"text": "a", "label": 1.5}'],
    code: 'PROBES_LABEL_TYPE',
    says: ['1.5'],
  },
  'a label that is a list': { file: ['l3.jsonl', '{"text": "a", "label": [1]}'], code: 'PROBES_LABEL_TYPE' },
  'a domain that is an object': { file: ['d.jsonl', '{"text": "a", "domain": {}}'], code: 'PROBES_DOMAIN_TYPE' },
  'a missing domain': {
    file: ['d2.jsonl', lines('{"text": "a", "d": "x"}', '{"text": "b", "d": null}')],
    options: { domain: 'd' },
    code: 'PROBES_DOMAIN_MISSING',
    at: { line: 2 },
  },
  'a domain that is not allowed': {
    file: ['d3.jsonl', lines('{"text": "a", "domain": "sport"}', '{"text": "b", "domain": "sprot"}')],
    options: { domains: ['sport', 'law'] },
    code: 'PROBES_DOMAIN_UNKNOWN',
    at: { line: 2, found: 'sprot' },
    says: ['"sport", "law"', 'did you mean "sport"?'],
  },

  // columns
  'an unknown column of CSV': {
    file: ['c.csv', 'Texts,Label\none,x\n'],
    code: 'PROBES_COLUMN_UNKNOWN',
    at: { line: 1, expected: 'text', found: ['Texts', 'Label'] },
    says: ['"Texts", "Label"', 'did you mean "Texts"?'],
  },
  'an unknown column of JSON': {
    file: ['c.json', '[{"body": "a", "label": "x"}]'],
    options: { text: ['bdoy'] },
    code: 'PROBES_COLUMN_UNKNOWN',
    says: ['did you mean "body"?'],
  },
  'an unknown label column': {
    file: ['c2.csv', 'text,y\none,x\n'],
    options: { label: 'class' },
    code: 'PROBES_COLUMN_UNKNOWN',
    says: ['"class"'],
  },
  'an unknown domain column': {
    file: ['c3.jsonl', good],
    options: { domain: 'topic' },
    code: 'PROBES_COLUMN_UNKNOWN',
    says: ['"topic"'],
  },
  'columns that do not name the text': {
    file: ['c4.csv', 'one,x\n'],
    options: { columns: ['a', 'b'] },
    code: 'PROBES_COLUMN_UNKNOWN',
    says: ['--columns'],
  },
  'tabs in a CSV file': {
    file: ['c5.csv', 'text\tlabel\none\tx\n'],
    code: 'PROBES_COLUMN_UNKNOWN',
    says: ['--format tsv'],
  },
  'commas in a TSV file': {
    file: ['c6.tsv', 'text,label\none,x\n'],
    code: 'PROBES_COLUMN_UNKNOWN',
    says: ['--format csv'],
  },
  'semicolons in a CSV file': { file: ['c7.csv', 'text;label\none;x\n'], code: 'PROBES_COLUMN_UNKNOWN', says: ['";"'] },
  'a column twice': { file: ['c8.csv', 'text,label,text\none,x,two\n'], code: 'PROBES_COLUMN_TWICE', at: { line: 1 } },
  'a header although there are --columns': {
    file: ['c9.csv', 'text,label\none,x\n'],
    options: { columns: ['text', 'label'] },
    code: 'PROBES_HEADER_TWICE',
    at: { line: 1 },
  },

  // rows
  'a row with too few cells': {
    file: ['r.csv', 'text,label\none,x\n\n"two\n"\n'],
    code: 'PROBES_RAGGED_ROW',
    at: { line: 4, expected: 2, found: 1 },
  },
  'a row with too many cells': {
    file: ['r2.tsv', 'text\tlabel\none\tx\ty\n'],
    code: 'PROBES_RAGGED_ROW',
    at: { line: 2, expected: 2, found: 3 },
  },
  'rows that differ from --columns': {
    file: ['r3.csv', 'one,x\ntwo\n'],
    options: { columns: ['text', 'label'] },
    code: 'PROBES_RAGGED_ROW',
    at: { line: 2 },
  },
  'an unclosed quote': {
    file: ['q.csv', 'text,label\none,x\n"two\nlines",x\nthé,"x\nfour,x\nfive,x\n'],
    code: 'PROBES_QUOTE_UNCLOSED',
    at: { line: 5, column: 5 },
    says: [/q\.csv:5:5/],
  },
  'an unclosed quote that meets another': {
    file: ['q2.csv', 'text,label\n"one,x\ntwo,x\n"three",x\n'],
    code: 'PROBES_QUOTE_STRAY',
    at: { line: 4, column: 2, openedLine: 2 },
    says: ['line 2, column 1'],
  },
  'a quote inside a bare field': {
    file: ['q3.csv', 'text,label\n5" floppy,x\n'],
    code: 'PROBES_QUOTE_STRAY',
    at: { line: 2, column: 2 },
  },
  'text after a closing quote': {
    file: ['q4.tsv', 'text\tlabel\r\n"one" two\tx\r\n'],
    options: { quotes: true },
    code: 'PROBES_QUOTE_STRAY',
    at: { line: 2, column: 6 },
  },
  'a fault before a quote wins': {
    file: ['q5.csv', 'text,label\none\n"two'],
    code: 'PROBES_RAGGED_ROW',
    at: { line: 2 },
  },
}

describe('a file that is refused', () => {
  test.each(Object.entries(refusals))('%s', async (_, { file: [name, content], options, code, at, says }) => {
    const path = write(join('refused', name), content)
    const error = await failure(all([name.startsWith('dir/') ? join(folder, 'refused/dir') : path], options))
    expect(error).toMatchObject({ code, kind: 'input', exitCode: 3, details: { file: path, ...at } })
    expect(error.message).toContain(path)
    expect(error.hint).not.toBe('')
    const said = `${error.message}\n${error.hint}`
    for (const words of says ?? [])
      expect(said).toMatch(words instanceof RegExp ? words : new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
  })

  test.each(['PARENTS', 'PAR1 is a magic', 'BZh1 too', 'PK', 'version https'])(
    'a text may begin with "%s"',
    async (text) => {
      expect((await all([write('magic.txt', text)]))[0].text).toBe(text)
    },
  )

  test('the same from stdin names stdin', async () => {
    const error = await failure(all(['-'], {}, { stdin: Readable.from([Buffer.from('{"text": 1}')]) }))
    expect(error).toMatchObject({ code: 'PROBES_TEXT_TYPE', details: { file: 'stdin', line: 1 } })
  })
})
