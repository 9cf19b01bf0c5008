import { fnv1a64, philox4x32, Random } from '../../lib/random.js'

const words = (text: string): number[] => text.split(' ').map((word) => Number.parseInt(word, 16))

describe('the generator', () => {
  // Known-answer vectors of Random123 (tests/kat_vectors, philox4x32 10): counter, key, block.
  test.each([
    ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('philox4x32 of %s under %s', (counter, key, block) => {
    expect([...philox4x32(words(counter), words(key))]).toEqual(words(block))
  })

  // Published FNV-1a test values.
  test.each([
    ['', 0xcbf29ce484222325n],
    ['a', 0xaf63dc4c8601ec8cn],
    ['foobar', 0x85944171f73967e8n],
  ])('fnv1a64 of "%s"', (name, hash) => expect(fnv1a64(name)).toBe(hash))

  test('keys and counters are laid out as documented', () => {
    const seed = 2 ** 40 + 5
    const key = fnv1a64('probes') ^ BigInt(seed)
    const stream = 2 ** 33 + 3
    const block = (index: number): number[] => [
      ...philox4x32(
        [index % 2 ** 32, Math.floor(index / 2 ** 32), 3, 2],
        [Number(key & 0xffffffffn), Number(key >> 32n)],
      ),
    ]
    const random = new Random(seed, 'probes', stream)
    const drawn = Array.from({ length: 8 }, () => random.uint32())
    expect(drawn).toEqual([...block(0), ...block(1)])
    const [high, low] = block(2 ** 32 + 7)
    expect(random.uniformAt(2 ** 32 + 7)).toBe(Number((BigInt(high >>> 5) << 26n) | BigInt(low >>> 6)) / 2 ** 53)
  })

  test('seeds, names and streams give different sequences, and the same ones again', () => {
    const draw = (...args: ConstructorParameters<typeof Random>): number => new Random(...args).uniform()
    const all = [draw(0, 'a'), draw(1, 'a'), draw(0, 'b'), draw(0, 'a', 1)]
    expect(new Set(all).size).toBe(4)
    expect(draw(0, 'a')).toBe(all[0])
  })

  test.each([-1, 0.5, Number.NaN, 2 ** 53])('a seed of %p is refused', (seed) => {
    expect(() => new Random(seed, 'a')).toThrow(expect.objectContaining({ code: 'SEED_INVALID' }))
  })
})

/** Mean and variance of n draws. */
function moments(n: number, draw: () => number): { mean: number; variance: number } {
  const values = Float64Array.from({ length: n }, draw)
  const mean = values.reduce((a, b) => a + b, 0) / n
  return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1) }
}

// Seeds are fixed, so these either hold or not; 5 standard errors leave a right implementation one failure in 10^6.
describe('distributions', () => {
  const n = 100_000

  test('uniform: mean 1/2, variance 1/12, inside [0, 1)', () => {
    const random = new Random(1, 'uniform')
    const { mean, variance } = moments(n, () => {
      const value = random.uniform()
      if (!(value >= 0 && value < 1)) throw new Error(`${value}`)
      return value
    })
    expect(Math.abs(mean - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / n))
    // Var(s²) ≈ (μ4 − σ⁴)/n with μ4 = 1/80
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt((1 / 80 - 1 / 144) / n))
  })

  test('below(n): every value equally often, and n = 2^32 gives whole words', () => {
    const random = new Random(2, 'below')
    const counts = new Float64Array(7)
    for (let i = 0; i < n; i++) counts[random.below(7)]++
    // χ² with 6 degrees of freedom: P(> 35.9) < 3e-6
    expect(counts.reduce((sum, count) => sum + (count - n / 7) ** 2 / (n / 7), 0)).toBeLessThan(35.9)
    expect(new Random(2, 'x').below(2 ** 32)).toBe(new Random(2, 'x').uint32())
    expect(random.below(1)).toBe(0)
  })

  test('below rejects what would bias it: n = 3 · 2^30 leaves no excess in the lower third', () => {
    // Plain multiply-shift over 2^32 words would give one value in three two words instead of one: shares 1/2, 1/4, 1/4
    // by value mod 3.
    const random = new Random(3, 'bias')
    const counts = new Float64Array(3)
    for (let i = 0; i < n; i++) counts[random.below(3 * 2 ** 30) % 3]++
    for (const count of counts) expect(Math.abs(count / n - 1 / 3)).toBeLessThan(5 * Math.sqrt(2 / 9 / n))
  })

  test('normal: mean 0, variance 1, fourth moment 3', () => {
    const random = new Random(4, 'normal')
    const { mean, variance } = moments(n, () => random.normal())
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(n))
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / n))
    const fourth = moments(n, () => random.normal() ** 4).mean
    // Var(x⁴) = E x⁸ − 9 = 96
    expect(Math.abs(fourth - 3)).toBeLessThan(5 * Math.sqrt(96 / n))
  })

  test.each([0.1, 0.5, 1, 3.7, 40])('gamma(%p): mean and variance are the shape', (shape) => {
    const random = new Random(5, 'gamma')
    const { mean, variance } = moments(n, () => random.gamma(shape))
    expect(Math.abs(mean - shape)).toBeLessThan(5 * Math.sqrt(shape / n))
    // μ4 = 3a² + 6a, so Var(s²) ≈ (2a² + 6a)/n
    expect(Math.abs(variance - shape)).toBeLessThan(5 * Math.sqrt((2 * shape ** 2 + 6 * shape) / n))
  })

  test('logGamma stays finite where gamma underflows', () => {
    const random = new Random(6, 'tiny')
    for (let i = 0; i < 1000; i++) expect(Number.isFinite(random.logGamma(1e-4))).toBe(true)
  })

  test('dirichlet: sums to one, mean α/Σα, also for tiny α', () => {
    const random = new Random(7, 'dirichlet')
    const alpha = [0.2, 1, 2.8]
    const draws = 20_000
    const mean = new Float64Array(3)
    for (let i = 0; i < draws; i++) {
      const shares = random.dirichlet(alpha)
      expect(Math.abs(shares.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-15 * 4)
      shares.forEach((share, d) => (mean[d] += share / draws))
    }
    // Var = m(1 − m)/(Σα + 1), Σα = 4
    mean.forEach((value, d) => {
      const m = alpha[d] / 4
      expect(Math.abs(value - m)).toBeLessThan(5 * Math.sqrt((m * (1 - m)) / 5 / draws))
    })
    for (const share of random.dirichlet([1e-5, 1e-5])) expect(Number.isNaN(share)).toBe(false)
  })

  test('multinomial: counts sum to the draws, zero weights are never drawn', () => {
    const counts = new Random(8, 'multinomial').multinomial(n, [0, 3, 0, 1, 0])
    expect([...counts].reduce((a, b) => a + b, 0)).toBe(n)
    expect([counts[0], counts[2], counts[4]]).toEqual([0, 0, 0])
    expect(Math.abs(counts[1] / n - 0.75)).toBeLessThan(5 * Math.sqrt((0.75 * 0.25) / n))
    expect(() => new Random(8, 'm').multinomial(1, [0, 0])).toThrow(
      expect.objectContaining({ code: 'RANDOM_ARGUMENT' }),
    )
    expect(() => new Random(8, 'm').multinomial(1, [-1, 2])).toThrow(
      expect.objectContaining({ code: 'RANDOM_ARGUMENT' }),
    )
  })

  test('resample: n draws, variance of a count 1 − 1/n', () => {
    const counts = new Random(9, 'bootstrap').resample(n)
    expect(counts.reduce((a, b) => a + b, 0)).toBe(n)
    const variance = counts.reduce((sum, count) => sum + (count - 1) ** 2, 0) / n
    // Poisson(1) limit: μ4 = 4, so Var(s²) ≈ 3/n
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(3 / n))
  })

  test('permutation: all numbers once; every order of three equally likely', () => {
    expect([...new Random(10, 'p').permutation(1000)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    )
    const random = new Random(11, 'orders')
    const counts = new Map<string, number>()
    for (let i = 0; i < 60_000; i++) {
      const order = random.permutation(3).join('')
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    // χ² with 5 degrees of freedom: P(> 34) < 3e-6
    expect(counts.size).toBe(6)
    expect([...counts.values()].reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(34)
  })
})
