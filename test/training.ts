// What tests of training share: a small model directory with a tokenizer, texts whose class is written in them.
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fixtureModel, temporaryDirectory } from './models.js'

const words = Array.from({ length: 116 }, (_, i) => `w${i}`)

function tokenizer(): object {
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']
  const vocab = Object.fromEntries([...special, ...words].map((word, id) => [word, id]))
  const item = (id: string): object => ({ SpecialToken: { id, type_id: 0 } })
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [item('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, item('[SEP]')],
      pair: [
        item('[CLS]'),
        { Sequence: { id: 'A', type_id: 0 } },
        item('[SEP]'),
        { Sequence: { id: 'B', type_id: 1 } },
        { SpecialToken: { id: '[SEP]', type_id: 1 } },
      ],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  }
}

/** The random-weight fixture with a tokenizer of words w0 … w115. */
export function trainableModel(kind: 'bert' | 'gpt2' = 'bert'): string {
  const dir = temporaryDirectory()
  cpSync(fixtureModel(join(kind, 'base')), dir, { recursive: true })
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer()))
  return dir
}

/** Texts of domain d draw half of their words from w(20d) … w(20d + 19); `each` of every domain, no two the same. */
export function domainTexts(domains: string[], each: number): { text: string; label: string }[] {
  let state = 1
  const below = (n: number): number => (state = (state * 48271) % 2147483647) % n
  return domains.flatMap((label, d) =>
    Array.from({ length: each }, (_, i) => ({
      text: [
        `w${100 + (i % 16)}`,
        ...Array.from({ length: 4 + below(8) }, () => words[below(2) ? 20 * d + below(20) : below(116)]),
      ].join(' '),
      label,
    })),
  )
}

/** The same as a JSONL file. */
export function domainFile(domains: string[], each: number): string {
  const file = join(temporaryDirectory(), 'texts.jsonl')
  writeFileSync(
    file,
    domainTexts(domains, each)
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  )
  return file
}
