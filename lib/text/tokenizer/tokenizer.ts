import { usageError } from '../../errors.js'
import type { Difference } from './compare.js'
import { TokenizerThread } from './thread.js'
import type { EncodeOptions, Encoding, Reader, TokenBatch } from './types.js'

/** Batches that are under way at once: one is encoded while the next one is on its way. */
const ahead = 2

/**
 * Text to token ids, the same as the Python package `tokenizers` gives for the same `tokenizer.json`; on a thread of
 * its
 * own. The file's own `truncation` and `padding` settings are ignored: `maxLength` is the only truncation, at the
 * right,
 * and nothing is ever padded.
 */
export class Tokenizer {
  /** who turns texts into ids: this package's own code, or the npm package `tokenizers` */
  readonly reader: Reader
  /** type of the model in small letters: `wordpiece`, `bpe`, `unigram`, `wordlevel` */
  readonly kind: string
  /** largest id of the vocabulary, added tokens included: a model needs `maxId + 1` embedding rows */
  readonly maxId: number
  /** ids of the special added tokens and of everything the post-processor adds */
  readonly specialIds: ReadonlySet<number>
  /** of the bytes of `tokenizer.json`, in hexadecimal */
  readonly sha256: string

  readonly #thread: TokenizerThread
  readonly #engine: number
  readonly #tokens: ReadonlyMap<number, string>
  /** made when it is first asked for */
  #ids: Map<string, number> | undefined

  private constructor(
    thread: TokenizerThread,
    opened: Awaited<ReturnType<TokenizerThread['open']>>,
    tokens: Map<number, string>,
    maxId: number,
  ) {
    this.reader = opened.reader
    this.kind = opened.kind
    this.specialIds = new Set(opened.specialIds)
    this.sha256 = opened.sha256
    this.maxId = maxId
    this.#thread = thread
    this.#engine = opened.engine
    this.#tokens = tokens
    thread.releaseWith(this, opened.engine)
  }

  /** Use `loadTokenizer`. */
  static async open(path: string): Promise<Tokenizer> {
    const thread = TokenizerThread.current
    const tokens = new Map<number, string>()
    let maxId = -1
    const opened = await thread.open(path, ({ ids, ends, text }) => {
      let begin = 0
      ids.forEach((id, i) => {
        tokens.set(id, text.slice(begin, (begin = ends[i])))
        if (id > maxId) maxId = id
      })
    })
    return new Tokenizer(thread, opened, tokens, maxId)
  }

  /** `maxId + 1` (ids may have holes, so this can exceed the number of tokens) */
  get vocabSize(): number {
    return this.maxId + 1
  }

  /** Who reads the texts, for the notes of a result. */
  get note(): string {
    return this.reader === 'own'
      ? "texts are tokenised by this package's own code"
      : 'texts are tokenised by the package "tokenizers"'
  }

  /**
   * @throws WarpError (usage) OPTION_TYPE for what is no text; TEXT_LONE_SURROGATE for a text that is not Unicode,
   * TOKENIZER_MAX_LENGTH for a limit that even the special tokens exceed
   */
  async encode(text: string, options: EncodeOptions = {}): Promise<Encoding> {
    const { ids, typeIds, truncated } = await this.encodeBatch([text], options)
    return { ids, typeIds, truncated: truncated[0] === 1 }
  }

  /** Several texts at once. @throws as `encode` */
  async encodeBatch(texts: string[], options: EncodeOptions = {}): Promise<TokenBatch> {
    if (!Array.isArray(texts) || texts.some((text) => typeof text !== 'string'))
      throw usageError('OPTION_TYPE', 'a tokenizer encodes strings', { expected: 'strings' }, "encode('a text')")
    return this.#thread.encode(this.#engine, texts, options)
  }

  /** The token of an id, as the vocabulary spells it (`##ing`, `Ġthe`). @throws TOKENIZER_UNKNOWN_ID */
  token(id: number): string {
    const token = this.#tokens.get(id)
    if (token !== undefined) return token
    const expected = `0 to ${this.maxId}`
    throw usageError(
      'TOKENIZER_UNKNOWN_ID',
      `no token has the id ${id}`,
      { found: id, expected },
      'use the tokenizer that made the ids',
    )
  }

  /** The id of a token, spelled as in the vocabulary. */
  id(token: string): number | undefined {
    this.#ids ??= new Map(Array.from(this.#tokens, ([id, spelling]) => [spelling, id]))
    return this.#ids.get(token)
  }
}

/** Starts the tokenizers' thread, for those who will open one soon: to start takes about as long as to read one. */
export const startTokenizers = (): void => void TokenizerThread.current

/** Reads the `tokenizer.json` of a model directory, or the file itself. @throws WarpError as `openEngine` */
export const loadTokenizer = (path: string): Promise<Tokenizer> => Tokenizer.open(path)

/** How two tokenizer.json files differ, but for the way they are written; undefined where they give the same ids. */
export const tokenizerDifference = (base: string, reference: string): Promise<Difference | undefined> =>
  TokenizerThread.current.compare(base, reference)

/** What has an `encodeBatch`: a tokenizer, or what stands in for one. */
export type BatchEncoder = Pick<Tokenizer, 'encodeBatch'>

/** The encodings of batches in their order, the next one being encoded while the caller works on one. */
export async function* encodeAhead<T>(
  batches: AsyncIterable<T> | Iterable<T>,
  textsOf: (batch: T) => string[],
  tokenizer: BatchEncoder,
  options: EncodeOptions,
): AsyncGenerator<{ batch: T; tokens: TokenBatch }> {
  const waiting: { batch: T; tokens: Promise<TokenBatch> }[] = []
  const first = async () => {
    const { batch, tokens } = waiting.shift()!
    return { batch, tokens: await tokens }
  }
  for await (const batch of batches) {
    const tokens = tokenizer.encodeBatch(textsOf(batch), options)
    tokens.catch(() => undefined) // it is waited for below, or never after another error
    waiting.push({ batch, tokens })
    if (waiting.length >= ahead) yield first()
  }
  while (waiting.length > 0) yield first()
}
