import type { FootprintStatistics, Predictor, Readout } from './types.js'

type OfResample<T> = (weights: Float64Array | null) => T

const made = new WeakMap<FootprintStatistics, Map<string, OfResample<unknown>>>()

/**
 * A function of the resample that several readouts need, made once per statistics and remembering its last answer. The
 * memory goes by the identity of `weights`: an array handed to a predictor must not be changed afterwards.
 */
export function shared<T>(stats: FootprintStatistics, key: string, make: () => OfResample<T>): OfResample<T> {
  const all = made.get(stats) ?? new Map<string, OfResample<unknown>>()
  made.set(stats, all)
  const known = all.get(key)
  if (known) return known as OfResample<T>
  const compute = make()
  let last: { weights: Float64Array | null; answer: T } | null = null
  const remembering: OfResample<T> = (weights) => {
    if (!last || last.weights !== weights) last = { weights, answer: compute(weights) }
    return last.answer
  }
  all.set(key, remembering)
  return remembering
}

/** The readout's predictor, shared with whoever else asks for it; its answers must not be changed. */
export function predictorOf(readout: Readout, stats: FootprintStatistics): Predictor {
  const key = `${readout.name} ${JSON.stringify(readout.settings(stats))}`
  return shared(stats, key, () => readout.prepare(stats))
}
