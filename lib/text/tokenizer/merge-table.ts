/** Pairs of symbols in order of rank, with the id of their union. */
export interface Merges {
  left: Uint32Array
  right: Uint32Array
  union: Uint32Array
}

/** Rank of a pair of symbols: an open-addressing hash table in typed arrays, half full at most. */
export class MergeTable {
  private readonly lefts: Uint32Array
  private readonly rights: Uint32Array
  private readonly ranks: Int32Array
  private readonly mask: number

  /** A pair listed twice keeps its last rank, as in Rust's map. */
  constructor({ left, right }: Merges) {
    let slots = 16
    while (slots < 2 * left.length) slots *= 2
    this.mask = slots - 1
    this.lefts = new Uint32Array(slots)
    this.rights = new Uint32Array(slots)
    this.ranks = new Int32Array(slots).fill(-1)
    for (let rank = 0; rank < left.length; rank++) {
      const slot = this.slot(left[rank], right[rank])
      this.lefts[slot] = left[rank]
      this.rights[slot] = right[rank]
      this.ranks[slot] = rank
    }
  }

  /** -1 when the pair is never merged. */
  rank(left: number, right: number): number {
    return this.ranks[this.slot(left, right)]
  }

  private slot(left: number, right: number): number {
    const { lefts, rights, ranks, mask } = this
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)
    hash ^= hash >>> 15
    let slot = hash & mask
    while (ranks[slot] >= 0 && (lefts[slot] !== left || rights[slot] !== right)) slot = (slot + 1) & mask
    return slot
  }
}
