// Sorted values and ranks, found in steps of at most some tens of milliseconds.

/** All steps at once, for callers that have nothing else to do. */
export function inOneStep<Result>(steps: Generator<void, Result>): Result {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** How many of the sorted values lie at or below a limit; none for NaN. */
export function upTo(sorted: Float64Array, limit: number): number {
  let low = 0,
    high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle] <= limit) low = middle + 1
    else high = middle
  }
  return low
}

/** The values in ascending order; NaNs are left out. */
export function sortedValues(values: Float64Array): Float64Array {
  const kept = new Float64Array(values.length)
  let count = 0
  for (let i = 0; i < values.length; i++) if (!Number.isNaN(values[i])) kept[count++] = values[i]
  return kept.subarray(0, count).sort()
}

/** A growing bag of ranks 0 … size − 1 that gives its k-th smallest; both in log(size) steps (Fenwick 1994). */
export class RankBag {
  private readonly counts: Uint32Array // at i: of the ranks that i's lowest bit spans, up to i − 1

  constructor(size: number) {
    this.counts = new Uint32Array(size + 1)
  }

  insert(rank: number): void {
    for (let i = rank + 1; i < this.counts.length; i += i & -i) this.counts[i]++
  }

  /** The rank in place `k` of the bag, from 0. */
  at(k: number): number {
    let before = 0
    for (let step = 2 ** Math.floor(Math.log2(this.counts.length)); step >= 1; step /= 2) {
      if (before + step >= this.counts.length || this.counts[before + step] > k) continue
      before += step
      k -= this.counts[before]
    }
    return before
  }
}
