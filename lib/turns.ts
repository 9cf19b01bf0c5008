import { setImmediate } from 'node:timers/promises'

/** Work between two turns, in milliseconds. */
const slice = 15

/**
 * The event loop's turns in long work on the main thread, so that timers run and an abort is noticed:
 * `if (turns.due) await turns.take()` between steps of at most some milliseconds.
 */
export class Turns {
  #since = performance.now()

  constructor(readonly signal?: AbortSignal) {}

  get due(): boolean {
    return performance.now() - this.#since >= slice
  }

  /** @throws the signal's reason */
  async take(): Promise<void> {
    await setImmediate()
    this.signal?.throwIfAborted()
    this.#since = performance.now()
  }
}

/** What is sorted at once, and then merged. */
const runLength = 1024

/** The items in ascending order of their keys, equal ones in the order given. */
export async function sortInTurns<T>(items: readonly T[], key: (item: T) => string, turns: Turns): Promise<T[]> {
  let runs: T[][] = []
  for (let first = 0; first < items.length; first += runLength) {
    const run = items.slice(first, first + runLength)
    runs.push(run.sort((a, b) => (key(a) < key(b) ? -1 : Number(key(a) > key(b)))))
    if (turns.due) await turns.take()
  }
  while (runs.length > 1) {
    const merged: T[][] = []
    for (let at = 0; at < runs.length; at += 2) {
      const [left, right = []] = runs.slice(at, at + 2)
      const all: T[] = []
      for (let i = 0, j = 0; i < left.length || j < right.length; ) {
        const second = i === left.length || (j < right.length && key(left[i]) > key(right[j]))
        all.push(second ? right[j++] : left[i++])
        if (turns.due) await turns.take()
      }
      merged.push(all)
    }
    runs = merged
  }
  return runs[0] ?? []
}
