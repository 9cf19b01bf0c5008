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
