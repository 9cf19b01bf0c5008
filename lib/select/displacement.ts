import { setImmediate } from 'node:timers/promises'
import type { RunOptions } from '../native/task.js'
import type { OpenedPath } from '../paths/index.js'

/** Where trained weights went, as seen from the base: angle with the reference, length against it. */
export interface Displacement {
  cosine: number
  relativeNorm: number
}

/** Elements between two turns of the event loop. */
const step = 2 ** 20

/** Of two models trained from one base, over some tensors. */
export async function displacement(
  here: OpenedPath,
  there: OpenedPath,
  names: string[],
  run: RunOptions,
): Promise<Displacement> {
  let [product, own, other] = [0, 0, 0]
  for (const [done, name] of names.entries()) {
    const base = await there.tensor(name, 0, run)
    const [trained, reference] = [await here.tensor(name, 1, run), await there.tensor(name, 1, run)]
    for (let begin = 0; begin < base.length; begin += step) {
      for (let i = begin; i < Math.min(base.length, begin + step); i++) {
        const [a, b] = [trained[i] - base[i], reference[i] - base[i]]
        product += a * b
        own += a * a
        other += b * b
      }
      await setImmediate()
    }
    run.onProgress?.({ phase: 'displacement', done: done + 1, total: names.length, unit: 'tensors' })
  }
  const lengths = Math.sqrt(own * other)
  return { cosine: lengths > 0 ? product / lengths : 0, relativeNorm: other > 0 ? Math.sqrt(own / other) : 0 }
}
