import { liftSpectrum, nnls } from './linear-algebra.js'
import { normalised } from './sums.js'
import type { BlockStatistics, FootprintStatistics, Readout } from './types.js'

/** Smallest eigenvalue that the Gram matrix between blocks is lifted to, of the largest (method, section 9). */
const FLOOR = 1e-3

/** Name of the readout of some block statistics. */
export const blockMatchingName = ({ scope, kind }: Pick<BlockStatistics, 'scope' | 'kind'>): string =>
  `gradient-matching[${scope},${kind}]`

/**
 * Gradient matching on gradients of any scope: w ≥ 0 minimising ‖δ + Σ_d w_d Ḡ_d‖² with the Gram matrix taken between
 * different blocks of probes, which the probes' noise does not enter; with kind `adam` in the metric of Adam's own
 * preconditioner (method, section 9).
 */
export function blockMatching(of: Pick<BlockStatistics, 'scope' | 'kind'>): Readout {
  const find = (stats: FootprintStatistics): BlockStatistics | undefined =>
    stats.blocks?.find(({ scope, kind }) => scope === of.scope && kind === of.kind)
  return {
    name: blockMatchingName(of),
    description:
      'weights with which the domains’ gradients add up to the displacement, by products between blocks of probes' +
      (of.kind === 'adam' ? ", in the metric of Adam's steps" : ''),
    settings(stats): Record<string, number | string> {
      const found = find(stats)
      if (!found) return {}
      const { lambda, blocks, noise, coordinates, of: all } = found
      return { scope: of.scope, lambda, blocks, noise, coordinates, of: all }
    },
    why(stats) {
      const found = find(stats)
      if (!found) return 'no mean gradients were computed for this scope'
      return found.norm2 > 0 ? null : `the tensors of scope ${of.scope} did not move`
    },
    // mean over eight mixtures of four and five domains (benchmarks/results/language.md)
    methodError: (_, classes) => (classes === 0 && of.kind === 'adam' && of.scope === 'upper' ? 0.033 : 0),
    prepare(stats) {
      const found = find(stats)!
      const D = stats.domains.length
      return (weights) => {
        const { gram, displacement } = betweenBlocks(found, D, blockWeights(found, stats, weights))
        return normalised(nnls(liftSpectrum(gram, D, FLOOR), displacement, D))
      }
    },
  }
}

/**
 * The weight of each block in its domain's mean, D × B. A resample of probes moves a block's weight by the scatter of
 * its count; the block's own mean stays as it is, so the scatter is widened by √(probes of a block), which gives the
 * resampled mean the variance that drawing probes has.
 */
function blockWeights(blocks: BlockStatistics, stats: FootprintStatistics, weights: Float64Array | null): Float64Array {
  const B = blocks.blocks
  const D = stats.domains.length
  const even = new Float64Array(D * B).fill(1 / B)
  if (!weights) return even
  const drawn = new Float64Array(D * B)
  const there = new Float64Array(D * B)
  const total = new Float64Array(D)
  for (let i = 0; i < weights.length; i++) {
    const at = stats.domain[i] * B + blocks.block[i]
    drawn[at] += weights[i]
    there[at]++
    total[stats.domain[i]] += weights[i]
  }
  return even.map((share, at) => {
    const own = drawn[at] / total[Math.floor(at / B)]
    return Math.max(0, share + Math.sqrt(there[at]) * (own - share))
  })
}

/** ⟨Ḡ_d, Ḡ_e⟩ over pairs of different blocks, and ⟨Ḡ_d, δ⟩, with these weights of the blocks. */
export function betweenBlocks(
  { gram, displacement, blocks: B }: Pick<BlockStatistics, 'gram' | 'displacement' | 'blocks'>,
  D: number,
  weights: Float64Array,
): { gram: Float64Array; displacement: Float64Array } {
  const n = D * B
  const out = { gram: new Float64Array(D * D), displacement: new Float64Array(D) }
  for (let d = 0; d < D; d++) {
    let sum = 0
    for (let a = 0; a < B; a++) {
      out.displacement[d] += weights[d * B + a] * displacement[d * B + a]
      sum += weights[d * B + a]
    }
    out.displacement[d] /= sum
    for (let e = 0; e < D; e++) {
      let product = 0
      let weight = 0
      for (let a = 0; a < B; a++)
        for (let b = 0; b < B; b++) {
          if (a === b) continue
          const w = weights[d * B + a] * weights[e * B + b]
          product += w * gram[(d * B + a) * n + e * B + b]
          weight += w
        }
      out.gram[d * D + e] = weight > 0 ? product / weight : 0
    }
  }
  for (let d = 0; d < D; d++)
    for (let e = 0; e < d; e++) {
      const mean = (out.gram[d * D + e] + out.gram[e * D + d]) / 2
      out.gram[d * D + e] = out.gram[e * D + d] = mean
    }
  return out
}
