// Ids back to text, against the package `tokenizers`.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer as Reference } from 'tokenizers'
import { decoderOf, openDecoder } from '../../lib/generate/decode.js'
import { Random } from '../../lib/random.js'
import { loadTokenizer } from '../../lib/text/tokenizer/index.js'
import { languageTokenizer } from '../support/language-pair.js'
import { refused, temporaryDirectory } from '../support/models.js'
import { modelDir, whenPresent } from '../support/shared.js'

const folder = temporaryDirectory()
let files = 0
function fileOf(tokenizer: unknown): string {
  const file = join(folder, `${files++}.json`)
  writeFileSync(file, JSON.stringify(tokenizer))
  return file
}

/** Random ids and those of whole texts. */
async function agrees(file: string, texts: string[]): Promise<void> {
  const tokenizer = await loadTokenizer(file)
  const decoder = await openDecoder(file, tokenizer)
  const reference = Reference.fromString(readFileSync(file, 'utf8'))
  const random = new Random(1, 'decode')
  const lists = Array.from({ length: 200 }, (_, i) =>
    Array.from({ length: i % 20 }, () => random.below(tokenizer.vocabSize)),
  )
  for (const text of texts) lists.push([...(await tokenizer.encode(text)).ids])
  for (const ids of lists) expect([ids, decoder.decode(ids)]).toEqual([ids, await reference.decode(ids, true)])
}

const texts = ['the and on', 'an é in', ' the', 'an\nst', '[INST] the']

test('byte-level tokenizers', () => agrees(fileOf(languageTokenizer()), texts))

/** Like Llama 2's: ▁ for spaces, bytes of what has no token. */
function sentencePiece(decoders: unknown[]): Record<string, unknown> {
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, '▁', ...'abcdeéhinot', '▁t', '▁a', 'th', 'an']
  const { model, added_tokens, ...rest } = languageTokenizer() as { model: object; added_tokens: object[] }
  return {
    ...rest,
    added_tokens: tokens.slice(0, 3).map((content, id) => ({ ...added_tokens[0], id, content })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    decoder: { type: 'Sequence', decoders },
    model: {
      ...model,
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ['▁ t', '▁ a', 't h', 'a n'],
    },
  }
}
const replace = { type: 'Replace', pattern: { String: '▁' }, content: ' ' }
const llama = [replace, { type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }]

test('those of SentencePiece', () => agrees(fileOf(sentencePiece(llama)), ['a tea', ' in then', 'ü on é', '日本']))
test('and without the strip, as Gemma has it', () =>
  agrees(fileOf(sentencePiece(llama.slice(0, 3))), ['a tea', 'the ü']))

test('other decoders are refused by name', async () => {
  for (const decoder of [{ type: 'CTC' }, { type: 'WordPiece', prefix: '##', cleanup: true }, null]) {
    const file = fileOf({ ...languageTokenizer(), decoder })
    const tokenizer = await loadTokenizer(fileOf(languageTokenizer()))
    const error = await refused(() => openDecoder(file, tokenizer), 'TOKENIZER_DECODER_UNSUPPORTED')
    expect(error.message).toContain(decoder?.type ?? 'null')
  }
})

test('the field is found beside a token of its name', () => {
  const decoder = { type: 'ByteLevel', text: 'a "quoted\\" } brace' }
  expect(decoderOf(JSON.stringify({ model: { vocab: { decoder: 7, '"decoder": {': 8 } }, decoder }))).toEqual(decoder)
  expect(decoderOf('{"model": {}}')).toBeNull()
})

whenPresent(modelDir('smollm2-135m'))(
  'SmolLM2',
  () =>
    agrees(join(modelDir('smollm2-135m'), 'tokenizer.json'), [
      'The naïve café costs 12 €.\n\n\tWhy? 日本語 🙂',
      '<|im_start|>user\nHello<|im_end|>',
    ]),
  60_000,
)
