import { cosines, symmetricEigenvalues } from './linear-algebra.js'
import { shared } from './sharing.js'
import { countByDomain, meanByDomain } from './sums.js'
import type { FootprintStatistics, GradientStatistics } from './types.js'

/** Inner products of the domains' mean gradients, for all probes or for a resample. */
export interface Moments {
  /** D × D, ⟨A_d, A_d'⟩, freed of the probes' noise */
  gram: Float64Array
  /** D, ⟨A_d, δ⟩ */
  displacement: Float64Array
}

/** What the noise of finitely many probes adds to the Gram matrix. */
export interface MeanNoise {
  /** D, ν_d: expected squared distance of A_d from the domain's true mean gradient; 0 for a domain of one probe */
  noise: Float64Array
  /** share of ν that can be subtracted and leave the matrix positive definite, in [0, 1] */
  subtracted: number
  /** smallest eigenvalue of the matrix of the mean gradients' cosines, noise and all */
  smallest: number
}

/**
 * The squared length of a mean over n probes exceeds that of the true mean by ν = (mean ‖g_i‖² − ‖A‖²)/(n − 1) on
 * average. Left in, it shrinks the weights of domains with noisy gradients. On synthetic gradients, subtracting it
 * halves the error and lifts the coverage of 90 % intervals from 28–64 % to 81–93 %. On two real experts it moves the
 * error by less than .0005 with 200 to 300 probes per domain; with 10, by .003 for the worse.
 *
 * Subtracted is at most what leaves the smallest eigenvalue of the normalised matrix a tenth of what it was (by Weyl's
 * inequality): where domains differ by less than the noise, the full correction would leave nothing to solve for.
 */
export function meanNoise(gradients: GradientStatistics, stats: FootprintStatistics): MeanNoise {
  return shared(stats, `noise ${gradients.scope} ${gradients.q}`, () => {
    const answer = measureNoise(gradients, stats)
    return () => answer
  })(null)
}

function measureNoise(gradients: GradientStatistics, stats: FootprintStatistics): MeanNoise {
  const D = stats.domains.length
  const { gram } = gradients
  const means = meanByDomain(gradients.perProbe, D + 2, stats.domain, D)
  const noise = countByDomain(stats.domain, D).map((n, d) =>
    n > 1 ? Math.max(means[d * (D + 2) + D + 1] - gram[d * D + d], 0) / (n - 1) : 0,
  )
  const largest = noise.reduce((most, value, d) => (value > 0 ? Math.max(most, value / gram[d * D + d]) : most), 0)
  const smallest = Math.max(symmetricEigenvalues(cosines(gram, D), D)[0], 0)
  return { noise, subtracted: largest > 0 ? Math.min(1, (0.9 * smallest) / largest) : 1, smallest }
}

/**
 * Moments of a resample from inner products alone, without the gradients. With A_d* = A_d + Δ_d, u held fixed:
 *
 *   ⟨A_d*, δ⟩    = ⟨A_d, δ⟩ + ⟨Δ_d, δ⟩
 *   ⟨A_d*, A_e*⟩ = ⟨A_d, A_e⟩ + ⟨Δ_d, A_e⟩ + ⟨Δ_e, A_d⟩ + ⟨Δ_d, Δ_e⟩
 *
 * where ⟨Δ_d, ·⟩ is the change of a mean over the rows of `perProbe`. The last term is replaced by its mean: 0 for
 * d ≠ e, domains being drawn independently; for d = e about ν_d, the resample's own noise, which is subtracted again as
 * `meanNoise` says. So resamples scatter around the estimate and not around a doubly shrunk one.
 */
export function momentsOf(
  gradients: GradientStatistics,
  stats: FootprintStatistics,
): (weights: Float64Array | null) => Moments {
  return shared(stats, `moments ${gradients.scope} ${gradients.q}`, () => prepareMoments(gradients, stats))
}

function prepareMoments(
  gradients: GradientStatistics,
  stats: FootprintStatistics,
): (weights: Float64Array | null) => Moments {
  const D = stats.domains.length
  const width = D + 2
  const once = meanByDomain(gradients.perProbe, width, stats.domain, D)
  const { noise, subtracted } = meanNoise(gradients, stats)
  const freed = Float64Array.from(gradients.gram)
  for (let d = 0; d < D; d++) freed[d * D + d] -= subtracted * noise[d]
  return (weights) => {
    if (!weights) return { gram: freed, displacement: gradients.displacement }
    const change = meanByDomain(gradients.perProbe, width, stats.domain, D, weights)
    for (let i = 0; i < change.length; i++) change[i] -= once[i]
    const gram = new Float64Array(D * D)
    const displacement = new Float64Array(D)
    for (let d = 0; d < D; d++) {
      displacement[d] = gradients.displacement[d] + change[d * width + D]
      for (let e = 0; e < D; e++) gram[d * D + e] = freed[d * D + e] + change[d * width + e] + change[e * width + d]
    }
    return { gram, displacement }
  }
}
