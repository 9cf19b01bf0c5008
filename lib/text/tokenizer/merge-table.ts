/** Rank of a pair of symbols: an open-addressing hash table in typed arrays, half full at most. */
export class MergeTable {
  private readonly lefts: Uint32Array
  private readonly rights: Uint32Array
  private readonly ranks: Int32Array
  private readonly mask: number

  /** A pair listed twice keeps its last rank, as in Rust's map. */
  constructor(merges: readonly { left: number; right: number }[]) {
    let slots = 16
    while (slots < 2 * merges.length) slots *= 2
    this.mask = slots - 1
    this.lefts = new Uint32Array(slots)
    this.rights = new Uint32Array(slots)
    this.ranks = new Int32Array(slots).fill(-1)
    merges.forEach(({ left, right }, rank) => {
      const slot = this.slot(left, right)
      this.lefts[slot] = left
      this.rights[slot] = right
      this.ranks[slot] = rank
    })
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
