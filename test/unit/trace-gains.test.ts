import { Random } from '../../lib/random.js'
import { separate, statistics, statisticsOf, unexpected, type Gains } from '../../lib/trace/gains.js'
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

/** Statistics of members and others, and what is known of each before: weakly right. */
function kinds(texts: number, distance: number, knowledge: number) {
  const random = new Random(2, 'kinds')
  const member = Array.from({ length: texts }, (_, i) => i % 5 === 0)
  const table = Float64Array.from({ length: texts * size }, (_, i) => {
    const shift = member[Math.floor(i / size)] && i % size < 2 ? distance : 0
    return 10 * (i % size) + random.normal() + shift
  })
  const odds = Float64Array.from(member, (yes) => (yes ? 1 : -1) * knowledge - Math.log(4) + random.normal())
  return { member, table, odds, used: new Uint8Array(texts).fill(1) }
}

const area = (scores: ArrayLike<number>, member: boolean[]): number => {
  let wins = 0,
    pairs = 0
  member.forEach((yes, i) => {
    if (!yes) return
    member.forEach((other, j) => {
      if (other) return
      pairs++
      wins += Number(scores[i] > scores[j]) + Number(scores[i] === scores[j]) / 2
    })
  })
  return wins / pairs
}

test('members are told from others by what differs, from weak knowledge, with probabilities that hold', async () => {
  const { member, table, odds, used } = kinds(1000, 1.5, 1)
  const found = await separate(table, odds, used, turns)
  expect(found.converged).toBe(true)
  // normal, 1.5 deviations apart in two of five: 2.12 in all, an area of Φ(1.5) = .933; its error with 200 members .01
  expect(area(found.evidence, member)).toBeGreaterThan(0.9)
  expect(area(found.probability, member)).toBeGreaterThan(Math.max(area(odds, member), area(found.evidence, member)))
  found.members.slice(0, 2).forEach((mean, i) => expect(mean - found.others[i]).toBeCloseTo(1.5, 0))
  found.others.forEach((mean, i) => expect(Math.abs(mean - 10 * i)).toBeLessThan(0.3))
  // 200 members, expected with an error of about the root of the sum of p (1 − p): below 10
  expect(Math.abs(found.probability.reduce((a, b) => a + b, 0) - 200)).toBeLessThan(40)
})

test('without a difference there is no evidence; what is certain stays so, and the rest as known', async () => {
  const { table, odds, used } = kinds(600, 0, 3)
  const none = await separate(table, odds, used, turns)
  // means of 120 and 480 texts differ by a tenth of a deviation at random: squared, by five, and doubled at most
  expect(Math.max(...none.evidence.map(Math.abs))).toBeLessThan(2)
  odds[0] = -Infinity
  odds[1] = Infinity
  used[2] = 0
  const certain = await separate(table, odds, used, turns)
  expect([certain.probability[0], certain.probability[1], certain.evidence[2]]).toEqual([0, 1, 0])
  expect(certain.probability[2]).toBe(1 / (1 + Math.exp(-odds[2])))
})

test('no texts, and texts without statistics, give nothing', async () => {
  const empty = await separate(new Float64Array(0), new Float64Array(0), new Uint8Array(0), turns)
  expect([empty.evidence.length, empty.converged]).toEqual([0, true])
  const unused = await separate(new Float64Array(2 * size), Float64Array.of(0, 1), new Uint8Array(2), turns)
  expect([...unused.evidence]).toEqual([0, 0])
})
