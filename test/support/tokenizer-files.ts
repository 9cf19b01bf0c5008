export const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }

/** The smallest tokenizer.json of either kind that loads; each test breaks one thing. */
export const wordpiece = () => ({
  version: '1.0',
  added_tokens: [
    { id: 0, content: '[UNK]', ...special },
    { id: 1, content: '[CLS]', ...special },
    { id: 2, content: '[SEP]', ...special },
  ] as unknown[],
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  } as unknown,
  pre_tokenizer: { type: 'BertPreTokenizer' } as unknown,
  post_processor: { type: 'BertProcessing', sep: ['[SEP]', 2], cls: ['[CLS]', 1] } as unknown,
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: { '[UNK]': 0, '[CLS]': 1, '[SEP]': 2, a: 3, '##b': 4 } as Record<string, unknown>,
  } as Record<string, unknown>,
})

export const bpe = () => ({
  version: '1.0',
  added_tokens: [{ id: 0, content: '<|end|>', ...special }] as unknown[],
  normalizer: null as unknown,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true } as unknown,
  post_processor: null as unknown,
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: { '<|end|>': 0, a: 1, b: 2, ab: 3 } as Record<string, unknown>,
    merges: [['a', 'b']] as unknown,
  } as Record<string, unknown>,
})
