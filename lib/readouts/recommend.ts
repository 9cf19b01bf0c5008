import type { MixtureResult } from './types.js'

/** A trace's interval must be narrower than this, half-width, mean over domains, to go before the gradients. */
const TRACE_HALF_WIDTH = 0.03

/** Half the width of the interval, mean over domains. */
export function meanHalfWidth(mixture: MixtureResult): number {
  const intervals = Object.values(mixture.interval)
  return intervals.reduce((sum, [low, high]) => sum + (high - low) / 2, 0) / intervals.length
}

/** A readout trained on models of known mixtures, and its error on models left out. */
export interface TrainedReadout {
  name: string
  error: number
  trials: number
}

/**
 * Which mixture to trust. A projector whose error on models left out is less than the error of the readout that would
 * be recommended without it comes first: of the trace that is the half-width of its interval, of the others the error
 * on experts with known mixtures; an error that nobody measured gives way to one that somebody did.
 * @param errorOf mean absolute error of a readout by name, where it was measured
 */
export function recommendAmong(
  mixtures: MixtureResult[],
  trained: TrainedReadout[],
  errorOf: (name: string) => number | undefined,
): { recommended: string; reason: string } {
  const others = mixtures.filter(({ readout }) => !trained.some(({ name }) => name === readout))
  const usual = recommend(others.length > 0 ? others : mixtures)
  const [best] = [...trained].sort((a, b) => a.error - b.error)
  if (!best) return usual
  const trace = mixtures.find(({ readout }) => readout === 'trace')
  const rival = usual.recommended === 'trace' ? meanHalfWidth(trace!) : errorOf(usual.recommended)
  const error = `its mean error on ${best.trials} models of known mixtures, each left out, is ${best.error.toFixed(3)}`
  const against = rival === undefined ? 'one that nobody measured' : rival.toFixed(3)
  if (others.length === 0 || rival === undefined || best.error < rival)
    return { recommended: best.name, reason: `${error}, against ${against} of ${usual.recommended}` }
  return { ...usual, reason: `${usual.reason}; ${best.name} is no better: ${error}, against ${against}` }
}

/**
 * Which mixture to trust (section 7 of the method) without a projector: the trace of the embedding table when it says
 * it is good and its interval is narrow; else gradient matching on the widest scope; else the paper's softmax.
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
      reason:
        'without a trace and without classes, it erred least on eight language models with known mixtures (scope ' +
        `${blocks.settings.scope})`,
    }
  }
  if (has('softmax')) return { recommended: 'softmax', reason: 'no gradients of a head are there to match' }
  return { recommended: mixtures[0].readout, reason: 'the readouts usually recommended were not asked for' }
}
