import { setImmediate } from 'node:timers/promises'
import { Beside } from '../../lib/beside.js'
import type { Progress, RunOptions } from '../../lib/native/task.js'

const told = (done: number): Progress => ({ phase: 'hash', done, total: 2, unit: 'bytes' })

test('begins once, and tells how far it is when it is waited for', async () => {
  const seen: Progress[] = []
  let begun = 0
  let go = (): void => {}
  const work = async ({ onProgress }: RunOptions): Promise<string> => {
    begun++
    onProgress!(told(1))
    await new Promise<void>((resolve) => (go = resolve))
    onProgress!(told(2))
    return 'done'
  }
  const beside = new Beside(work, { onProgress: (progress) => seen.push(progress) })
  expect(begun).toBe(0)
  beside.start()
  expect(seen).toEqual([])
  const finished = beside.finish()
  go()
  expect(await finished).toBe('done')
  expect({ begun, seen }).toEqual({ begun: 1, seen: [told(1), told(2)] })
  await beside.finish()
  expect(seen).toHaveLength(2)
})

test('what ended before it was waited for has told that it did', async () => {
  const seen: Progress[] = []
  const work = ({ onProgress }: RunOptions): Promise<number> => {
    onProgress!(told(1))
    onProgress!(told(2))
    return Promise.resolve(7)
  }
  const beside = new Beside(work, { onProgress: (progress) => seen.push(progress) })
  beside.start()
  await setImmediate()
  expect(await beside.finish()).toBe(7)
  expect(seen).toEqual([told(2)])
})

test('what fails stops the other work with its error, and throws it to those who wait', async () => {
  const wrong = new Error('disk')
  const beside = new Beside(() => Promise.reject(wrong), {})
  beside.start()
  await setImmediate()
  expect(beside.signal.reason).toBe(wrong)
  await expect(beside.finish()).rejects.toBe(wrong)
})

test('is stopped as the whole run is, and where nobody waits for it', async () => {
  const whole = new AbortController()
  const reasons: unknown[] = []
  const never = ({ signal }: RunOptions): Promise<never> =>
    new Promise((_, reject) => {
      signal!.addEventListener('abort', () => {
        reasons.push(signal!.reason)
        reject(signal!.reason)
      })
    })
  const one = new Beside(never, { signal: whole.signal })
  const other = new Beside(never, {})
  one.start()
  other.start()
  whole.abort('enough')
  other.stop()
  await expect(one.finish()).rejects.toBe('enough')
  expect(reasons).toEqual(['enough', other.signal.reason])
})
