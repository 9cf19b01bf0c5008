import { whyTooMany } from './limits.js'
import { shared } from './sharing.js'
import { meanByDomain } from './sums.js'
import type { FootprintStatistics } from './types.js'

/** Why the readouts of the reference's own probabilities do not apply, or null: they need domains to be classes. */
export function whyNoClasses(stats: FootprintStatistics): string | null {
  if (!stats.classOfDomain) return 'the domains are not the classes of the reference'
  const many = whyTooMany(stats.domains)
  if (many) return many
  const classes = new Set(stats.classOfDomain)
  return classes.size === stats.domains.length ? null : 'two domains are the same class of the reference'
}

/**
 * N × D, the reference's logits for the classes that are domains, in the order of the domains. Classes that are no
 * domain are left out, which conditions the probabilities on the domains there are.
 */
export function domainLogits(stats: FootprintStatistics): Float64Array {
  const D = stats.domains.length
  const C = stats.classes.length
  const classOfDomain = stats.classOfDomain!
  const logits = new Float64Array(stats.domain.length * D)
  for (let i = 0; i < stats.domain.length; i++) {
    for (let d = 0; d < D; d++) logits[i * D + d] = stats.referenceLogits[i * C + classOfDomain[d]]
  }
  return logits
}

/** N × D, the reference's probabilities of the domains. */
function domainProbabilities(stats: FootprintStatistics): Float64Array {
  const D = stats.domains.length
  const rows = domainLogits(stats)
  for (let i = 0; i < rows.length; i += D) {
    const row = rows.subarray(i, i + D)
    const top = row.reduce((most, value) => Math.max(most, value), -Infinity)
    let sum = 0
    for (let d = 0; d < D; d++) sum += row[d] = Math.exp(row[d] - top)
    for (let d = 0; d < D; d++) row[d] /= sum
  }
  return rows
}

/** D × D, row d the mean over domain d's probes of the reference's probabilities of the domains. */
export function meanProbabilities(stats: FootprintStatistics): (weights: Float64Array | null) => Float64Array {
  return shared(stats, 'mean probabilities', () => {
    const D = stats.domains.length
    const probabilities = domainProbabilities(stats)
    return (weights) => meanByDomain(probabilities, D, stats.domain, D, weights)
  })
}
