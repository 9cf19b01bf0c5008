import { Random } from '../random.js'

interface Kept<T> {
  hash: number
  row: number
  item: T
}

/** The `capacity` items with the smallest hashes (ties: rows): a heap with the largest on top. */
class Smallest<T> {
  readonly items: Kept<T>[] = []
  seen = 0

  constructor(readonly capacity: number) {}

  add(kept: Kept<T>): void {
    this.seen++
    const { items } = this
    if (items.length < this.capacity) {
      items.push(kept)
      let at = items.length - 1
      while (at > 0) {
        const parent = (at - 1) >> 1
        if (!isBefore(items[parent], items[at])) break
        swap(items, parent, at)
        at = parent
      }
    } else if (isBefore(kept, items[0])) {
      items[0] = kept
      this.#sink()
    }
  }

  #sink(): void {
    const { items } = this
    for (let at = 0; ; ) {
      let largest = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < items.length && isBefore(items[largest], items[child])) largest = child
      }
      if (largest === at) return
      swap(items, at, largest)
      at = largest
    }
  }
}

const isBefore = (a: Kept<unknown>, b: Kept<unknown>): boolean =>
  a.hash < b.hash || (a.hash === b.hash && a.row < b.row)

function swap(items: unknown[], a: number, b: number): void {
  const item = items[a]
  items[a] = items[b]
  items[b] = item
}

export interface Stratum {
  name: string
  seen: number
  kept: number
}

/**
 * A stratified subsample of a stream: of each stratum the items whose rows hash smallest, where the hash of a row is
 * `Random(seed, 'probes').uniformAt(row)`, so a choice depends on the seed, the row numbers and the strata alone.
 * `perDomain` keeps so many of each stratum; `limit` shares so many out in proportion (largest remainders). Memory: at
 * most the limit for each stratum.
 */
export class StratifiedSample<T> {
  readonly #random: Random
  readonly #strata = new Map<string, Smallest<T>>()

  constructor(
    readonly limit: number | undefined,
    readonly perDomain: number | undefined,
    seed: number,
  ) {
    this.#random = new Random(seed, 'probes')
  }

  add(stratum: string, row: number, item: T): void {
    let smallest = this.#strata.get(stratum)
    if (smallest === undefined) {
      smallest = new Smallest(this.perDomain ?? this.limit ?? Number.POSITIVE_INFINITY)
      this.#strata.set(stratum, smallest)
    }
    smallest.add({ hash: this.#random.uniformAt(row), row, item })
  }

  /** The items that stay, in the order of their rows, and the strata in the order of their names. */
  finish(): { items: T[]; strata: Stratum[] } {
    const strata = [...this.#strata].sort(([a], [b]) => (a < b ? -1 : 1))
    const sizes = strata.map(([, { seen }]) => seen)
    const quotas = this.limit === undefined ? sizes : shareOut(this.limit, sizes)
    const kept: Kept<T>[] = []
    const counts: Stratum[] = []
    for (const [i, [name, { items, seen }]] of strata.entries()) {
      const chosen = items.sort((a, b) => (isBefore(a, b) ? -1 : 1)).slice(0, quotas[i])
      for (const item of chosen) kept.push(item)
      counts.push({ name, seen, kept: chosen.length })
    }
    return { items: kept.sort((a, b) => a.row - b.row).map(({ item }) => item), strata: counts }
  }
}

/** Shares `total` out in proportion to `sizes` by largest remainders (ties: the earlier), never more than a size. */
export function shareOut(total: number, sizes: readonly number[]): number[] {
  const sum = sizes.reduce((a, b) => a + b, 0)
  if (total >= sum) return [...sizes]
  // Whole-number arithmetic: a product of two counts may exceed 2^53.
  const products = sizes.map((size) => BigInt(size) * BigInt(total))
  const shares = products.map((product) => Number(product / BigInt(sum)))
  const remainders = products.map((product) => product % BigInt(sum))
  const order = sizes
    .map((_, i) => i)
    .sort((a, b) => {
      if (remainders[a] === remainders[b]) return a - b
      return remainders[a] > remainders[b] ? -1 : 1
    })
  const left = total - shares.reduce((a, b) => a + b, 0)
  for (const i of order.slice(0, left)) shares[i]++
  return shares
}
