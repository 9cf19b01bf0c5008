import { meanByDomain, normalised } from './sums.js'
import type { FootprintStatistics, Readout } from './types.js'

/**
 * A probe is called a member when fine-tuning took away more than half of its loss. Fixed in advance: the paper's
 * authors sweep fifty thresholds and report the best, which takes knowing the answer.
 */
const THRESHOLD = 50
/** Nats; below it the relative fall of a loss is rounding. */
const SMALLEST_LOSS = 1e-4

/** 1 for a probe whose score 100·(ℓ(θ₀) − ℓ(θ*))/ℓ(θ₀) exceeds the threshold, else 0. */
function members(stats: FootprintStatistics): Float64Array {
  const width = stats.lambdas.length + 2
  return Float64Array.from(stats.domain, (_, i) => {
    const base = stats.loss[i * width]
    const reference = stats.loss[i * width + width - 1]
    return base > SMALLEST_LOSS && (100 * (base - reference)) / base > THRESHOLD ? 1 : 0
  })
}

/**
 * Membership inference per probe (the paper's baseline): domains in proportion to the share of their probes that are
 * called members. Shares, not counts, so that it does not matter how many probes a domain was given. A resample
 * without any member gives equal shares.
 */
export const membership: Readout = {
  name: 'membership',
  description: 'share of each domain’s probes whose loss fell by more than half',
  settings: () => ({ threshold: THRESHOLD }),
  why: (stats) => (members(stats).includes(1) ? null : `no probe's loss fell by more than ${THRESHOLD} %`),
  prepare(stats) {
    const flags = members(stats)
    return (weights) => normalised(meanByDomain(flags, 1, stats.domain, stats.domains.length, weights))
  },
}
