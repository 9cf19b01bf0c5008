import fc from 'fast-check'
import { checkPool, drawTexts, realisedCounts, sampleMixtures } from '../../lib/lab/index.js'
import { unevenness } from '../../lib/lab/mixtures.js'
import { Random } from '../../lib/random.js'

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0)

describe('the paper’s sampler', () => {
  const mixtures = sampleMixtures({ sampler: 'paper', domains: 4, trials: 50, seed: 7 })

  test('gives distributions without a share below one per cent', () => {
    expect(mixtures).toHaveLength(50)
    for (const shares of mixtures) {
      expect(Math.abs(sum(shares) - 1)).toBeLessThan(1e-12)
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.01)
    }
  })

  test('spreads them evenly over the distance from equal shares', () => {
    const distances = mixtures.map(unevenness).sort((a, b) => a - b)
    const width = (distances[49] - distances[0]) / 5
    const fifths = [0, 1, 2, 3, 4].map(
      (fifth) =>
        distances.filter((distance) => Math.min(4, Math.floor((distance - distances[0]) / width)) === fifth).length,
    )
    // Ten in each fifth were every bin filled and the fifths' borders those of bins; plain draws crowd two of them.
    for (const count of fifths) expect(Math.abs(count - 10)).toBeLessThanOrEqual(5)
  })

  test('there may be many trials', () => {
    expect(sampleMixtures({ sampler: 'paper', domains: 2, trials: 2000, seed: 1 })).toHaveLength(2000)
  })
  test('is the same for the same seed and name, another for others, and mixed in order', () => {
    const draw = (seed: number, name?: string) =>
      sampleMixtures({ sampler: 'paper', domains: 4, trials: 50, seed, name })
    expect(draw(7)).toEqual(mixtures)
    expect(draw(8)).not.toEqual(mixtures)
    expect(draw(7, 'other')).not.toEqual(mixtures)
    const distances = mixtures.map(unevenness)
    expect(distances).not.toEqual([...distances].sort((a, b) => a - b))
  })

  test('has two levels of share', () => {
    // With 2 domains, both high or both low give near-equal shares, else one is near 1: the two halves of the draws.
    const pairs = sampleMixtures({ sampler: 'paper', domains: 2, trials: 200, seed: 1 })
    expect(pairs.some(([share]) => share > 0.9)).toBe(true)
    expect(pairs.some(([share]) => Math.abs(share - 0.5) < 0.05)).toBe(true)
  })

  test('works for ten domains, and says so where it cannot', () => {
    const ten = sampleMixtures({ sampler: 'paper', domains: 10, trials: 40, seed: 1 })
    expect(new Set(ten.map(String)).size).toBe(40)
    for (const domains of [40, 120]) {
      expect(() => sampleMixtures({ sampler: 'paper', domains, trials: 4, seed: 1 })).toThrow(
        expect.objectContaining({ code: 'MIXTURE_SAMPLER_STUCK', exitCode: 3 }),
      )
    }
  })
})

test('Dirichlet(α) has mean 1/D and the variance of its α', () => {
  const n = 4000
  const draws = sampleMixtures({ sampler: { dirichlet: 2 }, domains: 3, trials: n, seed: 5 })
  const first = draws.map(([share]) => share)
  const mean = sum(first) / n
  const variance = sum(first.map((share) => (share - mean) ** 2)) / n
  // Var = (1/3)(2/3)/(6 + 1) = .0317, sd .178; six standard errors of the mean, and of the variance (≈ .0317·√(2/n))
  expect(Math.abs(mean - 1 / 3)).toBeLessThan((6 * 0.178) / Math.sqrt(n))
  expect(Math.abs(variance - 2 / 63)).toBeLessThan(6 * (2 / 63) * Math.sqrt(2 / n))
})

test('options out of range are refused', () => {
  const ask = (options: object) => () =>
    sampleMixtures({ sampler: 'paper', domains: 4, trials: 4, seed: 0, ...options })
  for (const options of [{ domains: 1 }, { trials: 0 }, { trials: 1.5 }, { sampler: { dirichlet: 0 } }]) {
    expect(ask(options)).toThrow(expect.objectContaining({ code: 'OPTION_RANGE', exitCode: 2 }))
  }
})

describe('realised counts', () => {
  test('sum to n and are within one text of the shares', () => {
    const shares = fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(shares, fc.integer({ min: 1, max: 5000 }), (parts, n) => {
        const mixture = parts.map((part) => part / sum(parts))
        const counts = realisedCounts(mixture, n)
        expect(sum(counts)).toBe(n)
        counts.forEach((count, d) => expect(Math.abs(count - n * mixture[d])).toBeLessThan(1 + 1e-9))
      }),
    )
  })

  test('the largest remainders get what is left', () => {
    expect(realisedCounts([0.39, 0.36, 0.25], 10)).toEqual([4, 4, 2])
    expect(realisedCounts([0.25, 0.25, 0.25, 0.25], 2)).toEqual([1, 1, 0, 0])
  })
})

describe('drawing texts', () => {
  const domains = ['a', 'b']
  const members = [
    [0, 2, 4, 6],
    [1, 3, 5],
  ]

  test('a mixture beyond the pool is refused with both numbers; replace allows it', () => {
    expect(() => checkPool([2, 9], [4, 3], domains)).toThrow(
      expect.objectContaining({
        code: 'MIXTURE_POOL_SMALL',
        exitCode: 3,
        message: expect.stringMatching(/9 texts of "b".* 3$/),
      }),
    )
    expect(() => checkPool([4, 3], [4, 3], domains)).not.toThrow()
    expect(() => checkPool([2, 9], [4, 3], domains, true)).not.toThrow()
    expect(() => checkPool([2, 9], [4, 0], domains, true)).toThrow(
      expect.objectContaining({ code: 'MIXTURE_POOL_SMALL' }),
    )
  })

  test('gives as many of each domain as asked for, each once, in random order', () => {
    const drawn = [...drawTexts(members, [3, 2], domains, new Random(1, 'draw'))]
    expect(new Set(drawn).size).toBe(5)
    expect(drawn.filter((text) => text % 2 === 0)).toHaveLength(3)
    const all = Array.from({ length: 20 }, (_, seed) =>
      String(drawTexts(members, [4, 3], domains, new Random(seed, 'draw'))),
    )
    expect(new Set(all).size).toBeGreaterThan(15)
  })

  test('with replacement, more than there are', () => {
    const drawn = [...drawTexts(members, [1, 30], domains, new Random(1, 'draw'), true)]
    expect(drawn.filter((text) => text % 2 === 1)).toHaveLength(30)
    expect(drawn.every((text) => members.flat().includes(text))).toBe(true)
  })
})
