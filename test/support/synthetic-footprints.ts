import type { Random } from '../../lib/random.js'
import type { FootprintStatistics, GradientStatistics } from '../../lib/readouts/types.js'

/** Random rows of standard normal numbers. */
export function normals(random: Random, count: number): Float64Array {
  return Float64Array.from({ length: count }, () => random.normal())
}

export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0)
}

/** Inner products of explicit gradients (N rows), as the native code hands them over. */
export function statisticsOf(
  rows: Float64Array[],
  domain: Int32Array,
  D: number,
  delta: Float64Array,
): GradientStatistics {
  const means = Array.from({ length: D }, (_, d) => {
    const own = rows.filter((_, i) => domain[i] === d)
    return delta.map((_, p) => own.reduce((sum, row) => sum + row[p], 0) / own.length)
  })
  return {
    scope: 'top',
    q: 1,
    gram: Float64Array.from({ length: D * D }, (_, i) => dot(means[Math.floor(i / D)], means[i % D])),
    displacement: Float64Array.from(means, (mean) => dot(mean, delta)),
    displacementNorm2: dot(delta, delta),
    perProbe: Float64Array.from(rows.flatMap((row) => [...means, delta, row].map((other) => dot(row, other)))),
  }
}

/** Gaussian gradients around true means whose combination with `shares` is the displacement. */
export function gaussianGradients(random: Random, shares: ArrayLike<number>, n: number, P: number, noise: number) {
  const D = shares.length
  const means = Array.from({ length: D }, () => normals(random, P))
  const delta = new Float64Array(P)
  means.forEach((mean, d) =>
    mean.forEach((value, p) => {
      delta[p] -= shares[d] * value
    }),
  )
  const domain = Int32Array.from({ length: D * n }, (_, i) => Math.floor(i / n))
  const rows = [...domain].map((d) => means[d].map((value) => value + noise * random.normal()))
  return { means, rows, delta, gradients: statisticsOf(rows, domain, D, delta), domain }
}

/** Statistics of a classifier whose domains are its classes, every part random but `given`. */
export function classifierStatistics(
  random: Random,
  D: number,
  n: number,
  given: Partial<FootprintStatistics> = {},
): FootprintStatistics {
  const K = 3
  const N = D * n
  const domain = given.domain ?? Int32Array.from({ length: N }, (_, i) => Math.floor(i / n))
  const names = Array.from({ length: D }, (_, d) => `domain ${d}`)
  const shares = random.dirichlet(new Float64Array(D).fill(2))
  return {
    domains: names,
    classes: names,
    classOfDomain: Int32Array.from(names.keys()),
    lambdas: Float64Array.of(0.05, 0.5, 0.95),
    domain,
    label: domain,
    loss: normals(random, N * (K + 2)).map((value, i) => Math.abs(value) * (i % (K + 2) === K + 1 ? 0.3 : 1)),
    alignment: normals(random, N * K),
    referenceLogits: normals(random, N * D).map((z, i) => z + (i % D === domain[Math.floor(i / D)] ? 2 : 0)),
    gradients: given.domain ? [] : [gaussianGradients(random, shares, n, 40, 0.5).gradients],
    path: 'linear',
    displacementNorm: 2,
    ...given,
  }
}

export function meanError(estimate: ArrayLike<number>, truth: ArrayLike<number>): number {
  let sum = 0
  for (let d = 0; d < truth.length; d++) sum += Math.abs(estimate[d] - truth[d]) / truth.length
  return sum
}
