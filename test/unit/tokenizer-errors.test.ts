import { mkdtempSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WarpError } from '../../lib/errors.js'
import { loadTokenizer } from '../../lib/text/tokenizer/index.js'
import type { LocalTokenizer } from '../../lib/text/tokenizer/local.js'
import { localTokenizer } from '../support/tokenizers.js'
import { bpe, special, wordpiece } from '../support/tokenizer-files.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'warp-tokenizer-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (content: unknown): string => {
  const file = join(folder, 'tokenizer.json')
  writeFileSync(file, typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content))
  return file
}

async function refusal(load: Promise<unknown>): Promise<WarpError> {
  const error = await load.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(WarpError)
  return error as WarpError
}

/** By this package's own reader; what it does not know, another one may. */
async function refused(content: unknown, code: string, ...mentions: string[]): Promise<void> {
  const file = write(content)
  const json = typeof content === 'object' && !Buffer.isBuffer(content)
  const error = await refusal(json ? Promise.resolve(folder).then(localTokenizer) : loadTokenizer(folder))
  expect(error.code).toBe(code)
  expect(error.exitCode).toBe(3)
  expect(error.details.file).toBe(file)
  for (const mention of mentions) expect(error.message).toContain(mention)
}

describe('what loads', () => {
  test('WordPiece, by directory and by file', async () => {
    const file = write(wordpiece())
    for (const path of [folder, file]) {
      const tokenizer = await loadTokenizer(path)
      expect(tokenizer.kind).toBe('wordpiece')
      expect(Array.from((await tokenizer.encode('AB x')).ids)).toEqual([1, 3, 4, 0, 2])
    }
  })

  test('BPE', async () => {
    write(bpe())
    const tokenizer = await loadTokenizer(folder)
    expect(tokenizer.kind).toBe('bpe')
    expect(Array.from((await tokenizer.encode('aba<|end|>')).ids)).toEqual([3, 1, 0])
  })

  test('files of before 2021, without the types of models and with merges as lines', async () => {
    const old = wordpiece()
    delete old.model.type
    write(old)
    expect((await loadTokenizer(folder)).kind).toBe('wordpiece')
    const older = bpe()
    delete older.model.type
    older.model.merges = ['#version: 0.2', 'a b']
    older.pre_tokenizer = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true }
    write(older)
    expect(Array.from((await (await loadTokenizer(folder)).encode('ab')).ids)).toEqual([3])
  })

  test('ids, tokens, specials, sizes, hash', async () => {
    const content = wordpiece()
    content.model.vocab = { ...(content.model.vocab as object), far: 90 }
    content.added_tokens.push({ id: 6, content: '<x>', ...special, special: false })
    write(content)
    const tokenizer = await loadTokenizer(folder)
    expect(tokenizer.maxId).toBe(90)
    expect(tokenizer.vocabSize).toBe(91)
    expect(tokenizer.token(4)).toBe('##b')
    expect(tokenizer.token(6)).toBe('<x>')
    expect(tokenizer.id('##b')).toBe(4)
    expect(tokenizer.id('<x>')).toBe(6)
    expect(tokenizer.id('none')).toBeUndefined()
    expect([...tokenizer.specialIds].sort()).toEqual([0, 1, 2])
    expect(tokenizer.sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(() => tokenizer.token(7)).toThrow(expect.objectContaining({ code: 'TOKENIZER_UNKNOWN_ID', exitCode: 2 }))
  })
})

describe('files that are refused', () => {
  test('missing, a directory without it, a directory in its place', async () => {
    expect((await refusal(loadTokenizer(join(folder, 'nowhere')))).code).toBe('TOKENIZER_MISSING')
    const error = await refusal(loadTokenizer(folder))
    expect(error.code).toBe('TOKENIZER_MISSING')
    expect(error.hint).toContain('save_pretrained')
    mkdirSync(join(folder, 'tokenizer.json'))
    expect((await refusal(loadTokenizer(folder))).code).toBe('TOKENIZER_MISSING')
  })

  test('not JSON: empty, truncated, a byte order mark, invalid UTF-8', async () => {
    const whole = JSON.stringify(wordpiece())
    await refused('', 'TOKENIZER_NOT_JSON')
    await refused(whole.slice(0, -1), 'TOKENIZER_NOT_JSON')
    await refused(`\ufeff${whole}`, 'TOKENIZER_NOT_JSON')
    await refused(Buffer.from([0x22, 0xff, 0x22]), 'TOKENIZER_NOT_JSON')
  })

  test('a Git LFS pointer, with the command to run', async () => {
    write('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')
    const error = await refusal(loadTokenizer(folder))
    expect(error.code).toBe('TOKENIZER_NOT_JSON')
    expect(error.hint).toContain('git lfs pull')
  })

  test('a file too large to be one, unread', async () => {
    const file = write(wordpiece())
    truncateSync(file, 2 ** 28 + 1) // a hole: takes no room on the disk
    expect((await refusal(loadTokenizer(file))).code).toBe('TOKENIZER_TOO_LARGE')
  })

  test('JSON that is no tokenizer', async () => {
    for (const content of ['null', '[]', '3', '"x"']) await refused(content, 'TOKENIZER_INVALID', 'an object')
    await refused('{}', 'TOKENIZER_VERSION', '"1.0"')
  })

  test('another version', async () => {
    await refused({ ...wordpiece(), version: '2.0' }, 'TOKENIZER_VERSION', '"2.0"', '"1.0"')
    await refused({ ...wordpiece(), version: 1 }, 'TOKENIZER_VERSION')
  })
})

describe('components that are refused by name', () => {
  const parts: [string, object, string, string][] = [
    ['normalizer', { normalizer: { type: 'NFKC' } }, 'normalizer.type', 'NFKC'],
    ['pre-tokenizer', { pre_tokenizer: { type: 'Metaspace' } }, 'pre_tokenizer.type', 'Metaspace'],
    ['post-processor', { post_processor: { type: 'RobertaProcessing' } }, 'post_processor.type', 'RobertaProcessing'],
    ['model', { model: { type: 'Unigram' } }, 'model.type', 'Unigram'],
    ['model without a type', { model: { vocab: {} } }, 'model.type', 'nothing'],
    [
      'one in a sequence',
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Punctuation' }, { type: 'ByteLevel' }] } },
      'pre_tokenizer.pretokenizers[0].type',
      'Punctuation',
    ],
  ]
  test.each(parts)('%s', async (_, part, where, name) => {
    // a sequence is read from its end, so the ByteLevel there must be whole
    const content = JSON.parse(JSON.stringify({ ...wordpiece(), ...part })) as ReturnType<typeof wordpiece>
    const sequence = (content.pre_tokenizer as { pretokenizers?: object[] }).pretokenizers
    if (sequence) Object.assign(sequence[1], { add_prefix_space: false, trim_offsets: true, use_regex: true })
    await refused(content, 'TOKENIZER_UNKNOWN_COMPONENT', where, name)
  })
})

describe('settings outside the supported subset', () => {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
  const split = (more: object) => ({
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: '\\p{L}+' }, behavior: 'Isolated', invert: false, ...more },
        byteLevel,
      ],
    },
  })
  const gpt2 = { Regex: "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" }
  let nested: object = byteLevel
  for (let i = 0; i < 10; i++) nested = { type: 'Sequence', pretokenizers: [nested] }

  const cases: [string, object, string][] = [
    ['a Split with an unknown pattern', split({}), 'pattern'],
    ['a Split with a string', split({ pattern: { String: ' ' } }), 'pattern'],
    ['a Split that merges', split({ pattern: gpt2, behavior: 'MergedWithNext' }), 'behavior'],
    ['a Split that keeps the gaps', split({ pattern: gpt2, behavior: 'Removed' }), 'behavior'],
    ['no pre-tokenizer', { pre_tokenizer: null }, 'pre_tokenizer'],
    ['ByteLevel not last', { pre_tokenizer: { type: 'Sequence', pretokenizers: [byteLevel, byteLevel] } }, 'last'],
    ['Digits last', { pre_tokenizer: { type: 'Digits', individual_digits: true } }, 'ByteLevel'],
    ['sequences nested too deep', { pre_tokenizer: nested }, 'inside each other'],
    ['BertPreTokenizer before BPE', { pre_tokenizer: { type: 'BertPreTokenizer' } }, 'BPE'],
    ['a normalizer before BPE', { normalizer: wordpiece().normalizer }, 'normalizer'],
    ['dropout', { model: { ...bpe().model, dropout: 0.1 } }, 'dropout'],
    ['byte fallback', { model: { ...bpe().model, byte_fallback: true } }, 'byte_fallback'],
    ['a prefix of continuations', { model: { ...bpe().model, continuing_subword_prefix: '##' } }, 'continuing'],
    ['a suffix of words', { model: { ...bpe().model, end_of_word_suffix: '</w>' } }, 'end_of_word_suffix'],
    [
      'two post-processors that add tokens',
      {
        post_processor: {
          type: 'Sequence',
          processors: [1, 2].map(() => ({ type: 'BertProcessing', sep: ['a', 1], cls: ['b', 2] })),
        },
      },
      'second',
    ],
    [
      'a type id above 255',
      {
        post_processor: {
          type: 'TemplateProcessing',
          special_tokens: {},
          pair: [],
          single: [{ Sequence: { id: 'A', type_id: 256 } }],
        },
      },
      'type_id',
    ],
  ]
  test.each(cases)('%s', (_, part, where) => refused({ ...bpe(), ...part }, 'TOKENIZER_UNSUPPORTED', where))

  test('WordPiece after ByteLevel', () =>
    refused({ ...wordpiece(), pre_tokenizer: { ...byteLevel } }, 'TOKENIZER_UNSUPPORTED', 'WordPiece'))

  test('a known Split and dropout 0 are accepted', async () => {
    const model = { ...bpe().model, dropout: 0 }
    write({ ...bpe(), ...split({ pattern: gpt2, behavior: 'Removed', invert: true }), model })
    expect(Array.from((await (await loadTokenizer(folder)).encode('ab')).ids)).toEqual([3])
  })
})

describe('fields of the wrong kind', () => {
  const piece = (more: object) => ({ model: { ...wordpiece().model, ...more } })
  const template = (more: object) => ({
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '[CLS]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '[CLS]': { id: '[CLS]', ids: [1], tokens: ['[CLS]'] } },
      ...more,
    },
  })
  const added = (more: object) => ({ added_tokens: [{ id: 5, content: 'new', ...special, ...more }] })
  const cases: [string, object, string][] = [
    ['a vocabulary that is a list', piece({ vocab: [] }), 'model.vocab'],
    ['an id that is text', piece({ vocab: { '[UNK]': '0' } }), 'model.vocab.[UNK]'],
    ['a negative id', piece({ vocab: { '[UNK]': -1 } }), 'model.vocab'],
    ['a broken id', piece({ vocab: { '[UNK]': 0.5 } }), 'model.vocab'],
    ['an id beyond 32 bits', piece({ vocab: { '[UNK]': 2 ** 32 } }), 'model.vocab'],
    ['a token that is not Unicode', piece({ vocab: { '[UNK]': 0, '\ud800': 1 } }), 'not Unicode'],
    ['an unknown token outside the vocabulary', piece({ unk_token: '[UN]' }), 'model.unk_token'],
    ['no limit of word length', piece({ max_input_chars_per_word: undefined, type: 'WordPiece' }), 'max_input_chars'],
    ['a normalizer without a flag', { normalizer: { type: 'BertNormalizer' } }, 'normalizer.clean_text'],
    ['an added token without a flag', added({ lstrip: undefined }), 'added_tokens[0].lstrip'],
    ['an added token without content', added({ content: '' }), 'added_tokens[0].content'],
    ['added tokens that are no list', { added_tokens: {} }, 'added_tokens'],
    ['a template with an unlisted token', template({ special_tokens: {} }), 'special_tokens.[CLS]'],
    [
      'a template with an id outside the vocabulary',
      template({ special_tokens: { '[CLS]': { id: '[CLS]', ids: [77], tokens: ['?'] } } }),
      'ids[0]',
    ],
    [
      'a template for one text with the second',
      template({ single: [{ Sequence: { id: 'B', type_id: 0 } }] }),
      'single',
    ],
    ['a template with a third text', template({ pair: [{ Sequence: { id: 'C', type_id: 0 } }] }), 'pair[0]'],
    [
      'a separator outside the vocabulary',
      { post_processor: { type: 'BertProcessing', sep: ['[SEP]', 9], cls: ['[CLS]', 1] } },
      'post_processor.sep',
    ],
    [
      'two added tokens that normalise to one',
      {
        added_tokens: [
          { id: 5, content: 'Day', ...special, normalized: true },
          { id: 6, content: 'day', ...special, normalized: true },
        ],
      },
      'Day',
    ],
  ]
  test.each(cases)('%s', (_, part, where) => refused({ ...wordpiece(), ...part }, 'TOKENIZER_INVALID', where))

  const merges: [string, unknown][] = [
    ['no list', {}],
    ['a number', [3]],
    ['three parts', ['a b c']],
    ['an unknown part', [['a', 'x']]],
    ['an unknown union', [['b', 'a']]],
  ]
  test.each(merges)('merges: %s', (_, list) =>
    refused({ ...bpe(), model: { ...bpe().model, merges: list } }, 'TOKENIZER_INVALID', 'merge'),
  )
})

describe('ids', () => {
  test('two tokens of the vocabulary with one id', () =>
    refused(
      { ...bpe(), model: { ...bpe().model, vocab: { '<|end|>': 0, a: 1, b: 1, ab: 2 } } },
      'TOKENIZER_DUPLICATE_ID',
      '"a"',
      '"b"',
    ))

  test('an added token with the id of another token', () =>
    refused({ ...bpe(), added_tokens: [{ id: 2, content: 'new', ...special }] }, 'TOKENIZER_DUPLICATE_ID', '"new"'))

  test('one added token twice', () =>
    refused(
      { ...bpe(), added_tokens: [4, 5].map((id) => ({ id, content: 'new', ...special })) },
      'TOKENIZER_DUPLICATE_ID',
      '"new"',
    ))

  test('an added token with an id that Python would not give', () =>
    refused({ ...bpe(), added_tokens: [{ id: 9, content: 'new', ...special }] }, 'TOKENIZER_ID_MISMATCH', '9', '4'))

  test('an added token with another id than in the vocabulary', () =>
    refused({ ...bpe(), added_tokens: [{ id: 9, content: 'ab', ...special }] }, 'TOKENIZER_ID_MISMATCH', '9', '3'))
})

describe('calls', () => {
  const load = async (content: unknown): Promise<LocalTokenizer> => {
    write(content)
    return localTokenizer(folder)
  }

  test('unpaired surrogates, with their place', async () => {
    const tokenizer = await load(wordpiece())
    for (const [text, index] of [
      ['\ud800', 0],
      ['ab\udc00', 2],
      ['\u{1f600}\ud83d', 2],
      ['a\ud83d b', 1],
    ] as const) {
      for (const call of [() => tokenizer.encode(text), () => tokenizer.encode('a', { pair: text })]) {
        const details = expect.objectContaining({ index }) as object
        expect(call).toThrow(expect.objectContaining({ code: 'TEXT_LONE_SURROGATE', exitCode: 3, details }))
      }
    }
    expect(tokenizer.encode('\u{1f600}').ids).toHaveLength(3)
  })

  test('a limit below the special tokens, or no integer', async () => {
    const tokenizer = await load(wordpiece())
    for (const maxLength of [1, -1, 2.5, NaN, Infinity]) {
      expect(() => tokenizer.encode('a', { maxLength })).toThrow(
        expect.objectContaining({ code: 'TOKENIZER_MAX_LENGTH', exitCode: 2 }),
      )
    }
    expect(() => tokenizer.encode('a', { pair: 'a', maxLength: 2 })).toThrow()
    expect(Array.from(tokenizer.encode('a', { maxLength: 2 }).ids)).toEqual([1, 2])
    expect(tokenizer.encode('a', { maxLength: 0, addSpecialTokens: false })).toMatchObject({ truncated: true })
  })

  test('truncated says whether anything was lost', async () => {
    const tokenizer = await load(wordpiece())
    expect(tokenizer.encode('a a', { maxLength: 4 }).truncated).toBe(false)
    expect(tokenizer.encode('a a a', { maxLength: 4 }).truncated).toBe(true)
    expect(tokenizer.encode('a a', { pair: 'a', maxLength: 6 }).truncated).toBe(false)
    expect(tokenizer.encode('a a', { pair: 'a', maxLength: 5 }).truncated).toBe(true)
    expect(tokenizer.encode('', { maxLength: 2 })).toMatchObject({ truncated: false })
  })

  test('pairs: the longer gives way, then both; the odd token stays with the longer', async () => {
    const tokenizer = await load(wordpiece())
    const lengths = (a: number, b: number, maxLength: number): number[] => {
      const { typeIds } = tokenizer.encode('a '.repeat(a), { pair: 'a '.repeat(b), maxLength })
      const second = typeIds.filter((id) => id === 1).length
      return [typeIds.length - second - 2, second - 1]
    }
    expect(lengths(9, 2, 10)).toEqual([5, 2])
    expect(lengths(2, 9, 10)).toEqual([2, 5])
    expect(lengths(9, 8, 10)).toEqual([4, 3])
    expect(lengths(8, 9, 10)).toEqual([3, 4])
    expect(lengths(9, 9, 10)).toEqual([3, 4])
    expect(lengths(9, 9, 3)).toEqual([0, 0])
  })
})
