import type { PackedProbes } from './pack.js'
import type { BatchEncoder, EncodeOptions, TokenBatch } from './tokenizer/index.js'

/** Texts whose tokens are there already; of others, and of those that are cut off, a tokenizer makes them. */
export class KnownTokens implements BatchEncoder {
  readonly #numbers: ReadonlyMap<string, number>

  /** @param packed the texts' tokens as `tokenizer` gives them, cut off at `maxLength` */
  constructor(
    texts: readonly string[],
    readonly packed: Pick<PackedProbes, 'ids' | 'typeIds' | 'offsets'>,
    readonly maxLength: number,
    readonly tokenizer: BatchEncoder,
  ) {
    this.#numbers = new Map(texts.map((text, i) => [text, i]))
  }

  async encodeBatch(texts: string[], options: EncodeOptions = {}): Promise<TokenBatch> {
    const { maxLength = Infinity, addSpecialTokens = true } = options
    const numbers = texts.map((text) => (addSpecialTokens ? this.#whole(text, maxLength) : undefined))
    const fresh = texts.filter((_, i) => numbers[i] === undefined)
    const made = await this.tokenizer.encodeBatch(fresh, options)
    const pieces: [from: Pick<TokenBatch, 'ids' | 'typeIds' | 'offsets'>, at: number][] = []
    const truncated = new Uint8Array(texts.length)
    const offsets = new Uint32Array(texts.length + 1)
    let next = 0
    numbers.forEach((number, i) => {
      if (number === undefined) truncated[i] = made.truncated[next]
      const piece = (pieces[i] = number === undefined ? [made, next++] : [this.packed, number])
      const [from, at] = piece
      offsets[i + 1] = offsets[i] + from.offsets[at + 1] - from.offsets[at]
    })
    const ids = new Uint32Array(offsets[texts.length])
    const typeIds = new Uint8Array(offsets[texts.length])
    pieces.forEach(([from, at], i) => {
      ids.set(from.ids.subarray(from.offsets[at], from.offsets[at + 1]), offsets[i])
      typeIds.set(from.typeIds.subarray(from.offsets[at], from.offsets[at + 1]), offsets[i])
    })
    return { ids, typeIds, offsets, truncated }
  }

  /** The number of a text that surely was not cut off, nor would be. */
  #whole(text: string, limit: number): number | undefined {
    const number = this.#numbers.get(text)
    if (number === undefined) return undefined
    const length = this.packed.offsets[number + 1] - this.packed.offsets[number]
    return length < this.maxLength && length <= limit ? number : undefined
  }
}
