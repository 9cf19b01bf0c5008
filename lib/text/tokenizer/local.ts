import { AddedTokenMatcher, type AddedToken } from './added-tokens.js'
import type { BertNormalizer } from './bert-normalizer.js'
import type { ByteLevel } from './byte-level.js'
import { IdBuffer } from './id-buffer.js'
import { addedIds, longestFirst, textLength, typeIdsOf, type Piece, type Template } from './template.js'
import { checkRoom, checkUnicode } from './refusals.js'
import type { Encoding, EncodeOptions, Engine, TokenBatch } from './types.js'
import type { WordPiece } from './wordpiece.js'

/** For one text, or a pair of texts. */
export interface PairOptions extends EncodeOptions {
  /** second text of a pair */
  pair?: string
}

/** The vocabulary and the machinery that `readLocalTokenizer` puts together. */
export interface TokenizerParts {
  /** id → spelling, added tokens included */
  tokens: Map<number, string>
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
 * Text to token ids by this package's own code, on the thread of the caller: the same ids as the Python package
 * `tokenizers` gives for the same `tokenizer.json`.
 *
 * The file's own `truncation` and `padding` settings are ignored: `maxLength` is the only truncation, and nothing is
 * ever padded.
 */
export class LocalTokenizer implements Engine {
  readonly reader = 'own'
  readonly kind: 'wordpiece' | 'bpe'
  readonly specialIds: ReadonlySet<number>

  /** the template without what it adds */
  private readonly bare: Template
  private readonly raw: AddedTokenMatcher | null
  private readonly normalized: AddedTokenMatcher | null
  private readonly buffers = [new IdBuffer(), new IdBuffer()] as const
  private readonly out = new IdBuffer()

  /** Use `readLocalTokenizer`. */
  constructor(private readonly parts: TokenizerParts) {
    const { template, rawPatterns, normalizedPatterns } = parts
    const isText = (piece: Piece): boolean => piece.type === 'text'
    this.bare = { single: template.single.filter(isText), pair: template.pair.filter(isText) }
    this.kind = parts.model.kind
    this.specialIds = parts.specialIds
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
  encode(text: string, options: PairOptions = {}): Encoding {
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
  encodeInto(text: string, out: IdBuffer, options: EncodeOptions = {}): boolean {
    const { single } = this.template(options)
    const room = checkRoom(options.maxLength, addedIds(single))
    let truncated = false
    for (const piece of single) {
      if (piece.type === 'ids') out.pushAll(piece.ids)
      else truncated = this.encodeText(text, out, room)
    }
    return truncated
  }

  encodeBatch(texts: readonly string[], options: EncodeOptions): TokenBatch {
    const { single } = this.template(options)
    const { out } = this
    out.clear()
    const offsets = new Uint32Array(texts.length + 1),
      truncated = new Uint8Array(texts.length)
    texts.forEach((text, i) => {
      truncated[i] = Number(this.encodeInto(text, out, options))
      offsets[i + 1] = out.length
    })
    const typeIds = new Uint8Array(out.length)
    if (single.some(({ typeId }) => typeId !== 0)) {
      for (let i = 0; i < texts.length; i++) {
        const length = offsets[i + 1] - offsets[i]
        typeIds.set(typeIdsOf(single, [textLength(single, length), 0], length), offsets[i])
      }
    }
    return { ids: out.ids(), typeIds, offsets, truncated }
  }

  spellings(): Map<number, string> {
    return this.parts.tokens
  }

  private template({ addSpecialTokens = true }: EncodeOptions): Template {
    return addSpecialTokens ? this.parts.template : this.bare
  }

  private encodePair(text: string, pair: string, pieces: readonly Piece[], maxLength: number | undefined): Encoding {
    const room = checkRoom(maxLength, addedIds(pieces))
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

  /** Appends at most `room` ids; a text with more stops one id later and is cut: true. */
  private encodeText(text: string, out: IdBuffer, room: number): boolean {
    checkUnicode(text)
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
