import type { Progress, RunOptions } from './native/task.js'

/**
 * Work that goes on beside other work. Where it fails, `signal` stops the other work with the error as its reason; its
 * progress is told from when it is waited for, at least once where it tells of any.
 */
export class Beside<T> {
  /** for the other work: aborted as the caller's is, and when this fails or is stopped */
  readonly signal: AbortSignal
  readonly #stop = new AbortController()
  readonly #work: (run: RunOptions) => Promise<T>
  readonly #onProgress: RunOptions['onProgress']
  #waitedFor = false
  #last: Progress | undefined
  #started: Promise<T> | undefined

  constructor(work: (run: RunOptions) => Promise<T>, { signal, onProgress }: RunOptions) {
    this.signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal
    this.#work = work
    this.#onProgress = onProgress
  }

  /** Begins, unless it has begun. */
  start(): void {
    if (this.#started) return
    const onProgress =
      this.#onProgress &&
      ((progress: Progress): void => {
        this.#last = progress
        if (this.#waitedFor) this.#onProgress!(progress)
      })
    this.#started = this.#work({ signal: this.signal, onProgress })
    this.#started.catch((error: unknown) => this.#stop.abort(error)) // it is thrown to those who wait, too
  }

  /** What came of it; begins where it has not begun. @throws what the work throws, the signal's reason */
  async finish(): Promise<T> {
    if (!this.#waitedFor && this.#last) this.#onProgress!(this.#last)
    this.#waitedFor = true
    this.start()
    return this.#started!
  }

  /** Nobody will wait for it. */
  stop(): void {
    this.#stop.abort()
  }
}
