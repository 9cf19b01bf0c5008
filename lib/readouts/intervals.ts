// Intervals of shares: what the draw of the probes does, and what the method itself errs.
import { bootstrap, percentileIntervals, type BootstrapOptions } from './bootstrap.js'
import { predictorOf } from './sharing.js'
import type { FootprintStatistics, Readout } from './types.js'

export type Interval = [low: number, high: number]

/** A share's interval of sampling, which may lie to one side of it, with the method's error on either side. */
export function widened([low, high]: Interval, share: number, methodError: number): Interval {
  return [Math.max(0, Math.min(low, share) - methodError), Math.min(1, Math.max(high, share) + methodError)]
}

/** By readout, the interval of sampling of each share. @param readouts that apply to the statistics */
export async function samplingIntervals(
  stats: FootprintStatistics,
  readouts: readonly Readout[],
  { level, ...options }: BootstrapOptions & { level: number },
): Promise<Record<string, Interval[]>> {
  const predictors = readouts.map((readout) => predictorOf(readout, stats))
  const resamples = await bootstrap(stats, predictors, options)
  const found: Record<string, Interval[]> = {}
  for (const [i, { name }] of readouts.entries())
    found[name] = await percentileIntervals(resamples[i], stats.domains.length, level, options.signal)
  return found
}
