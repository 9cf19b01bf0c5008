// tokenizer.json as tests need it: whole, of tokens that they choose.

type Json = Record<string, unknown>

const numbered = (tokens: readonly string[]): Record<string, number> =>
  Object.fromEntries(tokens.map((token, id) => [token, id]))

const specialFlags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }

/** WordPiece, ids in the order of `tokens`; texts stand between [CLS] and [SEP] unless `bare`. */
export function wordPieceOf(
  tokens: readonly string[],
  {
    special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'],
    bare = false,
    decoder = { type: 'WordPiece', prefix: '##', cleanup: true },
  }: { special?: readonly string[]; bare?: boolean; decoder?: Json | null } = {},
): Json {
  const vocab = numbered(tokens)
  const piece = (id: string, type = 0): Json => ({ SpecialToken: { id, type_id: type } })
  const text = (id: string, type: number): Json => ({ Sequence: { id, type_id: type } })
  const single = [piece('[CLS]'), text('A', 0), piece('[SEP]')]
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content) => ({ id: vocab[content], content, ...specialFlags })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: bare
      ? null
      : {
          type: 'TemplateProcessing',
          single,
          pair: [...single, text('B', 1), piece('[SEP]', 1)],
          special_tokens: Object.fromEntries(
            ['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [vocab[id]], tokens: [id] }]),
          ),
        },
    decoder,
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  }
}

/** Byte-level BPE, ids in the order of `tokens`, of which the first are the special ones. */
export function bytePairOf(
  tokens: readonly string[],
  merges: readonly string[],
  { special, decoder = null }: { special: readonly string[]; decoder?: Json | null },
): Json {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({ id, content, ...specialFlags })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: numbered(tokens),
      merges,
    },
  }
}
