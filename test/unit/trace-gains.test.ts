import { Random } from '../../lib/random.js'
import { statistics, statisticsOf, unexpected, type Gains } from '../../lib/trace/gains.js'
import { Turns } from '../../lib/turns.js'

const turns = new Turns()
const size = statistics.length

/** Texts of these lengths, two domains in turn, few tokens. */
function drawn(lengths: number[], seed = 1): Gains {
  const random = new Random(seed, 'gains')
  const offsets = Uint32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))])
  const tokens = offsets[lengths.length]
  const base = Float64Array.from({ length: tokens }, () => Math.log(random.uniform()))
  return {
    offsets,
    ids: Uint32Array.from({ length: tokens }, () => Math.floor(7 * random.uniform())),
    base,
    gain: base.map((value) => 0.3 - 0.2 * value + random.normal()),
    domain: Uint32Array.from(lengths, (_, i) => i % 2),
    domains: 2,
  }
}

/** The definition: least squares with a column for each domain by elimination, then every token's mean elsewhere. */
function naive({ offsets, ids, base, gain, domain, domains }: Gains): number[] {
  const textOf = Array.from(ids, (_, at) => offsets.findIndex((end, i) => i > 0 && at < end) - 1)
  const rows = textOf.map((text, at) => [
    ...[base[at], base[at] ** 2, Math.exp(base[at])],
    ...Array.from({ length: domains }, (_, d) => Number(domain[text] === d)),
  ])
  const n = rows[0].length
  const m = Array.from({ length: n }, (_, i) => [
    ...Array.from({ length: n }, (_, j) => rows.reduce((sum, row) => sum + row[i] * row[j], 0)),
    rows.reduce((sum, row, at) => sum + row[i] * gain[at], 0),
  ])
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) {
      if (k === i) continue
      const factor = m[k][i] / m[i][i]
      for (let j = i; j <= n; j++) m[k][j] -= factor * m[i][j]
    }
  }
  const rest = rows.map((row, at) => gain[at] - row.reduce((sum, value, i) => sum + (value * m[i][n]) / m[i][i], 0))
  return rest.map((value, at) => {
    const others = rest.filter((_, i) => ids[i] === ids[at] && textOf[i] !== textOf[at])
    return value - others.reduce((sum, other) => sum + other, 0) / (others.length + 3)
  })
}

test.each([[[5, 1, 0, 9, 3, 30]], [[1, 1]], [Array.from({ length: 40 }, (_, i) => i % 11)]])(
  'what is unexpected of texts of %j tokens is by the definition',
  async (lengths) => {
    const gains = drawn(lengths)
    const found = await unexpected(gains, turns)
    if (lengths.length === 2) {
      // each domain has one token: nothing is left over
      expect([...found]).toEqual([0, 0])
      return
    }
    // errors of some 40 sums of 200 numbers near 1, times the condition of a well-posed 5 × 5 system (below 1e4)
    naive(gains).forEach((value, at) => expect(found[at]).toBeCloseTo(value, 7))
  },
)

test('statistics of a text: sum, mean, spread, share above nothing, mean of the lowest fifth', async () => {
  const values = Float64Array.of(3, -1, 2, 0, 1, -5, 4, 2, 1, 3, 7)
  const found = await statisticsOf(Uint32Array.of(0, 10, 10, 11), values, turns)
  expect([...found.subarray(0, size)]).toEqual([10, 1, Math.sqrt(60 / 10), 0.7, -3])
  expect([...found.subarray(size)]).toEqual([...new Array(size).fill(0), 7, 7, 0, 1, 7])
})
