import { defaultGradients } from './gradient-choice.js'
import { cosines, nnls, symmetricEigenvalues } from './linear-algebra.js'
import { meanNoise, momentsOf } from './moments.js'
import { countByDomain, meanByDomain } from './sums.js'
import type {
  Diagnostics,
  FootprintStatistics,
  GradientDiagnostics,
  GradientStatistics,
  MixtureResult,
} from './types.js'

/** Fewer probes than this in a domain and its means say little. */
const FEW_PROBES = 30
/** Cosines of float32 gradients are good to about this; a Gram matrix of D domains is singular below D times it. */
const COSINE_ROUNDING = 1e-6
/**
 * The contrast between domains that is told worst errs √condition times as much as the one told best. The measured
 * errors of .03 to .05 belong to conditions of 2 to 6; at 100 they would be four to seven times as large, no better
 * than equal shares.
 */
const HIGH_CONDITION = 100
/**
 * Share of ‖δ‖² that the domains' gradients explain: .4 to .8 on experts whose base had no head, less where a random
 * base head had to be unlearned. Below a hundredth, something other than these domains moved the model.
 */
const LITTLE_EXPLAINED = 0.01
/** Readouts that draw on different evidence and were measured to be of comparable accuracy. */
const comparable = ['gradient-matching', 'projection', 'stationary', 'prior-shift']

/**
 * Mean |π_d − 1/D| of a mixture drawn at random (Dirichlet(1)): E|π − 1/D| = 2(1 − 1/D)^D / D. An answer that is
 * uncertain by this much says no more than equal shares do.
 */
export function ignorance(domains: number): number {
  return (2 * (1 - 1 / domains) ** domains) / domains
}

/** What says whether the recommended mixture deserves trust. `sampling`: the half-width that the probes cause. */
export function diagnose(
  stats: FootprintStatistics,
  mixtures: MixtureResult[],
  recommended: string,
  sampling: number,
): Diagnostics {
  const gradients = defaultGradients(stats.gradients)
  const facts = {
    accuracy: accuracyOf(stats),
    gradients: gradients && gradientDiagnostics(gradients, stats),
    pathIntegral: pathIntegral(stats),
    agreement: agreementOf(stats, mixtures, recommended),
    sampling,
  }
  if (recommended === 'trace') return { verdict: 'ok', reasons: ['the trace vouches for itself'], ...facts }
  const unidentifiable = gradients ? whyUnidentifiable(gradients, stats) : null
  if (unidentifiable) return { verdict: 'unidentifiable', reasons: [unidentifiable], ...facts }
  const reasons = whyWeak(stats, facts, recommended)
  if (gradients && meanNoise(gradients, stats).subtracted < 1) {
    reasons.push('the domains’ mean gradients differ by little more than the noise of the probes; use more probes')
  }
  if (reasons.length > 0) return { verdict: 'weak', reasons, ...facts }
  return { verdict: 'ok', reasons: ['the domains are told apart, and the interval is narrow'], ...facts }
}

function whyUnidentifiable(gradients: GradientStatistics, stats: FootprintStatistics): string | null {
  const D = stats.domains.length
  if (!(gradients.displacementNorm2 > 0)) return `the tensors of scope ${gradients.scope} did not move`
  if (gradients.gram.every((_, i) => gradients.gram[Math.floor(i / D) * (D + 1)] === 0)) {
    return 'every domain’s mean gradient is zero'
  }
  if (!(meanNoise(gradients, stats).smallest > D * COSINE_ROUNDING)) {
    const { domains } = closestPair(gradients.gram, stats.domains)
    return `the domains’ mean gradients are linearly dependent to rounding; ${domains[0]} and ${domains[1]} are closest`
  }
  if (gradients.displacement.every((dot) => dot >= 0)) {
    return 'no domain’s gradient points along the displacement: training on none of them explains it'
  }
  return null
}

type Facts = Omit<Diagnostics, 'verdict' | 'reasons'>

function whyWeak(stats: FootprintStatistics, facts: Facts, recommended: string): string[] {
  const { accuracy, gradients, agreement, sampling } = facts
  const reasons: string[] = []
  const counts = countByDomain(stats.domain, stats.domains.length)
  const few = stats.domains.filter((_, d) => counts[d] < FEW_PROBES)
  if (few.length > 0) reasons.push(`fewer than ${FEW_PROBES} probes in ${few.join(', ')}`)
  if (accuracy && accuracy.mean <= accuracy.chance) {
    reasons.push('the reference classifies the probes no better than chance')
  }
  if (gradients && !(gradients.condition !== null && gradients.condition < HIGH_CONDITION)) {
    const [one, other] = gradients.closest.domains
    reasons.push(
      `the domains’ gradients are nearly dependent (condition ${gradients.condition?.toFixed(0) ?? '∞'}); ` +
        `${one} and ${other} are closest`,
    )
  }
  if (gradients && gradients.explained < LITTLE_EXPLAINED) {
    reasons.push('the domains’ gradients explain less than a hundredth of the displacement')
  }
  const limit = ignorance(stats.domains.length)
  if (sampling > limit) reasons.push('the interval is as wide as not knowing anything; use more probes')
  if (agreement && agreement.difference > agreement.limit) {
    reasons.push(`other readouts (${agreement.readouts.join(', ')}) disagree as much as a random mixture would`)
  }
  if (recommended.endsWith(',adam]')) {
    // .033 against .137 of equal shares on eight; .041 against .037 on the flat one (benchmarks/results/language.md)
    reasons.push(
      'the mixture of a language model: measured on eight, with a mean error of .033; on one that was nearly flat ' +
        'it erred as much as equal shares',
    )
  }
  if (recommended === 'softmax') {
    // .048 to .145 against .060 to .179 on six families of experts, three quarters on average
    reasons.push('only softmax applies, whose measured error is three quarters of that of equal shares')
  }
  return reasons
}

function accuracyOf(stats: FootprintStatistics): Diagnostics['accuracy'] {
  const C = stats.classes.length
  const D = stats.domains.length
  const right = Float64Array.from(stats.label, (label, i) => {
    const logits = stats.referenceLogits.subarray(i * C, (i + 1) * C)
    return logits.every((value, c) => c === label || value < logits[label]) ? 1 : 0
  })
  if (stats.label.some((label) => label < 0)) return null
  const shares = meanByDomain(right, 1, stats.domain, D)
  return {
    mean: shares.reduce((sum, share) => sum + share, 0) / D,
    chance: 1 / C,
    domains: Object.fromEntries(stats.domains.map((name, d) => [name, shares[d]])),
  }
}

function gradientDiagnostics(gradients: GradientStatistics, stats: FootprintStatistics): GradientDiagnostics {
  const D = stats.domains.length
  const { gram, displacement } = momentsOf(gradients, stats)(null)
  const cosine = cosines(gram, D)
  const eigenvalues = symmetricEigenvalues(cosine, D)
  const singular = !(meanNoise(gradients, stats).smallest > D * COSINE_ROUNDING)
  let sum = 0
  for (let i = 0; i < D; i++) for (let j = 0; j < i; j++) sum += cosine[i * D + j]
  const w = nnls(gram, displacement, D)
  // ‖δ‖² − ‖δ + Σ w A‖²: at the minimum, with w'(Gw + c) = 0, that is −w'c
  const explained = -w.reduce((total, value, d) => total + value * displacement[d], 0)
  return {
    scope: gradients.scope,
    q: gradients.q,
    condition: singular || !(eigenvalues[0] > 0) ? null : eigenvalues[D - 1] / eigenvalues[0],
    separability: 1 - sum / ((D * (D - 1)) / 2),
    closest: closestPair(gram, stats.domains),
    explained: gradients.displacementNorm2 > 0 ? explained / gradients.displacementNorm2 : 0,
  }
}

function closestPair(gram: Float64Array, names: string[]): GradientDiagnostics['closest'] {
  const D = names.length
  const cosine = cosines(gram, D)
  let best = { domains: [names[0], names[1]] as [string, string], cosine: -Infinity }
  for (let i = 0; i < D; i++)
    for (let j = i + 1; j < D; j++) {
      if (cosine[i * D + j] > best.cosine) best = { domains: [names[i], names[j]], cosine: cosine[i * D + j] }
    }
  return best
}

/**
 * On the linear path s = −(1/‖δ‖) dℓ/dλ for scores over all parameters, so the integral of s over (0, 1) times ‖δ‖ is
 * the fall of the loss; over fewer parameters, it is the part of the fall that these explain. Trapezoids between the
 * points, the outermost lines carried on to 0 and 1. Mean over domains.
 */
function pathIntegral(stats: FootprintStatistics): Diagnostics['pathIntegral'] {
  const K = stats.lambdas.length
  if (stats.path !== 'linear' || stats.displacementNorm === undefined || K === 0) return null
  const D = stats.domains.length
  const mean = (table: Float64Array, width: number) => {
    const rows = meanByDomain(table, width, stats.domain, D)
    return Array.from({ length: width }, (_, k) => rows.reduce((sum, v, i) => sum + (i % width === k ? v / D : 0), 0))
  }
  const scores = mean(stats.alignment, K)
  const losses = mean(stats.loss, K + 2)
  const points = [...stats.lambdas.keys()].map((k) => [stats.lambdas[k], scores[k]]).sort((a, b) => a[0] - b[0])
  const carried = (to: number, from: number[], beyond: number[] | undefined) => [
    to,
    beyond ? from[1] + ((to - from[0]) * (from[1] - beyond[1])) / (from[0] - beyond[0]) : from[1],
  ]
  const line = [carried(0, points[0], points[1]), ...points, carried(1, points[K - 1], points[K - 2])]
  let integral = 0
  for (let k = 1; k < line.length; k++) integral += ((line[k][0] - line[k - 1][0]) * (line[k][1] + line[k - 1][1])) / 2
  const predicted = integral * stats.displacementNorm
  const actual = losses[0] - losses[K + 1]
  return { predicted, actual, share: actual > 0 ? predicted / actual : null }
}

function agreementOf(
  stats: FootprintStatistics,
  mixtures: MixtureResult[],
  recommended: string,
): Diagnostics['agreement'] {
  const own = mixtures.find(({ readout }) => readout === recommended)!.mixture
  const others = mixtures.filter(({ readout }) => readout !== recommended && comparable.includes(readout))
  if (others.length === 0) return null
  const distance = (mixture: Record<string, number>) =>
    stats.domains.reduce((sum, name) => sum + Math.abs(mixture[name] - own[name]), 0) / stats.domains.length
  return {
    difference: others.reduce((sum, { mixture }) => sum + distance(mixture), 0) / others.length,
    limit: ignorance(stats.domains.length),
    readouts: others.map(({ readout }) => readout),
  }
}
