import { Random } from '../../lib/random.js'
import { readMixtures } from '../../lib/readouts/index.js'
import type { FootprintStatistics, GradientStatistics, MixtureResult } from '../../lib/readouts/index.js'
import { gradientMatching } from '../../lib/readouts/gradient-matching.js'
import { measuredError } from '../../lib/readouts/gradient-choice.js'
import { bootstrap, percentileIntervals, quantile } from '../../lib/readouts/bootstrap.js'
import { ignorance } from '../../lib/readouts/diagnostics.js'
import { classifierStatistics, gaussianGradients, meanError } from '../support/synthetic-footprints.js'

const truth = [0.46, 0.07, 0.3, 0.17]

/** Forty probes per domain whose gradients add up to the displacement with the shares above. */
function wellPosed(seed: number): FootprintStatistics {
  const random = new Random(seed, 'mixtures')
  const { gradients } = gaussianGradients(random, truth, 40, 100, 0.5)
  return classifierStatistics(random, 4, 40, { gradients: [gradients, { ...gradients, scope: 'head', q: 0 }] })
}

function trace(verdict: string, halfWidth: number): MixtureResult {
  const names = wellPosed(1).domains
  return {
    readout: 'trace',
    description: '',
    settings: {},
    verdict,
    level: 0.9,
    intervalIncludes: '',
    mixture: Object.fromEntries(names.map((name) => [name, 0.25])),
    interval: Object.fromEntries(names.map((name) => [name, [0.25 - halfWidth, 0.25 + halfWidth]])),
  }
}

describe('intervals', () => {
  test('of gradient matching cover known mixtures as often as they say, and the estimate is unbiased', async () => {
    const trials = 60
    let covered = 0
    const error = new Float64Array(4)
    const squares = new Float64Array(4)
    for (let trial = 0; trial < trials; trial++) {
      const random = new Random(trial, 'coverage')
      const shares = random.dirichlet(new Float64Array(4).fill(2))
      const { gradients, domain } = gaussianGradients(random, shares, 60, 100, 2)
      const stats = classifierStatistics(random, 4, 60, { gradients: [gradients], domain })
      const predict = gradientMatching().prepare(stats)
      const [resamples] = await bootstrap(stats, [predict], { seed: trial, replicates: 200 })
      const estimate = predict(null)
      const intervals = await percentileIntervals(resamples, 4, 0.9)
      intervals.forEach(([low, high], d) => {
        if (low <= shares[d] && shares[d] <= high) covered++
        error[d] += estimate[d] - shares[d]
        squares[d] += (estimate[d] - shares[d]) ** 2
      })
    }
    // 240 intervals, four per trial that depend on each other: a binomial of about 180 has sd .022 around .9.
    expect(covered / (4 * trials)).toBeGreaterThan(0.85)
    expect(covered / (4 * trials)).toBeLessThan(0.95)
    for (let d = 0; d < 4; d++) expect(Math.abs(error[d] / trials)).toBeLessThan((3 * Math.sqrt(squares[d])) / trials)
  })

  test('hold the estimate, lie in [0, 1], say what they cover, and carry the method error', async () => {
    const { mixtures } = await readMixtures(wellPosed(1), { seed: 1, bootstrap: 100 })
    for (const { readout, mixture, interval, intervalIncludes } of mixtures) {
      const errors: [RegExp, number][] = [
        [/^gradient-matching$/, 0.04],
        [/^gradient-matching\[/, 0.065],
        [/^projection/, 0.06],
        [/^blend$/, 0.05],
      ]
      const own = errors.find(([name]) => name.test(readout))?.[1] ?? 0
      for (const [name, [low, high]] of Object.entries(interval)) {
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeLessThanOrEqual(1)
        expect(low).toBeLessThanOrEqual(Math.max(0, mixture[name] - own))
        expect(high).toBeGreaterThanOrEqual(Math.min(1, mixture[name] + own))
      }
      expect(intervalIncludes).toMatch(own ? `${own.toFixed(3)} for the method` : /90 %.*not the error of the method/)
    }
  })

  test('the method error runs through both measurements', () => {
    const error = measuredError('matching')
    expect(error(4)).toBeCloseTo(0.04, 12)
    expect(error(10)).toBeCloseTo(0.03, 12)
    expect(error(2)).toBeGreaterThan(0.04)
  })

  test('quantiles are linear between neighbours', () => {
    expect([0, 0.25, 0.5, 1].map((p) => quantile(Float64Array.of(1, 2, 4), p))).toEqual([1, 1.5, 2, 4])
  })

  test('follow the seed, not the order of the domains', async () => {
    const stats = classifierStatistics(new Random(2, 'order'), 3, 30)
    const turned: FootprintStatistics = {
      ...stats,
      domains: [2, 0, 1].map((d) => stats.domains[d]),
      classOfDomain: Int32Array.of(2, 0, 1),
      domain: stats.domain.map((d) => [1, 2, 0][d]),
    }
    const run = async (own: FootprintStatistics, seed: number) =>
      (await readMixtures(own, { seed, bootstrap: 50, readouts: ['stationary'] })).mixtures[0]
    const [first, again, other, reseeded] = [
      await run(stats, 1),
      await run(stats, 1),
      await run(turned, 1),
      await run(stats, 2),
    ]
    expect(again).toEqual(first)
    expect(reseeded.interval).not.toEqual(first.interval)
    for (const name of stats.domains) {
      expect(other.interval[name][0]).toBeCloseTo(first.interval[name][0], 10)
      expect(other.interval[name][1]).toBeCloseTo(first.interval[name][1], 10)
    }
  })
})

describe('what is recommended', () => {
  const names = async (stats: FootprintStatistics, options = {}) =>
    readMixtures(stats, { seed: 1, bootstrap: 20, ...options })

  test('gradient matching on the widest scope, and every other scope in a row of its own', async () => {
    const { mixtures, recommended, skipped } = await names(wellPosed(1))
    expect(recommended).toBe('gradient-matching')
    const best = mixtures.find(({ readout }) => readout === recommended)!
    expect(best.settings).toEqual({ scope: 'top', q: 1 })
    expect(meanError(Object.values(best.mixture), truth)).toBeLessThan(0.02)
    expect(mixtures.map(({ readout }) => readout)).toEqual([
      'uniform',
      'membership',
      'softmax',
      'mean-probability',
      'stationary',
      'prior-shift',
      'gradient-matching',
      'projection',
      'blend',
      'gradient-matching[head,q=0]',
      'projection[head,q=0]',
    ])
    expect(skipped).toEqual([])
  })

  test('softmax where there are no gradients; what does not apply is listed with its reason', async () => {
    const { recommended, skipped, diagnostics } = await names({ ...wellPosed(1), gradients: [], classOfDomain: null })
    expect(recommended).toBe('softmax')
    expect(skipped.map(({ readout }) => readout)).toEqual([
      'mean-probability',
      'stationary',
      'prior-shift',
      'gradient-matching',
      'projection',
      'blend',
    ])
    expect(skipped[0].reason).toMatch(/not the classes/)
    expect(diagnostics.verdict).toBe('weak')
  })

  test('the trace when it is good and narrow, not otherwise', async () => {
    expect((await names(wellPosed(1), { extra: [trace('exact', 0.02)] })).recommended).toBe('trace')
    expect((await names(wellPosed(1), { extra: [trace('noisy', 0.04)] })).recommended).toBe('gradient-matching')
    expect((await names(wellPosed(1), { extra: [trace('none', 0.01)] })).recommended).toBe('gradient-matching')
  })

  test('among the readouts asked for', async () => {
    expect((await names(wellPosed(1), { readouts: ['stationary'] })).recommended).toBe('stationary')
    expect((await names(wellPosed(1), { readouts: ['projection', 'softmax'] })).recommended).toBe('softmax')
  })

  test('refuses readouts that do not exist or do not apply, and options out of range', async () => {
    await expect(names(wellPosed(1), { readouts: ['mlp'] })).rejects.toMatchObject({
      code: 'READOUT_UNKNOWN',
      exitCode: 2,
    })
    await expect(names({ ...wellPosed(1), gradients: [] }, { readouts: ['blend'] })).rejects.toMatchObject({
      code: 'READOUT_NOT_APPLICABLE',
      exitCode: 3,
    })
    await expect(names(wellPosed(1), { bootstrap: 5 })).rejects.toMatchObject({ code: 'OPTION_RANGE' })
    await expect(names(wellPosed(1), { level: 1 })).rejects.toMatchObject({ code: 'OPTION_RANGE' })
  })

  test('stops when told to, and reports progress that only grows', async () => {
    const done: number[] = []
    const controller = new AbortController()
    const run = readMixtures(wellPosed(1), {
      seed: 1,
      bootstrap: 1_000_000,
      signal: controller.signal,
      onProgress: (replicates) => {
        if (done.push(replicates) === 3) controller.abort()
      },
    })
    await expect(run).rejects.toThrow(/abort/)
    expect(done).toHaveLength(3)
    expect(done[0] < done[1] && done[1] < done[2]).toBe(true)
  })

  test('a resample that takes several turns of the event loop is told once', async () => {
    const stats = wellPosed(1)
    const slow = (): Float64Array => {
      for (const start = performance.now(); performance.now() - start < 20; );
      return new Float64Array(stats.domains.length)
    }
    const done: number[] = []
    await bootstrap(stats, [slow, slow], { seed: 1, replicates: 3, onProgress: (n) => done.push(n) })
    expect(done).toEqual([0, 1, 2])
  })
})

describe('the verdict', () => {
  const verdict = async (stats: FootprintStatistics) =>
    (await readMixtures(stats, { seed: 1, bootstrap: 50 })).diagnostics
  const withGradients = (change: (gradients: GradientStatistics) => Partial<GradientStatistics>, n = 40) => {
    const random = new Random(11, 'verdict')
    const { gradients } = gaussianGradients(random, truth, n, 100, 0.5)
    return classifierStatistics(random, 4, n, { gradients: [{ ...gradients, ...change(gradients) }] })
  }

  test('ok when the domains are told apart', async () => {
    const diagnostics = await verdict(withGradients(() => ({})))
    expect(diagnostics.reasons).toHaveLength(1)
    expect(diagnostics.verdict).toBe('ok')
    expect(diagnostics.gradients!.condition).toBeLessThan(5)
    // The displacement is the gradients' combination but for the noise of the means: .5²/40 of it.
    expect(Math.abs(diagnostics.gradients!.explained - 1)).toBeLessThan(0.05)
    expect(Math.abs(diagnostics.gradients!.separability - 1)).toBeLessThan(0.2)
    expect(diagnostics.accuracy!.mean).toBeGreaterThan(0.5)
  })

  test('weak with few probes', async () => {
    const { verdict: word, reasons } = await verdict(withGradients(() => ({}), 20))
    expect(word).toBe('weak')
    expect(reasons.join()).toMatch(/fewer than 30 probes in domain 0/)
  })

  test('one probe per domain still gives an answer, and a warning', async () => {
    const stats = withGradients(() => ({}), 1)
    const { mixtures, diagnostics } = await readMixtures(stats, { seed: 1, bootstrap: 50 })
    expect(diagnostics.verdict).toBe('weak')
    for (const { mixture } of mixtures) expect(Object.values(mixture).every(Number.isFinite)).toBe(true)
  })

  test('weak when the displacement is something else', async () => {
    const { verdict: word, reasons } = await verdict(
      withGradients((own) => ({
        displacementNorm2: 1000 * own.displacementNorm2,
      })),
    )
    expect(word).toBe('weak')
    expect(reasons.join()).toMatch(/less than a hundredth/)
  })

  test('unidentifiable when two domains are the same', async () => {
    const same = (table: Float64Array, columns: number) =>
      table.map((value, i) => {
        const column = i % columns
        return column === 1 ? table[i - 1] : value
      })
    const stats = withGradients(({ gram, displacement, perProbe }) => {
      const rows = same(gram, 4)
      return {
        gram: rows.map((value, i) => (Math.floor(i / 4) === 1 ? rows[i - 4] : value)),
        displacement: same(displacement, 4),
        perProbe: same(perProbe, 6),
      }
    })
    const diagnostics = await verdict(stats)
    expect(diagnostics.verdict).toBe('unidentifiable')
    expect(diagnostics.reasons.join()).toMatch(/dependent.*domain 0 and domain 1/)
    expect(diagnostics.gradients!.condition).toBeNull()
  })

  test('unidentifiable when no gradient points along the displacement, nothing moved, or all is zero', async () => {
    const away = await verdict(withGradients(({ displacement }) => ({ displacement: displacement.map(Math.abs) })))
    expect(away).toMatchObject({ verdict: 'unidentifiable', reasons: [expect.stringMatching(/no domain/)] })
    const still = await verdict(withGradients(() => ({ displacementNorm2: 0 })))
    expect(still).toMatchObject({ verdict: 'unidentifiable', reasons: [expect.stringMatching(/did not move/)] })
    const zero = await verdict(withGradients(() => ({ gram: new Float64Array(16), displacement: new Float64Array(4) })))
    expect(zero).toMatchObject({ verdict: 'unidentifiable', reasons: [expect.stringMatching(/is zero/)] })
  })

  test('the path integral of a loss that falls as the scores say explains all of it', async () => {
    const random = new Random(12, 'integral')
    // ℓ(λ) = (1 − λ)², ‖δ‖ = 2: s = −ℓ'/2 = 1 − λ, a line, which trapezoids integrate exactly.
    const lambdas = Float64Array.of(0.1, 0.4, 0.8)
    const stats = classifierStatistics(random, 2, 30, {
      lambdas,
      alignment: Float64Array.from({ length: 180 }, (_, i) => 1 - lambdas[i % 3]),
      loss: Float64Array.from({ length: 300 }, (_, i) => (1 - [0, ...lambdas, 1][i % 5]) ** 2),
    })
    const { pathIntegral } = await verdict(stats)
    expect(pathIntegral!.predicted).toBeCloseTo(1, 12)
    expect(pathIntegral!.share).toBeCloseTo(1, 12)
    expect((await verdict({ ...stats, path: 'ties' })).pathIntegral).toBeNull()
  })

  test('ignorance is the mean distance of random mixtures from equal shares', () => {
    const random = new Random(13, 'ignorance')
    let sum = 0
    for (let i = 0; i < 4000; i++) sum += meanError(random.dirichlet([1, 1, 1, 1]), [0.25, 0.25, 0.25, 0.25]) / 4000
    // sd of one draw ≈ .06, of the mean ≈ .001
    expect(Math.abs(sum - ignorance(4))).toBeLessThan(0.004)
  })
})
