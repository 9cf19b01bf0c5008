import type { MixtureResult } from './types.js'

/** A trace's interval must be narrower than this, half-width, mean over domains, to go before the gradients. */
const TRACE_HALF_WIDTH = 0.03

/** Half the width of the interval, mean over domains. */
export function meanHalfWidth(mixture: MixtureResult): number {
  const intervals = Object.values(mixture.interval)
  return intervals.reduce((sum, [low, high]) => sum + (high - low) / 2, 0) / intervals.length
}

/**
 * Which mixture to trust (section 7 of the method): the trace of the embedding table when it says it is good and its
 * interval is narrow; else gradient matching on the widest scope; else the paper's softmax.
 */
export function recommend(mixtures: MixtureResult[]): { recommended: string; reason: string } {
  const trace = mixtures.find(({ readout }) => readout === 'trace')
  if (trace && (trace.verdict === 'exact' || trace.verdict === 'noisy') && meanHalfWidth(trace) < TRACE_HALF_WIDTH) {
    return {
      recommended: trace.readout,
      reason:
        `the trace in the embedding table is ${trace.verdict}, its interval ` +
        `±${meanHalfWidth(trace).toFixed(3)}, narrower than ±${TRACE_HALF_WIDTH}`,
    }
  }
  const has = (name: string) => mixtures.some(({ readout }) => readout === name)
  if (has('gradient-matching')) {
    const { scope, q } = mixtures.find(({ readout }) => readout === 'gradient-matching')!.settings
    return {
      recommended: 'gradient-matching',
      reason: `without a trace, it erred least on experts with known mixtures (scope ${scope}, q = ${q})`,
    }
  }
  const blocks = mixtures.find(({ readout }) => /^gradient-matching\[.*,adam\]$/.test(readout))
  if (blocks) {
    return {
      recommended: blocks.readout,
      reason: `without a trace and without classes, it erred least on known mixtures (scope ${blocks.settings.scope})`,
    }
  }
  if (has('softmax')) return { recommended: 'softmax', reason: 'no gradients of a head are there to match' }
  return { recommended: mixtures[0].readout, reason: 'the readouts usually recommended were not asked for' }
}
