// Orders of many values, found in steps of at most some tens of milliseconds.

/** All steps at once, for callers that have nothing else to do. */
export function inOneStep<Result>(steps: Generator<void, Result>): Result {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** Places of the values in ascending order, ties by place, and the values in that order; NaNs are left out. */
export interface Ascending {
  order: Uint32Array
  sorted: Float64Array
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

/** Values are sorted without their places, which is faster than by a comparison; then every place finds its own. */
export function* ascending(values: Float64Array): Generator<void, Ascending> {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort()
  yield
  const order = new Uint32Array(sorted.length),
    taken = new Uint32Array(sorted.length + 1)
  for (let i = values.length - 1; i >= 0; i--) {
    if (Number.isNaN(values[i])) continue
    const end = upTo(sorted, values[i])
    order[end - ++taken[end]] = i
  }
  yield
  return { order, sorted }
}

/** A growing set of ranks 0 … size − 1 that gives its k-th smallest; both in log(size) steps (Fenwick 1994). */
export class RankSet {
  private readonly counts: Uint32Array // at i: of the ranks that i's lowest bit spans, up to i − 1

  constructor(size: number) {
    this.counts = new Uint32Array(size + 1)
  }

  insert(rank: number): void {
    for (let i = rank + 1; i < this.counts.length; i += i & -i) this.counts[i]++
  }

  /** The rank that `k` others of the set precede. */
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
