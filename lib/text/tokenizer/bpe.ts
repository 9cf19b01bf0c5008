import { byteChars } from './byte-alphabet.js'
import type { IdBuffer } from './id-buffer.js'
import { type Merges, MergeTable } from './merge-table.js'
import { WordCache } from './word-cache.js'

export interface BpeOptions {
  vocab: ReadonlyMap<string, number>
  merges: Merges
  unkId: number | null
  fuseUnk: boolean
  ignoreMerges: boolean
}

/** Ranks below this fit with a position into one double of the queue. */
export const maxMerges = 1 << 21
const positions = 2 ** 32
const small = 256
/** words above this many bytes do not leave their memory behind */
const keep = 1 << 20

/** Byte-level byte pair encoding (Sennrich et al. 2016; Radford et al. 2019); n log n in the word's length. */
export class Bpe {
  private readonly cache = new WordCache()
  private readonly table: MergeTable
  private readonly unions: Uint32Array
  /** id of each byte's symbol, -1 where the vocabulary lacks it */
  private readonly byteIds: Float64Array
  private readonly utf8 = new TextEncoder()
  private queue = new MinQueue()
  private bytes = new Uint8Array(small)
  private symbols = new Uint32Array(small)
  private next = new Int32Array(small)
  private previous = new Int32Array(small)

  constructor(private readonly options: BpeOptions) {
    this.byteIds = Float64Array.from(byteChars, (char) => options.vocab.get(char) ?? -1)
    this.table = new MergeTable(options.merges)
    this.unions = options.merges.union
  }

  /** The piece text[begin, end) of the pre-tokeniser, raw (not spelled in byte characters). */
  encodePiece(text: string, begin: number, end: number, out: IdBuffer): void {
    if (this.cache.replay(text, begin, end, out)) return
    const ids = this.split(text.slice(begin, end))
    this.cache.add(text, begin, end, ids)
    out.pushAll(ids)
  }

  private split(piece: string): readonly number[] {
    if (this.bytes.length < 3 * piece.length) this.reserve(3 * piece.length)
    const byteCount = this.utf8.encodeInto(piece, this.bytes).written
    if (this.options.ignoreMerges) {
      let spelled = ''
      for (let i = 0; i < byteCount; i++) spelled += byteChars[this.bytes[i]]
      const whole = this.options.vocab.get(spelled)
      if (whole !== undefined) return [whole]
    }
    const count = this.spell(byteCount)
    this.merge(count)
    const ids: number[] = []
    for (let i = 0; i >= 0 && i < count; i = this.next[i]) ids.push(this.symbols[i])
    if (this.bytes.length > keep) this.reserve(small)
    return ids
  }

  /** Bytes to symbols; bytes without a symbol become the unknown token, or nothing where there is none. */
  private spell(byteCount: number): number {
    const { unkId, fuseUnk } = this.options
    let count = 0
    let afterUnk = false
    for (let i = 0; i < byteCount; i++) {
      const id = this.byteIds[this.bytes[i]]
      if (id >= 0) this.symbols[count++] = id
      else if (unkId !== null && !(fuseUnk && afterUnk)) this.symbols[count++] = unkId
      afterUnk = id < 0
    }
    return count
  }

  /** Applies the merge of the lowest rank, leftmost first, until none is left; `next` then links what remains. */
  private merge(count: number): void {
    const { symbols, next, previous, queue, table, unions } = this
    for (let i = 0; i < count; i++) {
      next[i] = i + 1 < count ? i + 1 : -1
      previous[i] = i - 1
    }
    queue.clear()
    for (let i = 0; i + 1 < count; i++) this.offer(i)
    for (let top = queue.pop(); top >= 0; top = queue.pop()) {
      const rank = Math.floor(top / positions)
      const at = top - rank * positions
      const right = next[at]
      if (right < 0) continue // merged away (next is -2), or the last one
      // the pair may have changed since it was queued; like Rust, compare what it would become
      const now = table.rank(symbols[at], symbols[right])
      if (now < 0 || unions[now] !== unions[rank]) continue
      symbols[at] = unions[rank]
      const after = next[right]
      next[at] = after
      next[right] = -2
      if (after >= 0) previous[after] = at
      if (previous[at] >= 0) this.offer(previous[at])
      if (after >= 0) this.offer(at)
    }
  }

  private offer(at: number): void {
    const rank = this.table.rank(this.symbols[at], this.symbols[this.next[at]])
    if (rank >= 0) this.queue.push(rank * positions + at)
  }

  private reserve(size: number): void {
    this.queue = new MinQueue()
    this.bytes = new Uint8Array(size)
    this.symbols = new Uint32Array(size)
    this.next = new Int32Array(size)
    this.previous = new Int32Array(size)
  }
}

/** A binary heap of non-negative numbers. */
class MinQueue {
  private heap = new Float64Array(small)
  private size = 0

  clear(): void {
    this.size = 0
  }

  push(key: number): void {
    if (this.size === this.heap.length) {
      const heap = new Float64Array(2 * this.size)
      heap.set(this.heap)
      this.heap = heap
    }
    const heap = this.heap
    let at = this.size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent] <= key) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = key
  }

  /** The smallest, or -1 when empty. */
  pop(): number {
    if (this.size === 0) return -1
    const heap = this.heap
    const top = heap[0]
    const size = --this.size
    const key = heap[size]
    let at = 0
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && heap[child + 1] < heap[child]) child++
      if (heap[child] >= key) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = key
    return top
  }
}
