import { Random } from '../../lib/random.js'
import { areaUnder, fitRatio, ratioAt } from '../../lib/trace/monotone.js'

const random = new Random(3, 'test/monotone')
const normals = (count: number, mean: number): Float64Array =>
  Float64Array.from({ length: count }, () => mean + random.normal())

test('a ratio of two normal distributions is found, and never falls', () => {
  // log p(z | 2, 1) − log p(z | 0, 1) = 2 z − 2
  const ratio = fitRatio(normals(4000, 2), normals(12_000, 0))!
  expect(ratio.from[0]).toBe(-Infinity)
  expect([...ratio.value].sort((a, b) => a - b)).toEqual(ratio.value)
  // a step of a hundred or more tokens: shares within 5 binomial deviations, which is .6 nats where they are even
  for (const z of [0, 0.5, 1, 1.5, 2]) expect(Math.abs(ratioAt(ratio, z) - (2 * z - 2))).toBeLessThan(0.6)
})

test('scores that tell nothing give nothing, in one step', () => {
  const ratio = fitRatio(normals(500, 0), normals(500, 0))!
  // a share of 1000 with a deviation of .016 at the even point, more in the bins of 16 at both ends
  expect(Math.abs(ratioAt(ratio, 0))).toBeLessThan(0.4)
})

test('scores that tell everything are bounded by what so many tokens can say', () => {
  const yes = Float64Array.from({ length: 30 }, (_, i) => 10 + i),
    no = Float64Array.from({ length: 30 }, (_, i) => -10 - i)
  const ratio = fitRatio(yes, no)!
  // 30 of one kind and half an observation of each: (30 + 1.5 + …) to …; less than log 60
  expect(ratioAt(ratio, 50)).toBeGreaterThan(2)
  expect(ratioAt(ratio, 50)).toBeLessThan(Math.log(61))
  expect(ratioAt(ratio, -50)).toBeCloseTo(-ratioAt(ratio, 50), 10)
  expect(ratioAt(ratio, -Infinity)).toBe(ratioAt(ratio, -50))
})

test('equal scores are of one step, and too few tokens are none', () => {
  const ratio = fitRatio(
    new Float64Array(40).fill(1),
    Float64Array.from({ length: 40 }, (_, i) => i % 2),
  )!
  expect(ratio.from).toEqual([-Infinity, 1])
  expect(fitRatio(new Float64Array(5), new Float64Array(4))).toBeUndefined()
  expect(fitRatio(new Float64Array(0), new Float64Array(40))).toBeUndefined()
})

test('the area is the share of pairs in order, ties by half', () => {
  const yes = normals(41, 0.5).map((z) => Math.round(4 * z)),
    no = normals(53, 0).map((z) => Math.round(4 * z))
  let wins = 0
  for (const a of yes) for (const b of no) wins += a > b ? 1 : a === b ? 0.5 : 0
  expect(areaUnder(yes, no)).toBeCloseTo(wins / (41 * 53), 12)
})
