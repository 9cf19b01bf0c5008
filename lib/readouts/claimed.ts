import { extname } from 'node:path'
import { inputError } from '../errors.js'
import { Random } from '../random.js'
import { readJsonFile } from '../text/json-file.js'
import { meantName } from '../text/nearest.js'
import { describe, list } from '../text/place.js'
import { normalQuantile } from '../trace/noise.js'
import { Turns } from '../turns.js'
import { quantile } from './bootstrap.js'
import type { Diagnostics, MixtureResult } from './types.js'

/** Whether a declared mixture agrees with the recovered one. */
export interface ClaimJudged {
  /** as declared */
  mixture: Record<string, number>
  verdict: 'consistent' | 'not' | "can't tell"
  /** why, one sentence */
  reason: string
  /** share of the training texts that would have to be of other domains, beyond the claim's own rounding */
  distance: number
  /** how often the recovered mixture would lie at least so far from a true claim */
  pValue: number
  /** a true claim lies within this distance with probability `level` */
  limit: number
  level: number
  /** in words, which errors p-value and limit allow for */
  includes: string
}

const example = '{"news": 0.7, "sports": 0.3}: a share from 0 to 1 for each domain, together 1'

/**
 * A declared mixture, from a JSON file, as `a=0.7,b=0.3` or as an object, checked against the domains of the probes.
 * @throws WarpError (input) CLAIMED_UNREADABLE, CLAIMED_NOT_JSON, CLAIMED_NOT_UTF8, CLAIMED_DUPLICATE_KEY,
 *   CLAIMED_FORM, CLAIMED_DOMAIN_UNKNOWN, CLAIMED_DOMAIN_MISSING, CLAIMED_SHARE, CLAIMED_SUM
 */
export async function readClaimed(
  given: string | Readonly<Record<string, number>>,
  domains: readonly string[],
): Promise<Record<string, number>> {
  const pairs = typeof given === 'string' && given.includes('=') && extname(given) !== '.json'
  const file = typeof given === 'string' && !pairs ? given : 'claimed'
  const value: unknown =
    typeof given !== 'string' ? given : pairs ? pairsOf(given) : await readJsonFile(given, 'CLAIMED', example)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const found = describe(value)
    throw inputError('CLAIMED_FORM', `${file}: holds ${found}, not an object of shares`, { file, found }, example)
  }
  const claim = new Map<string, unknown>(Object.entries(value))
  const unknown = [...claim.keys()].filter((name) => !domains.includes(name))
  if (unknown.length > 0) {
    throw inputError(
      'CLAIMED_DOMAIN_UNKNOWN',
      `${file}: no probe is of ${list(unknown)}; the domains are ${list(domains)}`,
      { file, found: unknown.slice(0, 100), expected: domains.slice(0, 100) },
      meantName(unknown[0], domains, 'name the domains as the probes do; probes of a domain are needed to judge it'),
    )
  }
  const missing = domains.filter((name) => !claim.has(name))
  if (missing.length > 0) {
    throw inputError(
      'CLAIMED_DOMAIN_MISSING',
      `${file}: no share is given for ${list(missing)}`,
      { file, expected: missing.slice(0, 100) },
      'give 0 to a domain that no training text is claimed to be of',
    )
  }
  for (const [name, share] of claim) {
    if (typeof share === 'number' && share >= 0 && share <= 1) continue
    const found = describe(share)
    throw inputError(
      'CLAIMED_SHARE',
      `${file}: the share of ${list([name])} must be a number from 0 to 1, found ${found}`,
      { file, found },
      example,
    )
  }
  const mixture = Object.fromEntries(domains.map((name) => [name, claim.get(name) as number]))
  const sum = Object.values(mixture).reduce((total, share) => total + share, 0)
  if (Math.abs(sum - 1) > domains.length * roundingOf(mixture) + 1e-9) {
    throw inputError(
      'CLAIMED_SUM',
      `${file}: the shares sum to ${+sum.toPrecision(6)}, not to 1`,
      { file, found: sum, expected: 1 },
      'shares of all training texts, as far as they are of these domains; what is of none of them is not seen',
    )
  }
  return mixture
}

function pairsOf(text: string): Record<string, number> {
  const pairs = text.split(',').map((pair) => pair.split('='))
  const wrong = pairs.find(([name, share, ...more], i) => {
    const twice = pairs.findIndex(([other]) => other === name) < i
    return !name || !/^[\d.]+(e-?\d+)?$/i.test(share ?? '') || more.length > 0 || twice || Number.isNaN(Number(share))
  })
  if (wrong === undefined) return Object.fromEntries(pairs.map(([name, share]) => [name, Number(share)]))
  const found = wrong.join('=')
  throw inputError(
    'CLAIMED_FORM',
    `claimed: ${list([found])} is not DOMAIN=SHARE, each domain once`,
    { found },
    'names that hold a comma or an equals sign need a JSON file',
  )
}

/** Half a unit of the last decimal that is written, as shares are rounded; of at least two decimals. */
function roundingOf(claim: Record<string, number>): number {
  const decimals = Object.values(claim).map((share) =>
    String(share).includes('e') ? 16 : (String(share).split('.')[1] ?? '').length,
  )
  return 0.5 * 10 ** -Math.max(2, ...decimals)
}

export interface ClaimEvidence {
  recommended: MixtureResult
  /** replicates × D, the recommended readout on resamples of the probes; null where it has none */
  draws: Float64Array | null
  /** mean error per domain of the readout where the mixture was known; 0 where nobody measured it */
  methodError: number
  diagnosis: Diagnostics['verdict']
  seed: number
  replicates: number
  signal?: AbortSignal
}

/**
 * Judges a claim by how far it lies from the recovered mixture, half the sum of the absolute differences. A true claim
 * would lie as far as the draws lie from their estimate and the method errs: the reference distribution is that of the
 * draws' distances, moved up by the method's mean error. "Not" where at most 1 − level of it lie as far; "can't tell"
 * where the recovered mixture is no measurement, the method's error was not measured, or a mixture drawn at random
 * would pass.
 */
export async function judgeClaim(mixture: Record<string, number>, evidence: ClaimEvidence): Promise<ClaimJudged> {
  const { recommended, methodError, signal } = evidence
  const names = Object.keys(recommended.mixture)
  const shares = names.map((name) => recommended.mixture[name])
  const D = names.length
  const draws = evidence.draws ?? drawsWithin(evidence)
  const replicates = draws.length / D
  const errors = new Float64Array(replicates)
  const turns = new Turns(signal)
  for (let r = 0; r < replicates; r++) {
    let sum = D * methodError
    for (let d = 0; d < D; d++) sum += Math.abs(draws[r * D + d] - shares[d])
    errors[r] = sum / 2
    if (turns.due) await turns.take()
  }
  errors.sort()
  const rounding = roundingOf(mixture)
  const off = names.map((name, d) => Math.max(0, Math.abs(mixture[name] - shares[d]) - rounding))
  const distance = off.reduce((sum, value) => sum + value, 0) / 2
  const facts = {
    distance,
    pValue: (1 + errors.filter((error) => error >= distance).length) / (1 + replicates),
    limit: quantile(errors, recommended.level),
    level: recommended.level,
    includes: recommended.intervalIncludes,
  }
  return { mixture, ...verdictOf(facts, evidence, D), ...facts }
}

const percent = (share: number): string => `${+(100 * share).toFixed(1)} %`

function verdictOf(
  { distance, pValue, limit, level }: Pick<ClaimJudged, 'distance' | 'pValue' | 'limit' | 'level'>,
  { recommended, diagnosis }: ClaimEvidence,
  domains: number,
): Pick<ClaimJudged, 'verdict' | 'reason'> {
  const cannot = (reason: string) => ({ verdict: "can't tell" as const, reason })
  if (diagnosis !== 'ok') return cannot(`the recovered mixture is ${diagnosis}: nothing to hold a claim against`)
  if (recommended.intervalCovers !== 'sampling and method') {
    return cannot(`how far ${recommended.readout} errs was not measured: only the draw of the probes is known`)
  }
  const within = `${percent(level)} of true claims lie within ${percent(limit)}`
  if (pValue <= 1 - level) {
    return { verdict: 'not', reason: `${percent(distance)} of the texts would have to be of other domains; ${within}` }
  }
  // mean of ½ Σ |π − 1/D| of a mixture drawn at random (Dirichlet(1)), which a claim of equal shares is off by
  const random = (1 - 1 / domains) ** domains
  if (limit >= random) {
    return cannot(`${within}, but so does a mixture drawn at random (${percent(random)} on average)`)
  }
  return { verdict: 'consistent', reason: `it lies ${percent(distance)} away; ${within}` }
}

/** Draws for a mixture that comes with intervals alone: normal, as wide as the wider half, as if cut off by nothing. */
function drawsWithin({ recommended, seed, replicates }: ClaimEvidence): Float64Array {
  const { mixture, interval, level } = recommended
  const names = Object.keys(mixture)
  const draws = new Float64Array(replicates * names.length)
  const width = normalQuantile((1 + level) / 2)
  for (const [d, name] of names.entries()) {
    const random = new Random(seed, `claimed/${name}`)
    const [low, high] = interval[name]
    const deviation = Math.max(mixture[name] - low, high - mixture[name]) / width
    for (let r = 0; r < replicates; r++) draws[r * names.length + d] = mixture[name] + deviation * random.normal()
  }
  return draws
}
