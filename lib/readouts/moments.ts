import { meanByDomain } from './sums.js'
import type { FootprintStatistics, GradientStatistics } from './types.js'

/** Inner products of the domains' mean gradients under one resample of the probes. */
export interface Moments {
  /** D × D, ⟨A_d*, A_d'*⟩ */
  gram: Float64Array
  /** D, ⟨A_d*, δ⟩ */
  displacement: Float64Array
}

/**
 * Moments of a resample from inner products alone, without the gradients. With A_d* = A_d + Δ_d, u held fixed:
 *
 *   ⟨A_d*, δ⟩    = ⟨A_d, δ⟩ + ⟨Δ_d, δ⟩
 *   ⟨A_d*, A_e*⟩ = ⟨A_d, A_e⟩ + ⟨Δ_d, A_e⟩ + ⟨Δ_e, A_d⟩ + ⟨Δ_d, Δ_e⟩
 *
 * where ⟨Δ_d, ·⟩ is the change of a mean over the rows of `perProbe`. The last term is left out. For d ≠ e it is zero
 * on average, domains being drawn independently. For d = e its average is ν_d = (mean ‖g_i‖² − ‖A_d‖²)/n_d, and that
 * is a bias, not a spread: A_d itself already carries a noise of squared length ν_d against the domain's true mean,
 * and adding another ν_d would centre the resamples on a wrong answer (shrunk towards noisy domains) beside the
 * estimate instead of on the estimate.
 */
export function momentsOf(
  gradients: GradientStatistics,
  stats: FootprintStatistics,
): (weights: Float64Array | null) => Moments {
  const D = stats.domains.length
  const mean = (weights: Float64Array | null) => meanByDomain(gradients.perProbe, D + 2, stats.domain, D, weights)
  const once = mean(null)
  return (weights) => {
    if (!weights) return { gram: gradients.gram, displacement: gradients.displacement }
    const drawn = mean(weights)
    const change = (d: number, column: number) => drawn[d * (D + 2) + column] - once[d * (D + 2) + column]
    const gram = new Float64Array(D * D)
    const displacement = new Float64Array(D)
    for (let d = 0; d < D; d++) {
      displacement[d] = gradients.displacement[d] + change(d, D)
      for (let e = 0; e < D; e++) gram[d * D + e] = gradients.gram[d * D + e] + change(d, e) + change(e, d)
    }
    return { gram, displacement }
  }
}

/** D, ν_d: expected squared distance of A_d from the domain's true mean gradient, for the probes there are. */
export function meanNoise(gradients: GradientStatistics, stats: FootprintStatistics): Float64Array {
  const D = stats.domains.length
  const means = meanByDomain(gradients.perProbe, D + 2, stats.domain, D)
  const counts = new Float64Array(D)
  for (const d of stats.domain) counts[d]++
  return counts.map((n, d) => (n > 1 ? Math.max(means[d * (D + 2) + D + 1] - gradients.gram[d * D + d], 0) / (n - 1) : 0))
}
