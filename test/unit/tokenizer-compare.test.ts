import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compareTokenizers, pairTokenizer } from '../../lib/checkpoint/tokenizers.js'
import { temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'
import { failure } from '../support/probes-files.js'

type Json = Record<string, unknown>
interface File extends Json {
  model: Json & { vocab: Record<string, number>; merges?: unknown[] }
  added_tokens: Json[]
  pre_tokenizer: Json
  post_processor: Json | null
  normalizer: Json | null
}

const read = (name: string): File =>
  JSON.parse(readFileSync(join(repositoryRoot, 'test/fixtures/tokenizers', `${name}.json`), 'utf8')) as File

/** A folder of `temporaryDirectory` for each file. */
function folders(...files: (File | Json)[]): string[] {
  const place = temporaryDirectory()
  return files.map((file, i) => {
    const dir = join(place, String(i))
    mkdirSync(dir)
    writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(file))
    return dir
  })
}

const entries = (object: Json): [string, unknown][] => Object.entries(object)
const pairs = (merges: unknown[] = []): unknown[] =>
  merges.map((merge) => (typeof merge === 'string' ? merge.split(' ') : merge))
const lines = (merges: unknown[] = []): unknown[] => pairs(merges).map((merge) => (merge as string[]).join(' '))

const template = (cls: number, sep: number, name = ''): Json => ({
  type: 'TemplateProcessing',
  single: [
    { SpecialToken: { id: `C${name}`, type_id: 0 } },
    { Sequence: { id: 'A', type_id: 0 } },
    { SpecialToken: { id: `S${name}`, type_id: 0 } },
  ],
  pair: [
    { SpecialToken: { id: `C${name}`, type_id: 0 } },
    { Sequence: { id: 'A', type_id: 0 } },
    { SpecialToken: { id: `S${name}`, type_id: 0 } },
    { Sequence: { id: 'B', type_id: 1 } },
    { SpecialToken: { id: `S${name}`, type_id: 1 } },
  ],
  special_tokens: {
    [`C${name}`]: { id: `C${name}`, ids: [cls], tokens: ['x'] },
    [`S${name}`]: { id: `S${name}`, ids: [sep], tokens: ['y'] },
  },
})

const same: [string, string, (file: File) => unknown, (file: File) => unknown][] = [
  [
    'merges as lines or as pairs',
    'bpe',
    (f) => (f.model.merges = lines(f.model.merges)),
    (f) => (f.model.merges = pairs(f.model.merges)),
  ],
  [
    'fields that are absent, null, or at their defaults',
    'bpe',
    (f) => {
      for (const name of [
        'dropout',
        'unk_token',
        'continuing_subword_prefix',
        'end_of_word_suffix',
        'fuse_unk',
        'byte_fallback',
        'ignore_merges',
      ])
        delete f.model[name]
    },
    (f) =>
      Object.assign(f.model, {
        dropout: null,
        continuing_subword_prefix: '',
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
      }),
  ],
  [
    'the order of keys and of added tokens',
    'wordpiece',
    (f) => (f.added_tokens = [...f.added_tokens].reverse()),
    (f) => (f.model.vocab = Object.fromEntries(entries(f.model.vocab).reverse()) as Record<string, number>),
  ],
  [
    'added tokens without their flags, and with them false',
    'wordpiece',
    (f) => f.added_tokens.forEach((t) => Object.assign(t, { lstrip: false, rstrip: false })),
    (f) =>
      f.added_tokens.forEach((t) => {
        delete t.lstrip
        delete t.rstrip
      }),
  ],
  [
    'truncation, padding and decoder',
    'wordpiece',
    (f) => Object.assign(f, { truncation: null, padding: null }),
    (f) => Object.assign(f, { truncation: { max_length: 9 }, padding: { length: 3 }, decoder: null }),
  ],
  [
    'a sequence of one, and a post-processor that only moves offsets',
    'bpe',
    (f) => (f.post_processor = null),
    (f) =>
      Object.assign(f, {
        pre_tokenizer: { type: 'Sequence', pretokenizers: [f.pre_tokenizer] },
        post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false },
      }),
  ],
  [
    'BertProcessing and its template',
    'wordpiece',
    (f) => (f.post_processor = { type: 'BertProcessing', cls: ['[CLS]', 2], sep: ['[SEP]', 3] }),
    (f) => (f.post_processor = template(2, 3)),
  ],
  [
    'the names in a template',
    'wordpiece',
    (f) => (f.post_processor = template(2, 3)),
    (f) => (f.post_processor = template(2, 3, 'x')),
  ],
]

test.each(same)('%s: the same tokenizer', async (_, name, one, other) => {
  const [a, b] = [read(name), read(name)]
  one(a)
  other(b)
  expect(JSON.stringify(a)).not.toBe(JSON.stringify(b))
  const [base, reference] = folders(a, b)
  const notes: string[] = []
  await compareTokenizers(base, reference, notes)
  await compareTokenizers(reference, base, notes)
  expect(notes).toEqual([])
})

const different: [string, string, string, (file: File) => unknown, boolean][] = [
  [
    "two tokens in each other's places",
    'wordpiece',
    'model.vocab',
    ({ model: { vocab } }) => {
      const [[a, i], [b, j]] = Object.entries(vocab).filter(([token]) => /^[a-z]+$/.test(token))
      vocab[a] = j
      vocab[b] = i
    },
    true,
  ],
  ['a merge less', 'bpe', 'model.merges', (f) => f.model.merges!.splice(3, 1), false],
  [
    'letters kept as they are',
    'wordpiece',
    'normalizer',
    (f) => (f.normalizer!.lowercase = f.normalizer!.lowercase === false),
    true,
  ],
  [
    'a space in front',
    'bpe',
    'pre_tokenizer',
    (f) => (f.pre_tokenizer.add_prefix_space = f.pre_tokenizer.add_prefix_space !== true),
    true,
  ],
  ['other special tokens', 'wordpiece', 'post_processor', (f) => (f.post_processor = template(3, 2)), true],
  ['words of two letters at most', 'wordpiece', 'model', (f) => (f.model.max_input_chars_per_word = 2), true],
  [
    'a token more',
    'wordpiece',
    'added_tokens',
    (f) => {
      const id = Math.max(...Object.values(f.model.vocab)) + 1
      f.added_tokens.push({
        id,
        content: 'the',
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: false,
      })
      f.added_tokens = f.added_tokens.filter(({ content }) => content !== 'the' || f.model.vocab.the === undefined)
      if (f.model.vocab.the !== undefined)
        f.added_tokens.push({
          id,
          content: '<new>',
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: false,
        })
    },
    true,
  ],
]

test.each(different)('%s: refused with the part and a text', async (_, name, part, change, seen) => {
  const changed = read(name)
  change(changed)
  const [base, reference] = folders(read(name), changed)
  const error = await failure(compareTokenizers(base, reference, []))
  expect(error).toMatchObject({ code: 'PAIR_TOKENIZER', exitCode: 3, details: { found: part } })
  expect(error.message).toContain(`"${part}"`)
  expect(error.hint).toContain('--tokenizer base')
  const { text } = error.details
  if (seen) expect(typeof text).toBe('string')
  if (typeof text === 'string') {
    const [one, other] = await Promise.all(
      [base, reference].map(async (dir) => (await pairTokenizer(dir, dir, []))!.encode(text)),
    )
    expect([...one.ids]).not.toEqual([...other.ids])
  }
})

test('the one that is asked for is taken, and what differs is noted', async () => {
  const changed = read('wordpiece')
  changed.post_processor = template(3, 2)
  const [base, reference, other] = folders(read('wordpiece'), changed, read('bpe'))
  for (const [chosen, kind] of [
    ['base', 'wordpiece'],
    ['reference', 'wordpiece'],
    [other, 'bpe'],
  ]) {
    const notes: string[] = []
    await compareTokenizers(base, reference, notes, chosen)
    expect(notes.join()).toMatch(/different tokenizers.*asked for/)
    expect((await pairTokenizer(base, reference, notes, chosen))!.kind).toBe(kind)
    expect(notes.at(-1)).toContain('tokenised')
  }
  const both = await Promise.all(
    ['base', 'reference'].map(
      async (chosen) => (await (await pairTokenizer(base, reference, [], chosen))!.encode('a')).ids[0],
    ),
  )
  expect(both[0]).not.toBe(both[1])
})

test("without a choice the reference's, else the base's, else none; one that is asked for must be there", async () => {
  const [base] = folders(read('bpe'))
  const empty = temporaryDirectory()
  const notes: string[] = []
  expect((await pairTokenizer(base, empty, notes))!.kind).toBe('bpe')
  expect(notes[0]).toContain(base)
  expect(await pairTokenizer(empty, empty, [])).toBeUndefined()
  expect(await failure(pairTokenizer(base, empty, [], 'reference'))).toMatchObject({ code: 'TOKENIZER_MISSING' })
})
