import { normalised } from '../readouts/sums.js'
import type { FootprintStatistics } from '../readouts/types.js'
import type { MemberTally } from './trial-record.js'

/** Losses of the texts of a pool, N texts: cross-entropy in nats at the base and at the reference. */
export interface PoolLosses {
  /** N, index of the domain */
  domain: ArrayLike<number>
  base: ArrayLike<number>
  reference: ArrayLike<number>
}

/** The paper's sweep: fifty thresholds from 30 to 99 per cent of the base's loss. */
export const thresholds = Array.from({ length: 50 }, (_, t) => 30 + (69 * t) / 49)
/** Named before looking at any trial; the one of the sweep nearest to half the loss. */
export const fixedThreshold = 14
/** Nats; the paper looks at no text whose loss at the base is smaller. */
const SMALLEST_LOSS = 1e-4

/** The probes as a pool. */
export function poolScoresOf({ domain, loss, lambdas }: FootprintStatistics): PoolLosses {
  const width = lambdas.length + 2
  return {
    domain,
    base: Float64Array.from(domain, (_, i) => loss[i * width]),
    reference: Float64Array.from(domain, (_, i) => loss[i * width + width - 1]),
  }
}

/** For each threshold, how many of a domain's texts lost more than that share of the loss they had at the base. */
export function tallyMembers(
  { domain, base, reference }: PoolLosses,
  D: number,
  containsTraining: boolean,
): MemberTally {
  const pool = new Array<number>(D).fill(0)
  const above = pool.map(() => new Array<number>(thresholds.length).fill(0))
  for (let i = 0; i < domain.length; i++) {
    pool[domain[i]]++
    if (!(base[i] > SMALLEST_LOSS)) continue
    const score = (100 * (base[i] - reference[i])) / base[i]
    for (let t = 0; t < thresholds.length && score > thresholds[t]; t++) above[domain[i]][t]++
  }
  return { containsTraining, pool, thresholds, above }
}

/** Domains of the members at one threshold, as shares; equal shares where there is no member. */
export function membersAt(tally: MemberTally, threshold: number): Float64Array {
  return normalised(Float64Array.from(tally.above, (row) => row[threshold]))
}
