import { usageError, inputError } from '../../errors.js'
import { AddedTokenMatcher, type AddedToken } from './added-tokens.js'
import type { BertNormalizer } from './bert-normalizer.js'
import type { ByteLevel } from './byte-level.js'
import { IdBuffer } from './id-buffer.js'
import { addedIds, longestFirst, textLength, typeIdsOf, type Piece, type Template } from './template.js'
import { loneSurrogateAt } from './unicode.js'
import type { WordPiece } from './wordpiece.js'

export interface EncodeOptions {
  /** second text of a pair */
  pair?: string
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

/** The vocabulary and the machinery that `loadTokenizer` puts together. */
export interface TokenizerParts {
  sha256: string
  vocab: ReadonlyMap<string, number>
  addedTokens: readonly AddedToken[]
  template: Template
  specialIds: ReadonlySet<number>
  model:
    | { kind: 'wordpiece'; normalizer: BertNormalizer | null; encoder: WordPiece }
    | { kind: 'bpe'; encoder: ByteLevel }
  /** text to look for → token, before and after normalisation */
  rawPatterns: ReadonlyMap<string, AddedToken>
  normalizedPatterns: ReadonlyMap<string, AddedToken>
}

/**
 * Text to token ids, the same as the Python package `tokenizers` gives for the same `tokenizer.json`.
 *
 * The file's own `truncation` and `padding` settings are ignored: `maxLength` is the only truncation, and nothing is
 * ever padded.
 */
export class Tokenizer {
  readonly kind: 'wordpiece' | 'bpe'
  /** largest id of the vocabulary, added tokens included: a model needs `maxId + 1` embedding rows */
  readonly maxId: number
  /** `maxId + 1` (ids may have holes, so this can exceed the number of tokens) */
  readonly vocabSize: number
  /** ids of the special added tokens and of everything the post-processor adds */
  readonly specialIds: ReadonlySet<number>
  /** of the bytes of `tokenizer.json`, in hexadecimal */
  readonly sha256: string

  private readonly addedIds: ReadonlyMap<string, number>
  private tokens: Map<number, string> | undefined
  /** the template without what it adds */
  private readonly bare: Template
  private readonly raw: AddedTokenMatcher | null
  private readonly normalized: AddedTokenMatcher | null
  private readonly buffers = [new IdBuffer(), new IdBuffer()] as const
  private readonly out = new IdBuffer()

  /** Use `loadTokenizer`. */
  constructor(private readonly parts: TokenizerParts) {
    const { vocab, addedTokens, template, rawPatterns, normalizedPatterns } = parts
    const isText = (piece: Piece): boolean => piece.type === 'text'
    this.bare = { single: template.single.filter(isText), pair: template.pair.filter(isText) }
    this.addedIds = new Map(addedTokens.map((token) => [token.content, token.id]))
    this.kind = parts.model.kind
    let maxId = -1
    for (const ids of [vocab, this.addedIds]) for (const id of ids.values()) maxId = Math.max(maxId, id)
    this.maxId = maxId
    this.vocabSize = this.maxId + 1
    this.specialIds = parts.specialIds
    this.sha256 = parts.sha256
    this.raw = rawPatterns.size > 0 ? new AddedTokenMatcher(rawPatterns) : null
    this.normalized = normalizedPatterns.size > 0 ? new AddedTokenMatcher(normalizedPatterns) : null
  }

  /**
   * Encodes a text or a pair. Too long encodings are cut at the right, of a pair the longer text first; special tokens
   * are kept.
   *
   * @throws TEXT_LONE_SURROGATE for a text that is not Unicode, TOKENIZER_MAX_LENGTH for a limit that even the special
   *   tokens exceed
   */
  encode(text: string, options: EncodeOptions = {}): Encoding {
    const template = this.template(options)
    if (options.pair !== undefined) return this.encodePair(text, options.pair, template.pair, options.maxLength)
    const { out } = this
    out.clear()
    const truncated = this.encodeInto(text, out, options)
    const kept = textLength(template.single, out.length)
    return { ids: out.ids(), typeIds: typeIdsOf(template.single, [kept, 0], out.length), truncated }
  }

  /**
   * Appends the ids that `encode` gives for one text, so that many texts need no array each; tells whether it was
   * truncated. What was appended before an error stays.
   *
   * @throws as `encode`
   */
  encodeInto(text: string, out: IdBuffer, options: Omit<EncodeOptions, 'pair'> = {}): boolean {
    const { single } = this.template(options)
    const room = this.room(options.maxLength, addedIds(single))
    let truncated = false
    for (const piece of single) {
      if (piece.type === 'ids') out.pushAll(piece.ids)
      else truncated = this.encodeText(text, out, room)
    }
    return truncated
  }

  /** The token of an id, as the vocabulary spells it (`##ing`, `Ġthe`). @throws TOKENIZER_UNKNOWN_ID */
  token(id: number): string {
    const token = (this.tokens ??= this.spellings()).get(id)
    if (token === undefined) {
      const expected = `0 to ${this.maxId}`
      throw usageError(
        'TOKENIZER_UNKNOWN_ID',
        `no token has the id ${id}`,
        { found: id, expected },
        'use the tokenizer that made the ids',
      )
    }
    return token
  }

  /** The id of a token, spelled as in the vocabulary. */
  id(token: string): number | undefined {
    return this.addedIds.get(token) ?? this.parts.vocab.get(token)
  }

  private spellings(): Map<number, string> {
    return new Map([...this.parts.vocab, ...this.addedIds].map(([token, id]) => [id, token]))
  }

  private template({ addSpecialTokens = true }: EncodeOptions): Template {
    return addSpecialTokens ? this.parts.template : this.bare
  }

  private encodePair(text: string, pair: string, pieces: readonly Piece[], maxLength: number | undefined): Encoding {
    const room = this.room(maxLength, addedIds(pieces))
    const { out, buffers } = this
    out.clear()
    for (const [i, one] of [text, pair].entries()) {
      buffers[i].clear()
      this.encodeText(one, buffers[i], Infinity) // where to cut, only both full lengths tell
    }
    const [a, b] = buffers
    const kept = longestFirst(a.length, b.length, room)
    for (const piece of pieces) {
      if (piece.type === 'ids') out.pushAll(piece.ids)
      else out.pushRange(buffers[piece.which].data, 0, kept[piece.which])
    }
    return {
      ids: out.ids(),
      typeIds: typeIdsOf(pieces, kept, out.length),
      truncated: kept[0] < a.length || kept[1] < b.length,
    }
  }

  private room(maxLength: number | undefined, added: number): number {
    if (maxLength === undefined) return Infinity
    if (!Number.isInteger(maxLength) || maxLength < added) {
      throw usageError(
        'TOKENIZER_MAX_LENGTH',
        `maxLength is ${maxLength}; it must be an integer of at least ${added}, for the special tokens`,
        { found: maxLength, expected: `an integer >= ${added}` },
        'a larger --max-length',
      )
    }
    return maxLength - added
  }

  /** Appends at most `room` ids; a text with more stops one id later and is cut: true. */
  private encodeText(text: string, out: IdBuffer, room: number): boolean {
    const lone = loneSurrogateAt(text)
    if (lone >= 0) {
      const unit = text.charCodeAt(lone).toString(16).toUpperCase()
      throw inputError(
        'TEXT_LONE_SURROGATE',
        `the text has an unpaired surrogate U+${unit} at UTF-16 position ${lone}`,
        { index: lone, found: `U+${unit}`, expected: 'well-formed Unicode' },
        'Replace it, for example with String.prototype.toWellFormed().',
      )
    }
    out.limit = out.length + room
    if (this.raw === null) this.encodePart(text, out)
    else
      this.raw.split(
        text,
        (part) => this.encodePart(part, out),
        (token) => this.pushToken(token, out),
      )
    if (!out.full) return false
    out.length = out.limit
    return true
  }

  private pushToken(token: AddedToken, out: IdBuffer): boolean {
    out.push(token.id)
    return !out.full
  }

  /** Text without raw added tokens: normalise, take out the added tokens that match only now, split the rest. */
  private encodePart(part: string, out: IdBuffer): boolean {
    const { model } = this.parts
    const { normalized } = this
    if (part === '') return true
    if (normalized === null) {
      model.encoder.encode(part, out)
    } else if (model.kind === 'wordpiece') {
      const clean = model.normalizer === null ? part : model.normalizer.normalize(part)
      normalized.split(
        clean,
        (text) => {
          model.encoder.encodeNormalized(text, out)
          return !out.full
        },
        (token) => this.pushToken(token, out),
      )
    } else {
      normalized.split(
        part,
        (text) => {
          model.encoder.encode(text, out)
          return !out.full
        },
        (token) => this.pushToken(token, out),
      )
    }
    return !out.full
  }
}
