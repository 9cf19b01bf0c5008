import { sampleMixtures, statisticsToTrial, realisedCounts, type Trial } from '../../lib/lab/index.js'
import { Random } from '../../lib/random.js'
import type { FootprintStatistics } from '../../lib/readouts/types.js'
import { classifierStatistics, dot, normals, statisticsOf as gradientsOf } from './synthetic-footprints.js'

const LAMBDAS = Float64Array.of(0.1, 0.3, 0.5, 0.7, 0.9)
const DIMENSIONS = 30

/** What the probes of a model fine-tuned on `truth` could give: every part depends on the share, with noise. */
export function modelStatistics(random: Random, truth: ArrayLike<number>, perDomain = 20): FootprintStatistics {
  const D = truth.length
  const K = LAMBDAS.length
  // The same for every model: how hard each domain is, and which way its gradient points.
  const nature = new Random(3, 'nature')
  const hardness = Array.from({ length: D }, () => 1 + 0.3 * nature.normal())
  const means = Array.from({ length: D }, () => normals(nature, DIMENSIONS))
  const delta = new Float64Array(DIMENSIONS)
  means.forEach((mean, d) =>
    mean.forEach((value, p) => {
      delta[p] -= (truth[d] + 0.05 * random.normal()) * value
    }),
  )
  const domain = Int32Array.from({ length: D * perDomain }, (_, i) => Math.floor(i / perDomain))
  const rows = [...domain].map((d) => means[d].map((value) => value + random.normal()))
  const width = K + 2
  return classifierStatistics(random, D, perDomain, {
    lambdas: LAMBDAS,
    domain,
    label: domain,
    gradients: [gradientsOf(rows, domain, D, delta)],
    alignment: Float64Array.from({ length: domain.length * K }, (_, i) => {
      const d = domain[Math.floor(i / K)]
      return hardness[d] * (1 - LAMBDAS[i % K]) * (truth[d] - 0.1) + 0.05 * random.normal()
    }),
    loss: Float64Array.from({ length: domain.length * width }, (_, i) => {
      const d = domain[Math.floor(i / width)]
      const at = [0, ...LAMBDAS, 1][i % width]
      return hardness[d] * Math.exp(-at * (0.5 + 3 * truth[d]) + 0.1 * random.normal())
    }),
    referenceLogits: Float64Array.from(
      { length: domain.length * D },
      (_, i) => 2 * Number(i % D === domain[Math.floor(i / D)]) + Math.log(truth[i % D] + 0.01) + random.normal(),
    ),
    scope: 'head',
    displacementNorm: Math.sqrt(dot(delta, delta)),
  })
}

export interface Synthetic {
  trials: number
  domains?: number
  seed?: number
  path?: string
}

/** Trials of the paper's mixtures. */
export function syntheticTrials({ trials, domains: D = 4, seed = 1, path }: Synthetic): Trial[] {
  return sampleMixtures({ sampler: 'paper', domains: D, trials, seed }).map((shares, index) => {
    const counts = realisedCounts(shares, 500)
    const statistics = modelStatistics(
      new Random(seed, 'synthetic trial', index),
      counts.map((n) => n / 500),
    )
    const domains = statistics.domains
    return statisticsToTrial({ index, seed, domains, counts, recipe: {}, timings: {} }, [{ statistics, path }], {
      containsTraining: false,
    })
  })
}
