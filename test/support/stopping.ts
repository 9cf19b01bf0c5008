// Aborts at every point where somebody looks, not after some time: what stopping tests share.

/** A signal that is aborted from the n-th time on that it is looked at; n from 1. `looks` counts them. */
export class SignalAtLook {
  readonly #controller = new AbortController()
  looks = 0

  constructor(
    readonly last: number,
    readonly reason = new Error('enough'),
  ) {}

  get signal(): AbortSignal {
    const { signal } = this.#controller
    const look = (): void => {
      if (++this.looks === this.last) this.#controller.abort(this.reason)
    }
    const aborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')!.get!
    return Object.defineProperties(signal, {
      aborted: {
        get: (): boolean => {
          look()
          return aborted.call(signal) as boolean
        },
      },
      throwIfAborted: {
        value: (): void => {
          look()
          AbortSignal.prototype.throwIfAborted.call(signal)
        },
      },
    })
  }
}

/**
 * Calls `attempt` with signals that abort ever later, until one call ends undisturbed.
 * @param next the look to abort at after this one
 * @returns how many were stopped
 */
export async function stopEverywhere(
  attempt: (signal: AbortSignal) => Promise<unknown>,
  afterStop: () => Promise<void>,
  next = (look: number): number => look + 1,
): Promise<number> {
  let stopped = 0
  for (let look = 1; ; look = next(look)) {
    const at = new SignalAtLook(look)
    try {
      await attempt(at.signal)
      return stopped
    } catch (error) {
      if (error !== at.reason) throw error
    }
    stopped++
    await afterStop()
  }
}
