import type { IdBuffer } from './id-buffer.js'

const slots = 1 << 16
const mostWords = slots / 2
const longest = 32

/**
 * Remembers the ids of words already split: an open-addressing table over the words' UTF-16 units, so that a look-up
 * needs no string of its own. Holds at most 32,768 words of at most 32 units; when full it forgets all of them.
 */
export class WordCache {
  private readonly hashes = new Int32Array(slots) // 0: free
  private readonly unitsAt = new Uint32Array(slots)
  private readonly lengths = new Uint8Array(slots)
  private readonly idsAt = new Uint32Array(slots)
  private readonly idCounts = new Uint16Array(slots)
  private units = new Uint16Array(1 << 12)
  private ids = new Uint32Array(1 << 12)
  private words = 0
  private usedUnits = 0
  private usedIds = 0

  /** Appends the ids of the word text[begin, end) to `out`; false when the word is not known. */
  replay(text: string, begin: number, end: number, out: IdBuffer): boolean {
    if (end - begin > longest) return false
    const hash = hashOf(text, begin, end)
    const slot = this.slot(hash, text, begin, end)
    if (this.hashes[slot] === 0) return false
    out.pushRange(this.ids, this.idsAt[slot], this.idCounts[slot])
    return true
  }

  /** Words that are too long are not kept: they seldom come back. */
  add(text: string, begin: number, end: number, ids: readonly number[]): void {
    const length = end - begin
    if (length > longest) return
    if (this.words === mostWords) this.clear()
    const { units, usedUnits, usedIds } = this
    if (usedUnits + length > units.length) this.units = grown(units, new Uint16Array(2 * units.length))
    if (usedIds + ids.length > this.ids.length) this.ids = grown(this.ids, new Uint32Array(2 * this.ids.length))
    const hash = hashOf(text, begin, end)
    const slot = this.slot(hash, text, begin, end)
    this.hashes[slot] = hash
    this.unitsAt[slot] = this.usedUnits
    this.lengths[slot] = length
    for (let i = begin; i < end; i++) this.units[this.usedUnits++] = text.charCodeAt(i)
    this.idsAt[slot] = this.usedIds
    this.idCounts[slot] = ids.length
    this.ids.set(ids, this.usedIds)
    this.usedIds += ids.length
    this.words++
  }

  private clear(): void {
    this.hashes.fill(0)
    this.words = this.usedUnits = this.usedIds = 0
  }

  /** Where the word is, or the free slot where it belongs. */
  private slot(hash: number, text: string, begin: number, end: number): number {
    const { hashes, lengths } = this
    let slot = hash & (slots - 1)
    for (; hashes[slot] !== 0; slot = (slot + 1) & (slots - 1)) {
      if (hashes[slot] === hash && lengths[slot] === end - begin && this.equals(slot, text, begin, end)) break
    }
    return slot
  }

  private equals(slot: number, text: string, begin: number, end: number): boolean {
    const { units } = this
    let at = this.unitsAt[slot]
    for (let i = begin; i < end; i++) if (text.charCodeAt(i) !== units[at++]) return false
    return true
  }
}

function hashOf(text: string, begin: number, end: number): number {
  let hash = end - begin
  for (let i = begin; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x5bd1e995)
  hash ^= hash >>> 15
  return hash === 0 ? 1 : hash
}

function grown<T extends Uint16Array | Uint32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
