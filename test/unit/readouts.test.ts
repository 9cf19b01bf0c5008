import fc from 'fast-check'
import { Random } from '../../lib/random.js'
import { blend } from '../../lib/readouts/blend.js'
import { defaultGradients } from '../../lib/readouts/gradient-choice.js'
import { footprintOf, readoutsFor } from '../../lib/readouts/index.js'
import { cholesky, choleskySolve } from '../../lib/readouts/linear-algebra.js'
import { gradientMatching } from '../../lib/readouts/gradient-matching.js'
import { calibrate, calibrationLoss, priorShift } from '../../lib/readouts/prior-shift.js'
import { membership } from '../../lib/readouts/membership.js'
import { momentsOf } from '../../lib/readouts/moments.js'
import { projection } from '../../lib/readouts/projection.js'
import { softmaxReadout } from '../../lib/readouts/softmax.js'
import { stationary, stationaryDistribution } from '../../lib/readouts/stationary.js'
import type { FootprintStatistics, GradientStatistics } from '../../lib/readouts/types.js'
import {
  classifierStatistics,
  dot,
  gaussianGradients,
  meanError,
  statisticsOf,
} from '../support/synthetic-footprints.js'

const rounded = (shares: ArrayLike<number>, digits = 12) => Array.from(shares, (share) => +share.toFixed(digits))

describe('every readout', () => {
  const stats = classifierStatistics(new Random(1, 'every'), 4, 25)
  stats.gradients.push({ ...stats.gradients[0], scope: 'head', q: 0 })
  const readouts = readoutsFor(stats)
  const names = readouts.map((readout) => readout.name)

  test.each(names)('%s: shares sum to one; weights of one change nothing', (name) => {
    const readout = readouts.find((one) => one.name === name)!
    expect(readout.why(stats)).toBeNull()
    const predict = readout.prepare(stats)
    const shares = predict(null)
    expect(shares.every((share) => share >= 0)).toBe(true)
    expect(Math.abs(shares.reduce((a, b) => a + b) - 1)).toBeLessThan(1e-14)
    expect(rounded(predict(new Float64Array(100).fill(1)))).toEqual(rounded(shares))
  })

  test.each(names)('%s: domains in another order, the same shares', (name) => {
    const order = [2, 0, 3, 1]
    const [straight, turned] = [stats, permuteDomains(stats, order)].map((own) =>
      readoutsFor(own)
        .find((one) => one.name === name)!
        .prepare(own)(null),
    )
    expect(rounded(turned, 9)).toEqual(
      rounded(
        order.map((d) => straight[d]),
        9,
      ),
    )
  })
})

/** The same probes under domains listed in another order: new domain j is old domain order[j]. */
function permuteDomains(stats: FootprintStatistics, order: number[]): FootprintStatistics {
  const D = order.length
  const matrix = (a: Float64Array) => Float64Array.from(a, (_, i) => a[order[Math.floor(i / D)] * D + order[i % D]])
  const permuted = (g: GradientStatistics): GradientStatistics => ({
    ...g,
    gram: matrix(g.gram),
    displacement: g.displacement.map((_, d) => g.displacement[order[d]]),
    perProbe: g.perProbe.map((value, i) => {
      const [row, column] = [Math.floor(i / (D + 2)), i % (D + 2)]
      return column < D ? g.perProbe[row * (D + 2) + order[column]] : value
    }),
  })
  return {
    ...stats,
    domains: order.map((d) => stats.domains[d]),
    classOfDomain: stats.classOfDomain!.map((_, d) => stats.classOfDomain![order[d]]),
    domain: stats.domain.map((d) => order.indexOf(d)),
    gradients: stats.gradients.map(permuted),
  }
}

describe('softmax', () => {
  const stats = classifierStatistics(new Random(2, 'softmax'), 2, 2, {
    lambdas: Float64Array.of(0.2, 0.8),
    alignment: Float64Array.of(1, 2, 3, -2, -1, 0, -3, -4),
    loss: new Float64Array(16),
  })
  const share = (a: number, b: number) => Math.exp(a) / (Math.exp(a) + Math.exp(b))

  test('of the mean over points and probes', () => {
    // domain 0: mean of 1.5 and .5; domain 1: mean of −.5 and −3.5
    expect(softmaxReadout().prepare(stats)(null)[0]).toBeCloseTo(share(1, -2), 14)
  })

  test('columns divided by their largest magnitude, or by their maximum as the authors do', () => {
    // columns 1 3 −1 −3 over 3, 2 −2 0 −4 over 4: means 2/3 and 0, −2/3 and −1/2
    expect(softmaxReadout({ normalization: 'max' }).prepare(stats)(null)[0]).toBeCloseTo(share(1 / 3, -7 / 12), 14)
    const compat = softmaxReadout({ normalization: 'max', compat: 'warp' }).prepare(stats)(null)[0]
    expect(compat).toBeCloseTo(share(2 / 3 / 2, (-2 / 3 - 1) / 2), 14)
  })

  test('standardised columns', () => {
    // column 0: 1, 3, −1, −3: mean 0, sd √5; column 1: 2, −2, 0, −4: mean −1, sd √5
    const root = Math.sqrt(5)
    expect(softmaxReadout({ normalization: 'zscore' }).prepare(stats)(null)[0]).toBeCloseTo(
      share((2 / root + 1 / root) / 2, (-2 / root - 1 / root) / 2),
      14,
    )
  })
})

describe('membership', () => {
  test('shares of probes whose loss fell by more than half, whatever the number of probes', () => {
    const stats = classifierStatistics(new Random(3, 'member'), 2, 2, {
      lambdas: Float64Array.of(0.5),
      domain: Int32Array.of(0, 0, 0, 0, 1, 1),
      // base, path, reference; the fourth starts at zero loss and cannot fall
      loss: Float64Array.of(1, 1, 0.49, 1, 1, 0.51, 2, 1, 0.1, 0, 0, 0, 1, 1, 0.2, 1, 1, 0.3),
    })
    expect([...membership.prepare(stats)(null)]).toEqual([0.5 / 1.5, 1 / 1.5])
    expect(membership.why({ ...stats, loss: new Float64Array(18).fill(1) })).toMatch(/50 %/)
  })
})

describe('stationary', () => {
  test('equals power iteration', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), fc.integer({ min: 2, max: 8 }), (seed, D) => {
        const random = new Random(seed, 'stationary')
        const rows = Float64Array.from([...Array(D)].flatMap(() => [...random.dirichlet(new Float64Array(D).fill(1))]))
        let power = new Float64Array(D).fill(1 / D)
        for (let round = 0; round < 2000; round++) {
          power = power.map((_, c) => power.reduce((sum, share, d) => sum + share * rows[d * D + c], 0))
        }
        // The leak of 1e-12 per entry moves the shares by about D·1e-12 over the spectral gap (rarely below 1e-2).
        expect(meanError(stationaryDistribution(rows, D), power)).toBeLessThan(1e-8)
      }),
      { numRuns: 50 },
    )
  })

  test('a reference that confuses nothing gives equal shares', () => {
    const shares = stationaryDistribution(Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), 3)
    expect(rounded(shares, 6)).toEqual(rounded([1 / 3, 1 / 3, 1 / 3], 6))
  })

  test('needs domains that are classes', () => {
    const stats = classifierStatistics(new Random(4, 'why'), 3, 4)
    expect(stationary.why({ ...stats, classOfDomain: null })).toMatch(/not the classes/)
    expect(stationary.why({ ...stats, classOfDomain: Int32Array.of(0, 1, 1) })).toMatch(/same class/)
  })
})

describe('prior-shift', () => {
  const random = new Random(5, 'prior')
  const stats = classifierStatistics(random, 3, 40)
  const problem = {
    logits: stats.referenceLogits,
    domain: stats.domain,
    share: new Float64Array(120).fill(1 / 120),
    D: 3,
  }

  test('gradient and Hessian are those of the loss', () => {
    const x = Float64Array.of(0.8, 0.3, -0.4, 0.2)
    const { gradient, hessian } = calibrationLoss(problem, x)
    const step = 1e-4
    for (let a = 0; a < 4; a++) {
      const at = (by: number) =>
        calibrationLoss(
          problem,
          x.map((value, i) => value + (i === a ? by : 0)),
        )
      const [up, down] = [at(step), at(-step)]
      // Central differences err by step²/6 times a third derivative of at most about |z|³ ≈ 100.
      expect(Math.abs((up.loss - down.loss) / (2 * step) - gradient[a])).toBeLessThan(1e-6)
      for (let b = 0; b < 4; b++) {
        expect(Math.abs((up.gradient[b] - down.gradient[b]) / (2 * step) - hessian[a * 4 + b])).toBeLessThan(1e-6)
      }
    }
  })

  test('no point of a fine grid is lower', () => {
    const { x, at } = calibrate(problem)
    expect(at.gradient.every((value) => Math.abs(value) < 1e-8)).toBe(true)
    for (let t = -4; t <= 4; t++)
      for (let one = -4; one <= 4; one++)
        for (let two = -4; two <= 4; two++) {
          const beside = Float64Array.of(x[0] * (1 + t / 20), x[1] + one / 20, x[2] + two / 20, x[3])
          expect(calibrationLoss(problem, beside).loss).toBeGreaterThanOrEqual(at.loss)
        }
  })

  test('finds the prior of data drawn from the model', () => {
    const prior = [0.6, 0.3, 0.1]
    const n = 6000
    const domain = Int32Array.from({ length: 3 * n }, (_, i) => Math.floor(i / n))
    // x | y normal around e_y: log p(y | x) = x_y + log prior + constant; the reference halves them all.
    const referenceLogits = Float64Array.from({ length: 9 * n }, (_, i) => {
      const own = i % 3 === domain[Math.floor(i / 3)] ? 1 : 0
      return 0.5 * (own + random.normal() + Math.log(prior[i % 3]))
    })
    const share = new Float64Array(3 * n).fill(1 / (3 * n))
    const { x, at } = calibrate({ logits: referenceLogits, domain, share, D: 3 })
    for (const [a, b] of [
      [0, 1],
      [1, 2],
      [0, 2],
    ]) {
      const contrast = Float64Array.from({ length: 4 }, (_, i) => (i === 1 + a ? 1 : i === 1 + b ? -1 : 0))
      // The inverse of the information is the variance of the estimate; four standard deviations.
      const deviation = Math.sqrt(dot(contrast, choleskySolve(cholesky(at.hessian, 4)!, contrast, 4)) / (3 * n))
      expect(deviation).toBeLessThan(0.1)
      expect(Math.abs(x[1 + a] - x[1 + b] - Math.log(prior[a] / prior[b]))).toBeLessThan(4 * deviation)
    }
    const stats = classifierStatistics(random, 3, n, { domain, referenceLogits, alignment: new Float64Array(0) })
    expect(meanError(priorShift.prepare(stats)(null), prior)).toBeLessThan(0.05)
  })

  test('one Newton step stands in for solving a resample', () => {
    const many = classifierStatistics(random, 3, 400)
    const weights = new Float64Array(1200)
    for (let d = 0; d < 3; d++)
      random.resample(400).forEach((count, i) => {
        weights[400 * d + i] = count
      })
    const predict = priorShift.prepare(many)
    const share = weights.map((weight) => weight / 1200)
    const exact = calibrate({ logits: many.referenceLogits, domain: many.domain, share, D: 3 })
    const b = exact.x.subarray(1).map(Math.exp)
    const solved = b.map((value) => value / b.reduce((sum, one) => sum + one))
    const moved = meanError(solved, predict(null))
    // The resample moves the optimum by O(n^-½) ≈ .05 of its scale; the step neglects the square of that.
    expect(moved).toBeGreaterThan(0.002)
    expect(meanError(predict(weights), solved)).toBeLessThan(0.25 * moved)
  })

  test('a reference without mistakes keeps everything finite', () => {
    const perfect = classifierStatistics(random, 3, 10, {
      referenceLogits: Float64Array.from({ length: 90 }, (_, i) => (i % 3 === Math.floor(i / 30) ? 20 : 0)),
    })
    const predict = priorShift.prepare(perfect)
    expect(rounded(predict(null), 3)).toEqual([0.333, 0.333, 0.333])
    expect([...predict(new Float64Array(30).fill(2))].every(Number.isFinite)).toBe(true)
  })
})

describe('gradient readouts', () => {
  const truth = [0.5, 0.3, 0.15, 0.05]

  test('recover the combination that made the displacement', () => {
    const { gradients, domain } = gaussianGradients(new Random(6, 'gradients'), truth, 200, 200, 0.5)
    const stats = classifierStatistics(new Random(6, 'rest'), 4, 200, { gradients: [gradients], domain })
    // Noise of a weight: (.5/√200)·‖w‖/√200 ≈ .0015; three of them.
    expect(meanError(gradientMatching().prepare(stats)(null), truth)).toBeLessThan(0.005)
    // Projection does not unmix: it is right to the cosine between random means, 1/√200.
    expect(meanError(projection().prepare(stats)(null), truth)).toBeLessThan(3 / Math.sqrt(200))
  })

  test('moments of a resample are those of the resampled gradients', () => {
    const random = new Random(7, 'moments')
    const { rows, delta, gradients, domain } = gaussianGradients(random, truth, 50, 30, 1)
    const stats = classifierStatistics(random, 4, 50, { gradients: [gradients], domain })
    // Only the first domain is resampled: then no product of two changes is left out beside the diagonal.
    const weights = new Float64Array(200).fill(1)
    random.resample(50).forEach((count, i) => {
      weights[i] = count
    })
    const drawn = rows.flatMap((row, i) => new Array<Float64Array>(weights[i]).fill(row))
    const direct = statisticsOf(drawn, domain, 4, delta)
    const { gram, displacement } = momentsOf(gradients, stats)(weights)
    for (let d = 0; d < 4; d++) {
      expect(displacement[d]).toBeCloseTo(direct.displacement[d], 10)
      if (d > 0) expect(gram[d]).toBeCloseTo(direct.gram[d], 10)
    }
  })

  test('the diagonal is freed of the noise of the probes', () => {
    const random = new Random(8, 'noise')
    const { means, gradients, domain } = gaussianGradients(random, truth, 20, 400, 2)
    const stats = classifierStatistics(random, 4, 20, { gradients: [gradients], domain })
    const { gram } = momentsOf(gradients, stats)(null)
    for (let d = 0; d < 4; d++) {
      const noise = (4 * 400) / 20
      expect(gradients.gram[5 * d] - dot(means[d], means[d])).toBeGreaterThan(0.5 * noise)
      // ‖mean + noise‖² − ν has standard deviation 2‖μ‖σ/√n + ν√(2/400) = 18 + 6
      expect(Math.abs(gram[5 * d] - dot(means[d], means[d]))).toBeLessThan(3 * 24)
    }
  })

  test('projection measures in units of each domain’s own gradient, and gives nothing for pointing away', () => {
    const gradients: GradientStatistics = {
      scope: 'head',
      q: 1,
      gram: Float64Array.of(4, 0, 0, 0, 1, 0, 0, 0, 1),
      displacement: Float64Array.of(-2, -3, 5),
      displacementNorm2: 40,
      perProbe: new Float64Array(15),
    }
    const domain = Int32Array.of(0, 1, 2)
    const stats = classifierStatistics(new Random(7, 'units'), 3, 1, { gradients: [gradients], domain })
    expect([...projection().prepare(stats)(null)]).toEqual([0.25, 0.75, 0])
  })

  test('the default is the widest scope, with q = 1 where it is there', () => {
    const of = (scope: 'head' | 'top', q: number) => ({ scope, q }) as GradientStatistics
    expect(defaultGradients([of('head', 1), of('top', 0), of('top', 1)])).toEqual(of('top', 1))
    expect(defaultGradients([of('head', 1), of('top', 0)])).toEqual(of('top', 0))
    expect(defaultGradients([of('head', 0.5), of('head', 2), of('head', 1)])).toEqual(of('head', 1))
    expect(defaultGradients([])).toBeNull()
  })

  test('blend is the weighted mean of its four parts, and needs them all', () => {
    const stats = classifierStatistics(new Random(7, 'blend'), 3, 20)
    const [matching, projected, still, prior] = [gradientMatching(), projection(), stationary, priorShift].map(
      (readout) => readout.prepare(stats)(null),
    )
    const mixed = matching.map(
      (_, d) => (0.3 * matching[d] + 0.52 * projected[d] + 0.08 * still[d] + 0.13 * prior[d]) / 1.03,
    )
    expect(rounded(blend.prepare(stats)(null))).toEqual(rounded(mixed))
    expect(blend.why({ ...stats, classOfDomain: null })).toMatch(/^stationary: /)
    expect(blend.why({ ...stats, gradients: [{ ...stats.gradients[0], q: 0 }] })).toMatch(/q = 1/)
  })

  test('zero gradients give equal shares', () => {
    const random = new Random(8, 'zero')
    const { gradients, domain } = gaussianGradients(random, truth, 5, 10, 1)
    const [gram, displacement, perProbe] = [new Float64Array(16), new Float64Array(4), new Float64Array(120)]
    const zero = { ...gradients, gram, displacement, perProbe }
    const stats = classifierStatistics(random, 4, 5, { gradients: [zero], domain })
    expect([...gradientMatching().prepare(stats)(null)]).toEqual([0.25, 0.25, 0.25, 0.25])
    expect([...projection().prepare(stats)(null)]).toEqual([0.25, 0.25, 0.25, 0.25])
  })

  test('identical domains share what belongs to them', () => {
    const random = new Random(9, 'same')
    const one = gaussianGradients(random, [0.6, 0.4], 1, 20, 0)
    const [a, b] = one.means
    const double = [a, a, b]
    const delta = a.map((value, p) => -0.6 * value - 0.4 * b[p])
    const domain = Int32Array.of(0, 1, 2)
    const gradients = statisticsOf(double, domain, 3, delta)
    const stats = classifierStatistics(random, 3, 1, { gradients: [gradients], domain })
    expect(rounded(gradientMatching().prepare(stats)(null), 6)).toEqual([0.3, 0.3, 0.4])
  })
})

describe('footprintOf', () => {
  test('means, standard errors and losses per domain', () => {
    const stats = classifierStatistics(new Random(10, 'footprint'), 2, 2, {
      lambdas: Float64Array.of(0.5),
      domain: Int32Array.of(0, 1, 0),
      alignment: Float64Array.of(1, 5, 3),
      loss: Float64Array.of(3, 2, 1, 6, 5, 4, 1, 1, 0),
    })
    expect(footprintOf(stats)).toEqual({
      mean: [[2], [5]],
      standardError: [[1], [null]],
      loss: [
        [2, 1.5, 0.5],
        [6, 5, 4],
      ],
    })
  })
})
