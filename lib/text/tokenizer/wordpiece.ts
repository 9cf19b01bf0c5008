import type { BertNormalizer } from './bert-normalizer.js'
import type { IdBuffer } from './id-buffer.js'
import { flagsOf } from './unicode.js'
import * as tables from './unicode-tables.js'
import { WordCache } from './word-cache.js'

export interface WordPieceOptions {
  vocab: ReadonlyMap<string, number>
  unkId: number
  prefix: string
  maxCharsPerWord: number
}

// of the flags; 1 is white space
const punctuation = 2

/** BertPreTokenizer and greedy longest-match WordPiece (Wu et al. 2016, section 4.1). */
export class WordPiece {
  private readonly flags = flagsOf([tables.whitespace, tables.punctuation])
  private readonly cache = new WordCache()
  private readonly continuing: ReadonlyMap<string, number>
  private readonly longest: number
  /** ids of the one-character words of ASCII punctuation */
  private readonly ascii: readonly (readonly number[])[]

  constructor(
    private readonly options: WordPieceOptions,
    private readonly normalizer: BertNormalizer | null,
  ) {
    const { vocab, prefix } = options
    const continuing = new Map<string, number>()
    let longest = 1
    for (const [token, id] of vocab) {
      longest = Math.max(longest, token.length)
      if (token.startsWith(prefix)) continuing.set(token.slice(prefix.length), id)
    }
    this.continuing = continuing
    this.longest = longest
    this.ascii = Array.from({ length: 128 }, (_, c) => {
      const ids: number[] = []
      if (this.flags[c] & punctuation) this.word(String.fromCharCode(c), ids)
      return ids
    })
  }

  /**
   * Raw text. Cuts at ASCII white space and punctuation, which normalisation never touches; what lies between is looked
   * up in the cache.
   */
  encode(text: string, out: IdBuffer): void {
    const { flags, ascii } = this
    const end = text.length
    let begin = 0
    for (let i = 0; i < end && !out.full; i++) {
      const c = text.charCodeAt(i)
      if (c > 0x7f) continue
      const cut = flags[c]
      if (cut === 0 || isControl(c)) continue
      if (begin < i) this.chunk(text, begin, i, out)
      begin = i + 1
      if (cut & punctuation) out.pushAll(ascii[c])
    }
    if (begin < end && !out.full) this.chunk(text, begin, end, out)
  }

  /** Text that the normaliser has been through already. */
  encodeNormalized(text: string, out: IdBuffer | number[]): void {
    let begin = 0
    for (let i = 0; i < text.length; i++) {
      const c = text.codePointAt(i) as number
      const width = c > 0xffff ? 2 : 1
      const cut = this.flags[c]
      if (cut !== 0) {
        if (begin < i) this.word(text.slice(begin, i), out)
        begin = i + width
        if (cut & punctuation) this.word(text.slice(i, begin), out)
      }
      i += width - 1
    }
    if (begin < text.length) this.word(text.slice(begin), out)
  }

  private chunk(text: string, begin: number, end: number, out: IdBuffer): void {
    if (this.cache.replay(text, begin, end, out)) return
    const raw = text.slice(begin, end)
    const ids: number[] = []
    this.encodeNormalized(this.normalizer === null ? raw : this.normalizer.normalize(raw), ids)
    this.cache.add(text, begin, end, ids)
    out.pushAll(ids)
  }

  /** One word: the longest known beginning, then the longest known continuations; or one unknown token for it all. */
  private word(word: string, out: { push(id: number): unknown }): void {
    const { vocab, unkId, maxCharsPerWord } = this.options
    if (longerThan(word, maxCharsPerWord)) {
      out.push(unkId)
      return
    }
    const ids: number[] = []
    for (let start = 0; start < word.length; ) {
      const known = start === 0 ? vocab : this.continuing
      let end = Math.min(word.length, start + this.longest)
      let id: number | undefined
      while (end > start && (id = known.get(word.slice(start, end))) === undefined) end--
      if (id === undefined) {
        out.push(unkId)
        return
      }
      ids.push(id)
      start = end
    }
    for (const id of ids) out.push(id)
  }
}

/** \v and \f are white space to the pre-tokenizer, but clean_text deletes them first: leave them to the normaliser. */
const isControl = (c: number): boolean => c === 0x0b || c === 0x0c

/** More code points than `limit`? */
function longerThan(word: string, limit: number): boolean {
  if (word.length <= limit) return false
  let count = 0
  for (let i = 0; i < word.length && count <= limit; i++) {
    if (word.charCodeAt(i) >>> 10 !== 0x37) count++
  }
  return count > limit
}
