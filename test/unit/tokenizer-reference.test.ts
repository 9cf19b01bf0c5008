import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeAhead, loadTokenizer, type Tokenizer } from '../../lib/text/tokenizer/index.js'
import { temporaryDirectory } from '../support/models.js'
import { tokenizerJson, words } from '../support/trace-models.js'
import { failure } from '../support/probes-files.js'

// Who reads which file, and what holds for both readers alike. Ids against Python's: tokenizer-real.test.ts.
const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
const vocabulary = words(50)

type Parts = Record<string, unknown> & { model: Record<string, unknown>; post_processor: Record<string, unknown> }

async function load(change: (parts: Parts) => void): Promise<Tokenizer> {
  const parts = JSON.parse(tokenizerJson(vocabulary, true)) as Parts
  change(parts)
  const file = join(temporaryDirectory(), 'tokenizer.json')
  writeFileSync(file, JSON.stringify(parts))
  return loadTokenizer(file)
}

/** A part that this package's own code does not know and that changes nothing. */
const foreign = (parts: Parts): void => {
  parts.normalizer = { type: 'Sequence', normalizers: parts.normalizer === null ? [] : [parts.normalizer] }
}

const texts = [
  '',
  vocabulary[9],
  vocabulary.slice(4, 20).join(' '),
  'unknown words [SEP] here',
  `${vocabulary[7]}  ${vocabulary[8]}\u0000`,
]

test('what this package knows it reads itself, the rest the package "tokenizers" reads: the same ids', async () => {
  const own = await load(() => undefined),
    other = await load(foreign)
  expect([own.reader, other.reader]).toEqual(['own', 'tokenizers'])
  expect(other).toMatchObject({ kind: own.kind, maxId: own.maxId, vocabSize: own.vocabSize })
  expect([...other.specialIds].sort()).toEqual([...own.specialIds].sort())
  for (let id = 0; id <= own.maxId; id++)
    expect([other.token(id), other.id(own.token(id))]).toEqual([own.token(id), id])
  for (const options of [
    {},
    { maxLength: 2 },
    { maxLength: 3 },
    { maxLength: 7 },
    { addSpecialTokens: false },
    { addSpecialTokens: false, maxLength: 0 },
  ]) {
    const batch = await other.encodeBatch(texts, options)
    expect(batch).toEqual(await own.encodeBatch(texts, options))
    for (const [i, text] of texts.entries()) {
      const { ids, typeIds, truncated } = await other.encode(text, options)
      expect(ids).toEqual(batch.ids.slice(batch.offsets[i], batch.offsets[i + 1]))
      expect(typeIds).toEqual(batch.typeIds.slice(batch.offsets[i], batch.offsets[i + 1]))
      expect(truncated).toBe(batch.truncated[i] === 1)
    }
  }
  expect(own.note).not.toBe(other.note)
})

test('segments of the tokens around a text', async () => {
  const typed = (parts: Parts): void => {
    parts.post_processor = {
      type: 'TemplateProcessing',
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
      single: [
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '[SEP]', type_id: 0 } },
        { SpecialToken: { id: '[CLS]', type_id: 2 } },
      ],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    }
  }
  for (const other of [() => undefined, foreign]) {
    const tokenizer = await load((parts) => {
      typed(parts)
      other(parts)
    })
    const { ids, typeIds } = await tokenizer.encodeBatch(
      [`${vocabulary[9]} ${vocabulary[8]} ${vocabulary[7]}`, vocabulary[5]],
      { maxLength: 4 },
    )
    expect([...ids]).toEqual([9, 8, 3, 2, 5, 3, 2])
    expect([...typeIds]).toEqual([0, 0, 0, 2, 0, 0, 2])
  }
})

test('texts and limits that neither takes', async () => {
  for (const tokenizer of [await load(() => undefined), await load(foreign)]) {
    expect(await failure(tokenizer.encodeBatch(['a', 'b\ud800']))).toMatchObject({
      code: 'TEXT_LONE_SURROGATE',
      exitCode: 3,
      details: { index: 1 },
    })
    for (const maxLength of [1, -1, 2.5, Number.NaN]) {
      expect(await failure(tokenizer.encode('a', { maxLength }))).toMatchObject({
        code: 'TOKENIZER_MAX_LENGTH',
        exitCode: 2,
      })
    }
  }
})

test.each<[string, (parts: Parts) => void, string, string]>([
  [
    'a part that nobody knows',
    (parts) => {
      parts.normalizer = { type: 'Frobnicate' }
    },
    'TOKENIZER_UNKNOWN_COMPONENT',
    'Frobnicate',
  ],
  [
    'dropout, which makes tokens random',
    (parts) => {
      parts.model = { type: 'BPE', dropout: 0.1, vocab: { a: 0 }, merges: [] }
      parts.normalizer = parts.pre_tokenizer = parts.post_processor = null as never
      parts.added_tokens = []
    },
    'TOKENIZER_UNSUPPORTED',
    'random',
  ],
  [
    'an added token with another id than the vocabulary leads to',
    (parts) => {
      foreign(parts)
      parts.added_tokens = [...(parts.added_tokens as object[]), { id: 77, content: 'new', ...special }]
    },
    'TOKENIZER_ID_MISMATCH',
    '77',
  ],
  [
    'a merge that would end the process',
    (parts) => {
      parts.model = { type: 'BPE', continuing_subword_prefix: '##', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] }
      parts.normalizer = parts.pre_tokenizer = parts.post_processor = null as never
      parts.added_tokens = []
    },
    'TOKENIZER_INVALID',
    'merge 0',
  ],
  [
    'a template with a token that is not listed, which would end the process',
    (parts) => {
      foreign(parts)
      Object.assign(parts.post_processor, { special_tokens: {} })
    },
    'TOKENIZER_INVALID',
    'special_tokens',
  ],
  [
    'a table of nothing, which would end the process',
    (parts) => {
      parts.normalizer = { type: 'Precompiled', precompiled_charsmap: 'AAAAAA==' }
    },
    'TOKENIZER_INVALID',
    'precompiled_charsmap',
  ],
  [
    'a table whose steps lead past its end, which would end the process',
    (parts) => {
      const table = Buffer.alloc(4 + 4 * 256)
      table.writeUInt32LE(4 * 256, 0)
      table.writeUInt32LE(0x7ffffc00, 4)
      parts.normalizer = { type: 'Precompiled', precompiled_charsmap: table.toString('base64') }
    },
    'TOKENIZER_INVALID',
    'precompiled_charsmap',
  ],
  [
    'a table that is not Base64, which would end the process',
    (parts) => {
      parts.normalizer = { type: 'Sequence', normalizers: [{ type: 'Precompiled', precompiled_charsmap: 2.5 }] }
    },
    'TOKENIZER_INVALID',
    'precompiled_charsmap',
  ],
])('%s is refused', async (_, change, code, mention) => {
  const error = await failure(load(change))
  expect(error).toMatchObject({ code, exitCode: 3, details: { file: expect.any(String) as string } })
  expect(error.message).toContain(mention)
})

test.each(['vocab.txt', 'spiece.model', 'tokenizer.model'])(
  'a folder with only %s: how to convert it',
  async (name) => {
    const folder = temporaryDirectory()
    writeFileSync(join(folder, name), 'x')
    const error = await failure(loadTokenizer(folder))
    expect(error).toMatchObject({ code: 'TOKENIZER_MISSING', details: { found: [name] } })
    expect(error.hint).toContain(`AutoTokenizer.from_pretrained('${folder}').save_pretrained`)
  },
)

test('batches come in their order, the next one under way', async () => {
  const tokenizer = await load(() => undefined)
  const asked: number[] = []
  const encoder = {
    encodeBatch: (given: string[]) => {
      asked.push(given.length)
      return tokenizer.encodeBatch(given)
    },
  }
  const lengths: number[][] = []
  for await (const { batch, tokens } of encodeAhead([1, 2, 3, 4], (n) => Array<string>(n).fill('a'), encoder, {})) {
    lengths.push([batch, tokens.truncated.length])
    if (batch === 1) expect(asked).toEqual([1, 2])
  }
  expect(lengths).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 4],
  ])
})
