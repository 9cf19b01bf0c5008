import { Random } from '../../lib/random.js'
import { areaUnder } from '../../lib/trace/monotone.js'
import { standardised, tellKinds } from '../../lib/trace/two-kinds.js'
import { Turns } from '../../lib/turns.js'

const turns = new Turns()

/** Sums of texts of 5 to 64 tokens, a fifth of them members whose tokens gained more. */
function kinds(texts: number, distance: number, knowledge = 0) {
  const random = new Random(2, 'kinds')
  const member = Array.from({ length: texts }, (_, i) => i % 5 === 0)
  const tokens = Uint32Array.from(member, () => 5 + Math.floor(60 * random.uniform()))
  const z = Float64Array.from(
    member,
    (yes, i) => (yes ? distance : -distance / 4) * Math.sqrt(tokens[i] / 35) + random.normal(),
  )
  const odds = Float64Array.from(member, (yes) => (yes ? 1 : -1) * knowledge - Math.log(4) + random.normal())
  return { member, tokens, z, odds }
}

const of = (values: Float64Array, member: boolean[], kind: boolean): Float64Array =>
  values.filter((_, i) => member[i] === kind)
const area = (values: Float64Array, member: boolean[]): number =>
  areaUnder(of(values, member, true), of(values, member, false))
const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)

test('sums are in deviations of tokens about as probable', async () => {
  const base = Float64Array.of(-0.5, -0.2, -3.1, -3.9, -40, -0.7),
    values = Float64Array.of(1, -2, 3, 4, 5, 0.5)
  const z = await standardised(Uint32Array.of(0, 2, 2, 5, 6), values, base, turns)
  const whole = (1 + 4 + 9 + 16 + 25 + 0.25) / 6
  const [likely, rare, rarest] = [(1 + 4 + 0.25 + whole) / 4, (9 + 16 + whole) / 3, (25 + whole) / 2]
  const expected = [-1 / Math.sqrt(2 * likely), 0, 12 / Math.sqrt(2 * rare + rarest), 0.5 / Math.sqrt(likely)]
  expected.forEach((value, i) => expect(z[i]).toBeCloseTo(value, 12))
})

test('members are told from others where nothing is known, with their number and the rate of false ones', async () => {
  const { member, tokens, z } = kinds(2000, 2.4)
  const { alone, evidence, probability, ...found } = await tellKinds(z, tokens, undefined, turns)
  expect(found.converged).toBe(true)
  expect(alone!.gain).toBeGreaterThan(alone!.needed)
  // 400 members: deviations of a mean 1 / √400 and 1 / √1600, doubled as the kinds are not known
  expect(Math.abs(found.members - 2.4)).toBeLessThan(0.3)
  expect(Math.abs(found.others + 0.6)).toBeLessThan(0.15)
  expect(Math.abs(found.deviation - 1)).toBeLessThan(0.1)
  expect(Math.abs(sum(probability) - 400)).toBeLessThan(40)
  expect(alone!.share).toBeCloseTo(sum(probability) / 2000, 3)
  expect(area(evidence, member)).toBeGreaterThan(0.95)
  // 1600 others: a rate of some hundredths with a deviation of .005
  const wrong = of(probability, member, false).filter((p) => p >= 0.5).length / 1600
  expect(Math.abs(wrong - alone!.falsePositiveRate)).toBeLessThan(0.015)
})

test('texts of one kind are not taken for two', async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const random = new Random(seed, 'one')
    const tokens = Uint32Array.from({ length: 1000 }, () => 5 + Math.floor(60 * random.uniform()))
    const z = Float64Array.from(tokens, (n) => -0.2 * Math.sqrt(n / 35) + 1.3 * random.normal())
    const { alone } = await tellKinds(z, tokens, undefined, turns)
    expect(alone!.gain).toBeLessThan(alone!.needed)
  }
})

test('what is known is added to, with probabilities that hold', async () => {
  const { member, tokens, z, odds } = kinds(1000, 1.2, 1)
  const { alone, evidence, probability } = await tellKinds(z, tokens, odds, turns)
  expect(alone).toBeNull()
  expect(area(probability, member)).toBeGreaterThan(Math.max(area(odds, member), area(evidence, member)))
  // 200 members, expected with an error of about the root of the sum of p (1 − p): below 10
  expect(Math.abs(sum(probability) - 200)).toBeLessThan(40)
  probability.forEach((p, i) => expect(p).toBeCloseTo(1 / (1 + Math.exp(-odds[i] - evidence[i])), 12))
})

test('without a difference there is no evidence; what is certain stays so, and the rest as known', async () => {
  const { tokens, z, odds } = kinds(600, 0, 3)
  const none = await tellKinds(z, tokens, odds, turns)
  // means of 120 and 480 texts differ by a tenth of a deviation at random: times three deviations, doubled at most
  expect(Math.max(...none.evidence.map(Math.abs))).toBeLessThan(1)
  odds[0] = -Infinity
  odds[1] = Infinity
  tokens[2] = 0
  const certain = await tellKinds(z, tokens, odds, turns)
  expect([certain.probability[0], certain.probability[1], certain.evidence[2]]).toEqual([0, 1, 0])
  expect(certain.probability[2]).toBe(1 / (1 + Math.exp(-odds[2])))
})

test('members gain more than others: where those known gained less, nothing is told', async () => {
  const { tokens, z, odds, member } = kinds(500, 1.5)
  const turned = Float64Array.from(odds, (_, i) => (member[i] ? -3 : 3))
  expect([...(await tellKinds(z, tokens, turned, turns)).evidence].every((value) => value === 0)).toBe(true)
})

test('no texts, and texts without tokens, give nothing', async () => {
  for (const odds of [undefined, new Float64Array(0)]) {
    const empty = await tellKinds(new Float64Array(0), new Uint32Array(0), odds, turns)
    expect([empty.evidence.length, empty.converged]).toEqual([0, true])
  }
  const unused = await tellKinds(new Float64Array(2), new Uint32Array(2), undefined, turns)
  expect([...unused.evidence]).toEqual([0, 0])
  expect(unused.alone!.gain).not.toBeGreaterThan(unused.alone!.needed)
})
