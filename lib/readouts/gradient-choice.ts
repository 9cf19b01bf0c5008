import { whyTooMany } from './limits.js'
import type { FootprintStatistics, GradientStatistics } from './types.js'

/** Which gradients a readout is about: the default ones, or those of one scope and exponent. */
export type GradientChoice = GradientKind | 'default'
/** Which gradients statistics are of. */
export type GradientKind = Pick<GradientStatistics, 'scope' | 'q'>

const width = { head: 0, top: 1 }

/** The widest scope there is, with q = 1 if it is there, else the largest q; null without any gradients. */
export function defaultGradients<T extends GradientKind>(gradients: T[]): T | null {
  const rank = (g: T) => (g.q === 1 ? Number.MAX_VALUE : g.q)
  const better = (a: T, b: T) =>
    width[a.scope] !== width[b.scope] ? width[a.scope] > width[b.scope] : rank(a) > rank(b)
  return gradients.reduce<T | null>((best, g) => (best && !better(g, best) ? best : g), null)
}

/** The gradients a choice names, or null when they were not computed. */
export function chosen(stats: FootprintStatistics, choice: GradientChoice): GradientStatistics | null {
  if (choice === 'default') return defaultGradients(stats.gradients)
  return stats.gradients.find((g) => g.scope === choice.scope && g.q === choice.q) ?? null
}

/** `name`, or `name[head,q=0]` for gradients other than the default ones. */
export function choiceName(name: string, choice: GradientChoice): string {
  return choice === 'default' ? name : `${name}[${choice.scope},q=${choice.q}]`
}

/** Why a readout of these gradients does not apply, or null. */
export function whyNoGradients(stats: FootprintStatistics, choice: GradientChoice): string | null {
  const gradients = chosen(stats, choice)
  const many = whyTooMany(stats.domains)
  if (many) return many
  if (!gradients) return 'no mean gradients were computed for this scope'
  return gradients.displacementNorm2 > 0 ? null : `the tensors of scope ${gradients.scope} did not move`
}

/** What the result says about the gradients a readout used. */
export function gradientSettings(stats: FootprintStatistics, choice: GradientChoice): Record<string, number | string> {
  const gradients = chosen(stats, choice)
  return gradients ? { scope: gradients.scope, q: gradients.q } : {}
}

/** Mean error of a share where the mixture was known, of four and of ten domains (benchmarks/results/coverage.md). */
const measured = {
  matching: [0.04, 0.03],
  matchingOther: [0.065, 0.035],
  projection: [0.06, 0.03],
  blend: [0.05, 0.03],
} as const

/**
 * Mean error of a share, measured on experts with known mixtures of four and of ten domains. A power of D runs through
 * both, and goes to neither zero nor less beyond them.
 */
export function measuredError(of: keyof typeof measured): (domains: number) => number {
  const [four, ten] = measured[of]
  return (domains) => four * (4 / domains) ** (Math.log(four / ten) / Math.log(10 / 4))
}
