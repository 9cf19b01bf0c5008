import { join } from 'node:path'
import { Readable } from 'node:stream'
import zlib, { gzipSync } from 'node:zlib'
import { readProbes } from '../../lib/text/index.js'
import { all, failure, folder, write } from '../support/probes-files.js'

const lines = ['{"text": "one", "label": "a"}', '{"text": "two", "label": "b"}', ''].join('\n')
const textsOf = async (...args: Parameters<typeof all>): Promise<string[]> =>
  (await all(...args)).map(({ text }) => text)

describe('compressed files', () => {
  test('gzip, of one part or several, by the ending of the name', async () => {
    expect(await textsOf([write('a.jsonl.gz', gzipSync(lines))])).toEqual(['one', 'two'])
    const parts = Buffer.concat([gzipSync(lines), gzipSync(lines.replace('one', 'three'))])
    expect(await textsOf([write('b.JSONL.GZ', parts)])).toEqual(['one', 'two', 'three', 'two'])
    expect(await textsOf([write('c.csv.gz', gzipSync('text,label\nx,y\n'))])).toEqual(['x'])
    expect(await textsOf([write('d.gz', gzipSync(lines))], { format: 'jsonl' })).toEqual(['one', 'two'])
  })

  test('in a folder of domains', async () => {
    write('domains/sports.txt.gz', gzipSync('one\ntwo\n'))
    write('domains/world/a.jsonl.gz', gzipSync(lines))
    const records = await all([join(folder, 'domains')])
    expect(records.map(({ text, domain }) => [text, domain])).toEqual([
      ['one', 'sports'],
      ['two', 'sports'],
      ['one', 'world'],
      ['two', 'world'],
    ])
  })

  const { zstdCompressSync } = zlib as typeof zlib & { zstdCompressSync?: (text: string) => Buffer }
  test('Zstandard where this Node has it, else refused with the version that does', async () => {
    const frame = zstdCompressSync?.(lines) ?? Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0])
    const file = write('a.jsonl.zst', frame)
    if (zstdCompressSync !== undefined) expect(await textsOf([file])).toEqual(['one', 'two'])
    else
      expect(await failure(all([file]))).toMatchObject({
        code: 'PROBES_ZSTD_UNSUPPORTED',
        hint: expect.stringContaining('unzstd') as string,
      })
  })

  test.each<[string, () => Buffer, string]>([
    ['half of it', () => gzipSync(lines.repeat(1000)).subarray(0, 60), 'PROBES_COMPRESSION_DAMAGED'],
    ['something else', () => Buffer.from(lines), 'PROBES_COMPRESSION_DAMAGED'],
    [
      'a wrong sum',
      () => ((packed) => packed.fill(0, packed.length - 8, packed.length - 4))(gzipSync(lines)),
      'PROBES_COMPRESSION_DAMAGED',
    ],
    ['a gigabyte of blanks', () => gzipSync(Buffer.alloc(2 ** 28, '\n')), 'PROBES_COMPRESSION_RATIO'],
    ['JSON inside', () => gzipSync(`[${lines.split('\n')[0]}]`), 'PROBES_FORMAT_LIES'],
  ])('%s is refused', async (name, make, code) => {
    const file = write(`${name}.jsonl.gz`, make())
    expect(await failure(all([file]))).toMatchObject({ code, exitCode: 3, details: { file } })
  })
})

test.each(['dataset_dict.json', 'state.json'])('a data set as Arrow files (%s): how to convert it', async (sign) => {
  write(`saved-${sign}/${sign}`, '{}')
  write(`saved-${sign}/data-00000-of-00001.arrow`, 'ARROW1')
  const error = await failure(all([join(folder, `saved-${sign}`)]))
  expect(error).toMatchObject({ code: 'PROBES_ARROW_UNSUPPORTED', exitCode: 3 })
  expect(error.hint).toContain(`load_from_disk('${join(folder, `saved-${sign}`)}').to_json`)
  expect(await failure(all([join(folder, `saved-${sign}`, 'data-00000-of-00001.arrow')]))).toMatchObject({
    code: 'PROBES_ARROW_UNSUPPORTED',
  })
})

describe('values inside columns', () => {
  const rows = [
    {
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: 'a' },
      ],
      meta: { label: 'x', 'a.b': 1 },
      'odd.name': 'o',
      list: [['1', '2'], ['3']],
    },
  ]
  const file = (): string => write('nested.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
  test.each([
    ['messages[].content', 'q\na'],
    ['messages[0].content', 'q'],
    ['messages[-1].content', 'a'],
    ['odd.name', 'o'],
    ['meta.label', 'x'],
    ['list[][]', '1\n2\n3'],
  ])('%s', async (path, text) => {
    expect(await textsOf([file()], { text: [path], label: 'meta.label' })).toEqual([text])
  })
  test('several together, and where there is none', async () => {
    expect(await textsOf([file()], { text: ['odd.name', 'messages[].role'] })).toEqual(['o user\nassistant'])
    expect(await failure(all([file()], { text: ['messages[5].content'] }))).toMatchObject({
      code: 'PROBES_TEXT_MISSING',
    })
    expect(await failure(all([file()], { text: ['message[].content'] }))).toMatchObject({
      code: 'PROBES_COLUMN_UNKNOWN',
    })
    const whole = await failure(all([file()], { text: ['messages'] }))
    expect(whole).toMatchObject({ code: 'PROBES_TEXT_TYPE' })
    expect(whole.hint).toContain('messages[].')
    const mixed = write('mixed.jsonl', '{"messages": [{"content": "a"}, {"content": null}]}')
    expect(await failure(all([mixed], { text: ['messages[].content'] }))).toMatchObject({ code: 'PROBES_TEXT_MISSING' })
  })
})

describe('quotes in TSV', () => {
  const tsv = (...rows: string[]): string => ['text\tlabel', ...rows, ''].join('\n')
  let number = 0
  const read = (content: string, options = {}, notes: string[] = []) =>
    textsOf([write(`quotes-${number++}.tsv`, content)], options, { notes })

  test('a lone quote swallows nothing: it is part of the text', async () => {
    const notes: string[] = []
    expect(await read(tsv('"lone\ta', 'two\tb', '5" disk\tc', '"all" of it\td'), {}, notes)).toEqual([
      '"lone',
      'two',
      '5" disk',
      '"all" of it',
    ])
    expect(notes.join()).toMatch(/quotes are part of the texts.*--quotes/)
  })

  test('fields in quotes are read without them, and said', async () => {
    const notes: string[] = []
    const content = tsv('"one ""word"""\ta', 'two\tb')
    expect(await read(content, {}, notes)).toEqual(['one "word"', 'two'])
    expect(notes.join()).toMatch(/--no-quotes/)
    expect(await read(content, { quotes: false })).toEqual(['"one ""word"""', 'two'])
  })

  test('a field that would span lines is an error, unless asked for', async () => {
    const content = tsv('"one\ta', 'two"\tb', 'three\tc')
    const error = await failure(read(content))
    expect(error).toMatchObject({ code: 'PROBES_QUOTE_SPANS', details: { line: 2, found: 3 } })
    expect(error.hint).toContain('--no-quotes')
    expect(await read(content, { quotes: false })).toEqual(['"one', 'two"', 'three'])
    expect(await read(tsv('"one', 'two"\tb'), { quotes: true })).toEqual(['one\ntwo'])
  })

  test('a fault after the beginning names the way out; no row is lost', async () => {
    const many = Array.from({ length: 9000 }, (_, i) => `"text ${i}"\ta`)
    expect((await read(tsv(...many))).length).toBe(9000)
    expect((await failure(read(tsv(...many, '"lone\tb', 'last\tc')))).hint).toContain('--no-quotes')
    const plain = Array.from({ length: 9000 }, (_, i) => `text ${i}\ta`)
    expect((await read(tsv(...plain, '"lone\tb', 'last\tc'), { quotes: false })).length).toBe(9002)
  })

  test('--no-quotes for CSV', async () => {
    const file = write('plain.csv', 'text,label\n"one,a\n5" disk,b\n')
    expect(await textsOf([file], { quotes: false })).toEqual(['"one', '5" disk'])
  })
})

describe('--skip-invalid', () => {
  const rows = [
    '{"text": "one", "label": "a"}',
    '{"text": null, "label": "a"}',
    '{"text": " ", "label": "b"}',
    '{"text": "\\ud800", "label": "b"}',
    '{"text": "x", "label": "zzz"}',
    '{"text": "x"}',
    '{"text": "two", "label": "b"}',
    '{"text": 5, "label": "b"}',
  ]
  const file = (): string => write('invalid.jsonl', rows.join('\n'))

  test('leaves out what cannot be used, counts it and lists where', async () => {
    const probes = await readProbes([file()], { labels: ['a', 'b'], skipInvalid: true })
    expect(probes.texts).toEqual(['one', 'two'])
    const notes = probes.notes.filter((note) => note.includes('--skip-invalid'))
    expect(notes.map((note) => Number(note.split(' ')[0])).reduce((a, b) => a + b)).toBe(6)
    for (const [line, why] of [
      [2, 'without a text'],
      [3, 'empty'],
      [4, 'surrogate'],
      [5, 'none of the model'],
      [6, 'without a label'],
      [8, 'no string'],
    ]) {
      expect(notes.find((note) => note.includes(`${why}`))).toContain(`invalid.jsonl:${line}`)
    }
    await expect(readProbes([file()], { labels: ['a', 'b'] })).rejects.toMatchObject({ code: 'PROBES_TEXT_MISSING' })
  })

  test('a file of which nothing is left is refused: the column is a wrong one', async () => {
    const wrong = write('wrong.jsonl', '{"text": 1, "label": "a"}\n{"text": 2, "label": "b"}')
    expect(await failure(all([wrong], { skipInvalid: true }))).toMatchObject({
      code: 'PROBES_TEXT_TYPE',
      details: { line: 1 },
    })
  })

  test('lists the first places only', async () => {
    const notes: string[] = []
    const many = write('many.txt.jsonl', ['{"text": "a"}', ...Array<string>(30).fill('{"text": ""}')].join('\n'))
    await all([many], { skipInvalid: true }, { notes })
    expect(notes[0]).toMatch(/^30 rows/)
    expect(notes[0].match(/jsonl:/g)).toHaveLength(10)
    expect(notes[0]).toMatch(/…$/)
  })
})

describe('labels', () => {
  let number = 0
  const probes = (labels: string[], raw: string[], options = {}) => {
    const csv = ['text,label', ...raw.map((label, i) => `t${i},${label}`)].join('\n')
    return readProbes([write(`labels-${number++}.csv`, csv)], { labels, ...options })
  }
  const ids = async (...args: Parameters<typeof probes>): Promise<number[]> => [...(await probes(...args)).label]

  test('3.0 is 3, in every format and in maps', async () => {
    expect(await ids(['a', 'b'], ['0.0', '1.00', '1'])).toEqual([0, 1, 1])
    expect(await ids(['a', 'b'], ['1.0', '2.0'], { labelMap: { 1: 'b', 2: 'a' } })).toEqual([1, 0])
    expect(await ids(['a', 'b'], ['1', '2'], { labelMap: { '1.0': 'b', '2.0': 'a' } })).toEqual([1, 0])
    const json = write('floats.jsonl', '{"text": "x", "label": 1.0}\n{"text": "y", "label": "0.0"}')
    expect((await all([json])).map(({ label }) => label)).toEqual(['1', '0'])
  })

  test('names that are numbers are names, never ids', async () => {
    expect(await ids(['1', '2', '3'], ['1', '3', '2'])).toEqual([0, 2, 1])
    expect(await ids(['1.0', '2.0'], ['1', '2.0'])).toEqual([0, 1])
    expect(await failure(probes(['1', '2', '3'], ['1', '0']))).toMatchObject({ code: 'PROBES_LABEL_UNKNOWN' })
  })

  test('-, -1 and -1.0 are no label, but where the model or the map has them', async () => {
    for (const none of ['-', '-1', '-1.0']) {
      expect(await failure(probes(['a', 'b'], ['a', none]))).toMatchObject({ code: 'PROBES_UNLABELED' })
      expect(await ids(['a', 'b'], ['a', none, 'b'], { dropUnlabeled: true })).toEqual([0, 1])
    }
    expect(await ids(['-1', '0', '1'], ['-1', '1', '0'], { dropUnlabeled: true })).toEqual([0, 2, 1])
    expect(await ids(['a', 'b'], ['-', 'b'], { dropUnlabeled: true, labelMap: { '-': 'a', b: 'b' } })).toEqual([0, 1])
  })

  test('a hint proposes no label that it cannot know', async () => {
    for (const [labels, raw] of [
      [['World', 'Sports'], '4'],
      [['LABEL_0', 'LABEL_1'], 'LABEL_2'],
      [['LABEL_0', 'LABEL_1'], 'LABEL_O'],
      [['1 star', '2 stars'], '3 stars'],
    ] as const) {
      const { hint } = await failure(probes([...labels], [labels[0], raw]))
      for (const label of labels) expect(hint).not.toContain(label)
    }
    expect((await failure(probes(['World', 'Sports'], ['World', 'sprots']))).hint).toBe('did you mean "Sports"?')
  })
})

test('what is read from stdin can be told of too', async () => {
  const notes: string[] = []
  await all(['-'], { format: 'txt' }, { stdin: Readable.from([Buffer.from('a\n\nb\n')]), notes })
  expect(notes.join()).toContain('1 blank lines')
})
