import { WarpError, type ErrorKind } from '../errors.js'
import type { NativeProgress, NativeTask } from './types.js'

export interface Progress {
  phase: string
  done: number
  total: number
  unit: string
}

/** What every long call takes. `onProgress` sees `done` never go back within a phase; if it throws, the call stops. */
export interface RunOptions {
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
}

/** A native error (kind, code, hint) as a WarpError; anything else as it is. */
export function fromNative(error: unknown): unknown {
  const native = error as { kind?: ErrorKind; code?: string; hint?: string; message: string }
  if (error instanceof WarpError || !native?.kind || !native.code) return error
  return new WarpError(native.kind, native.code, native.message, {}, native.hint ?? '', { cause: error })
}

/** A synchronous native call whose errors are WarpErrors. */
export function callNative<T>(body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw fromNative(error)
  }
}

/**
 * Runs a native job under an AbortSignal. Rejects with the signal's reason when aborted, with what `onProgress`
 * threw when it threw, with a WarpError when the job failed.
 */
export async function runTask<T>(
  start: (onProgress: NativeProgress) => NativeTask<T>,
  phase: string,
  unit: string,
  { signal, onProgress }: RunOptions = {},
): Promise<T> {
  signal?.throwIfAborted()
  let thrown: { error: unknown } | undefined
  const report =
    onProgress &&
    ((done: number, total: number) => {
      try {
        onProgress({ phase, done, total, unit })
      } catch (error) {
        thrown ??= { error }
        task.cancel()
      }
    })
  const task = callNative(() => start(report))
  const abort = () => task.cancel()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await task.promise
  } catch (error) {
    if (thrown) throw thrown.error
    if ((error as Error).name === 'AbortError' && signal?.aborted) throw signal.reason
    throw fromNative(error)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}
