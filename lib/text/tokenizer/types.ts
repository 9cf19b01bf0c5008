export interface EncodeOptions {
  /** most tokens of the whole encoding, special tokens included; no limit when absent */
  maxLength?: number
  /** default true: what the post-processor adds ([CLS] and [SEP] for BERT, nothing for GPT-2) */
  addSpecialTokens?: boolean
}

export interface Encoding {
  ids: Uint32Array
  /** segment of each token: `token_type_ids` in Python */
  typeIds: Uint8Array
  /** tokens of the texts were left out to respect `maxLength` */
  truncated: boolean
}

/** Encodings of several texts without an object for each: text i is `ids.subarray(offsets[i], offsets[i + 1])`. */
export interface TokenBatch {
  ids: Uint32Array
  /** one for each id */
  typeIds: Uint8Array
  /** n + 1 */
  offsets: Uint32Array
  /** n: 1 where tokens were left out to respect `maxLength` */
  truncated: Uint8Array
}

/**
 * Who turns texts into ids: this package's own code, or the npm package `tokenizers` (the reference
 * implementation).
 */
export type Reader = 'own' | 'tokenizers'

/** What either of them offers on the thread of the tokenizers. */
export interface Engine {
  readonly reader: Reader
  /** type of the model in small letters: `wordpiece`, `bpe`, `unigram`, `wordlevel` */
  readonly kind: string
  /** ids of the special added tokens and of everything the post-processor adds */
  readonly specialIds: ReadonlySet<number>
  /** id → token as the vocabulary spells it, added tokens included; ids may have holes */
  spellings(): Map<number, string>
  /** Encodings cut at the right; special tokens are kept. @throws TEXT_LONE_SURROGATE, TOKENIZER_MAX_LENGTH */
  encodeBatch(texts: readonly string[], options: EncodeOptions): TokenBatch | Promise<TokenBatch>
}
