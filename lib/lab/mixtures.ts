import { inputError, usageError } from '../errors.js'
import { Random } from '../random.js'

/** `paper`: two levels of share, spread over the distance from equal shares; or plain draws of Dirichlet(α). */
export type Sampler = 'paper' | { dirichlet: number }

export interface MixtureOptions {
  sampler: Sampler
  /** D */
  domains: number
  /** T, how many mixtures */
  trials: number
  seed: number
  /** of the random sequence, so that other draws with the same seed are independent; default `lab/mixtures` */
  name?: string
}

const BINS = 25
/** No domain of the paper's mixtures has less. */
const SMALLEST_SHARE = 0.01
/** Candidates to choose from, per trial and at least: enough for the emptier bins at both ends. */
const CANDIDATES_PER_TRIAL = 100
const CANDIDATES = 5000
/** Beyond this many shares drawn, the rejection is hopeless: a second or so. */
const MOST_SHARES = 4_000_000

/**
 * T mixtures of D domains, T × D, in an order that has nothing to do with their spread (WARP, section 4.1).
 * @throws OPTION_RANGE; MIXTURE_SAMPLER_STUCK where the paper's sampler cannot keep every share at one per cent
 */
export function sampleMixtures({ sampler, domains, trials, seed, name = 'lab/mixtures' }: MixtureOptions): number[][] {
  if (!Number.isInteger(domains) || domains < 2) {
    throw usageError(
      'OPTION_RANGE',
      `a mixture needs at least 2 domains, not ${domains}`,
      { found: domains },
      'data with two domains or more',
    )
  }
  if (!Number.isInteger(trials) || trials < 1) {
    throw usageError(
      'OPTION_RANGE',
      `trials must be a whole number of at least 1, not ${trials}`,
      { found: trials },
      '--trials 16',
    )
  }
  const random = new Random(seed, name)
  if (sampler === 'paper') return spread(paperCandidates(random, domains, trials), trials, random)
  const alpha = sampler.dirichlet
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw usageError(
      'OPTION_RANGE',
      `the α of Dirichlet(α) must be positive, not ${alpha}`,
      { found: alpha },
      'dirichlet:1',
    )
  }
  return Array.from({ length: trials }, () => [...random.dirichlet(new Float64Array(domains).fill(alpha))])
}

/** Mean |π_d − 1/D|: how far a mixture is from equal shares. */
export function unevenness(shares: ArrayLike<number>): number {
  const D = shares.length
  return Array.from(shares).reduce((sum, share) => sum + Math.abs(share - 1 / D), 0) / D
}

/** Normalised draws of ½Beta(1, 14) + ½Beta(14, 1) per domain, without those that have too small a share. */
function paperCandidates(random: Random, D: number, trials: number): number[][] {
  const wanted = Math.max(CANDIDATES, CANDIDATES_PER_TRIAL * trials)
  const candidates: number[][] = []
  const draws = D * SMALLEST_SHARE < 1 ? Math.floor(MOST_SHARES / D) : 0
  for (let draw = 0; draw < draws && candidates.length < wanted; draw++) {
    const parts = Array.from({ length: D }, () => {
      const high = random.uniform() < 0.5
      // The distribution functions are 1 − (1 − x)^14 and x^14.
      const root = (1 - random.uniform()) ** (1 / 14)
      return high ? root : 1 - root
    })
    const total = parts.reduce((sum, part) => sum + part, 0)
    if (parts.every((part) => part >= SMALLEST_SHARE * total)) candidates.push(parts.map((part) => part / total))
  }
  if (candidates.length < trials) {
    throw inputError(
      'MIXTURE_SAMPLER_STUCK',
      `the paper's sampler gives ${D} domains at least ${SMALLEST_SHARE} each: ${candidates.length} mixtures in ` +
        `${draws} draws, ${trials} wanted`,
      { expected: trials, found: candidates.length },
      'use the Dirichlet sampler for so many domains',
    )
  }
  return candidates
}

/** Chooses `trials` candidates spread evenly over bins of unevenness; an empty bin's share goes to its neighbours. */
function spread(candidates: number[][], trials: number, random: Random): number[][] {
  const distances = candidates.map(unevenness)
  // of many trials there are more candidates than a call takes arguments
  const low = distances.reduce((a, b) => Math.min(a, b))
  const width = (distances.reduce((a, b) => Math.max(a, b)) - low) / BINS
  const bins: number[][][] = Array.from({ length: BINS }, () => [])
  candidates.forEach((shares, i) => {
    bins[width > 0 ? Math.min(BINS - 1, Math.floor((distances[i] - low) / width)) : 0].push(shares)
  })
  const chosen = Array.from({ length: trials }, (_, t) => {
    const target = Math.floor(((t + 0.5) * BINS) / trials)
    const nearest = [...bins.keys()]
      .filter((bin) => bins[bin].length > 0)
      .sort((a, b) => Math.abs(a - target) - Math.abs(b - target) || a - b)[0]
    return bins[nearest].splice(random.below(bins[nearest].length), 1)[0]
  })
  return random.shuffle(chosen)
}

/** D whole numbers of sum n, closest to n times the shares (largest remainder; the first of equals). */
export function realisedCounts(shares: ArrayLike<number>, n: number): number[] {
  const exact = Array.from(shares, (share) => share * n)
  const counts = exact.map(Math.floor)
  const left = n - counts.reduce((sum, count) => sum + count, 0)
  const order = [...exact.keys()].sort((a, b) => exact[b] - counts[b] - (exact[a] - counts[a]) || a - b)
  for (let i = 0; i < left; i++) counts[order[i % order.length]]++
  return counts
}

/** Refuses a mixture that asks for more texts of a domain than the pool has. @throws MIXTURE_POOL_SMALL */
export function checkPool(
  counts: ArrayLike<number>,
  pool: ArrayLike<number>,
  domains: string[],
  replace = false,
): void {
  domains.forEach((name, d) => {
    if (counts[d] <= pool[d] || (replace && pool[d] > 0)) return
    throw inputError(
      'MIXTURE_POOL_SMALL',
      `the mixture asks for ${counts[d]} texts of "${name}", the pool has ${pool[d]}`,
      { domain: name, expected: counts[d], found: pool[d] },
      pool[d] > 0 ? '--replace draws texts more than once; or train on fewer texts' : 'add texts of this domain',
    )
  })
}

/**
 * The texts of one training set, in random order: `counts[d]` of each domain's `members`.
 * @param members per domain, numbers of its texts
 * @throws MIXTURE_POOL_SMALL
 */
export function drawTexts(
  members: ArrayLike<number>[],
  counts: number[],
  domains: string[],
  random: Random,
  replace = false,
): Int32Array {
  checkPool(
    counts,
    members.map(({ length }) => length),
    domains,
    replace,
  )
  const drawn = members.flatMap((texts, d) => {
    if (replace) return Array.from({ length: counts[d] }, () => texts[random.below(texts.length)])
    return [...random.permutation(texts.length).subarray(0, counts[d])].map((i) => texts[i])
  })
  return random.shuffle(Int32Array.from(drawn))
}
