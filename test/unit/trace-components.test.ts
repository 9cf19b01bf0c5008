import { Turns } from '../../lib/turns.js'
import { Random } from '../../lib/random.js'
import {
  drawsOf,
  evidenceByTexts,
  evidenceOf,
  fitComponents,
  overall,
  parts,
  pullOf,
  shareOf,
  trainedBelow,
  type Schedule,
} from '../../lib/trace/components.js'

/** Scores of tokens that 1, 2, 4 … texts hold; of those with a rate each is met first at a time, or not at all. */
function made(
  count: number,
  { early, late, deviation }: { early: number; late: number; deviation: number },
  behind = (time: number): number => time,
) {
  const random = new Random(5, 'components')
  const texts = Uint32Array.from({ length: count }, (_, i) => 2 ** (i % 5))
  const trained = new Uint8Array(count)
  const scores = Float64Array.from(texts, (held, i) => {
    const time = -Math.log(1 - random.uniform()) / (0.2 * held)
    if (time > 1) return 0.6 + 0.9 * random.normal()
    trained[i] = 1
    return early + (late - early) * behind(time) + deviation * random.normal()
  })
  return { scores, texts, trained: trained.reduce((a, b) => a + b, 0) }
}

/** Trained tokens by what a fit says. */
async function expected(scores: Float64Array, texts: Uint32Array, schedule: Schedule = 'constant'): Promise<number> {
  const found = await fitComponents(scores, texts, schedule, new Turns()),
    tell = evidenceOf(found)
  return scores.reduce((sum, z, i) => {
    const share = shareOf(texts[i], found)
    return sum + 1 / (1 + ((1 - share) / share) * Math.exp(-tell(z)))
  }, 0)
}

// 8 000 scores: the number's standard error by the overlap of the last tokens with untrained ones is about 2 %
test('tokens that were met last are counted though they look untrained', async () => {
  const { scores, texts, trained } = made(8000, { early: 4.8, late: 1.2, deviation: 0.6 })
  expect(Math.abs((await expected(scores, texts)) / trained - 1)).toBeLessThan(0.06)
})

// of the way (1 − t)² is left, or the integral of ½ (1 + cos πt) from t on: three times as many tokens lie within the
// untrained ones, so their number's standard error is about 3 % (twelve draws: .93 to 1.00)
test.each<[Schedule, (time: number) => number]>([
  ['linear', (time) => 1 - (1 - time) ** 2],
  ['cosine', (time) => time + Math.sin(Math.PI * time) / Math.PI],
])(
  'a rate that falls (%s): the tokens met last are counted, where it is said, and missed, where it is not',
  async (schedule, behind) => {
    const { scores, texts, trained } = made(8000, { early: 4.8, late: 1.2, deviation: 0.6 }, behind)
    expect(Math.abs((await expected(scores, texts, schedule)) / trained - 1)).toBeLessThan(0.1)
    expect((await expected(scores, texts)) / trained).toBeLessThan(0.9)
  },
)

test.each([
  [5, 4],
  [2.6, 2.6],
  [2.4, 2.8],
])('where all were met early, with scores of %d to %d, nothing is added', async (early, late) => {
  const { scores, texts, trained } = made(8000, { early, late, deviation: 0.35 })
  expect(Math.abs((await expected(scores, texts)) / trained - 1)).toBeLessThan(0.04)
})

test('scores far above both kinds are of trained tokens', async () => {
  const { scores, texts } = made(2000, { early: 40, late: 30, deviation: 2 })
  scores[0] = 1e6
  const found = await fitComponents(scores, texts, 'constant', new Turns())
  expect(found.untrained.deviation).toBeLessThan(1.2)
  expect(evidenceOf(found)(1e6)).toBe(8)
})

test('evidence is that of the densities, and never falls in the score above the untrained mean, nor below', () => {
  const components = {
    untrained: { mean: 0.5, deviation: 1 },
    trained: { early: 5, late: 1, deviation: 0.5 },
    share: new Float64Array(32).fill(0.3),
    parts: new Float64Array(parts).fill(1 / parts),
    schedule: 'constant' as const,
  }
  const tell = evidenceOf(components)
  const density = (z: number, mean: number, deviation: number) =>
    Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / deviation
  for (const z of [1, 2, 3, 4]) {
    let there = 0
    for (let part = 0; part < parts; part++) there += density(z, 5 - (4 * (part + 0.5)) / parts, 0.5) / parts
    expect(tell(z)).toBeCloseTo(Math.log(there / density(z, 0.5, 1)), 2)
  }
  let before = -Infinity
  for (let z = -20; z < 30; z += 0.01) {
    expect(tell(z)).toBeGreaterThanOrEqual(before)
    before = tell(z)
  }
  expect(tell(100)).toBe(tell(17))
  // 1 − p(z | untrained) / p(z | trained): 0 where a score says nothing
  expect(pullOf(0)).toBeCloseTo(0, 12)
  expect(pullOf(Math.log(4))).toBeCloseTo(0.75, 12)
})

// 8 000 tokens that 1, 2, 4 … 512 texts hold: the slope's standard error is about 0.003
test('where common untrained tokens stand out more, what is called trained was', async () => {
  const random = new Random(7, 'rising')
  const texts = Uint32Array.from({ length: 8000 }, (_, i) => 2 ** (i % 10))
  const times = Array.from(texts, (held) => -Math.log(1 - random.uniform()) / (0.001 * held))
  const isTrained = times.map((time) => time <= 1)
  const scores = Float64Array.from(texts, (held, i) =>
    isTrained[i] ? 4 - 2 * times[i] + 0.5 * random.normal() : 0.1 + 0.15 * Math.log2(held) + 0.8 * random.normal(),
  )
  const judged = async (rises: boolean) => {
    const found = await fitComponents(scores, texts, 'constant', new Turns(), rises)
    const tell = evidenceByTexts(found)
    const odds = (i: number): number => Math.log(1 / shareOf(texts[i], found) - 1)
    const sure = [...scores.keys()].filter((i) => tell(scores[i], texts[i]) - odds(i) >= Math.log(9))
    return { found, sure: sure.length, right: sure.filter((i) => isTrained[i]).length / sure.length }
  }
  const { found, sure, right } = await judged(true)
  expect(Math.abs(found.rise!.slope - 0.15)).toBeLessThan(0.012)
  expect(sure).toBeGreaterThan(100)
  expect(right).toBeGreaterThan(0.9)
  expect((await judged(false)).right).toBeLessThan(right - 0.1)
  // of a number of texts the evidence is that of their own untrained tokens, else of those in the middle
  const own = evidenceByTexts(found)
  const { untrained, rise } = found
  for (const texts of [1, 16, 512]) {
    const mean = untrained.mean + rise!.slope * (Math.log2(texts) - rise!.at)
    expect(own(1.5, texts)).toBe(evidenceOf({ ...found, untrained: { ...untrained, mean } })(1.5))
  }
})

test('draws are those of the parts, the first first', () => {
  const components = {
    untrained: { mean: 0, deviation: 1 },
    trained: { early: 8, late: 2, deviation: 0.1 },
    share: new Float64Array(32),
    parts: new Float64Array(parts).fill(1 / parts),
    schedule: 'constant' as const,
  }
  const { untrained, trained } = drawsOf(components, 96)
  expect([untrained.length, trained.length]).toEqual([96, 96])
  expect(untrained.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 3)
  trained.forEach((z, i) => {
    expect(Math.abs(z - (8 - (6 * (Math.floor(i / 4) + 0.5)) / parts))).toBeLessThan(0.3)
  })
  const { mean, deviation } = overall(components)
  expect(mean).toBeCloseTo(5, 6)
  expect(deviation).toBeCloseTo(Math.hypot(0.1, 6 / Math.sqrt(12)), 1)
  expect(trainedBelow(1, components)).toBeCloseTo(0, 6)
  expect(trainedBelow(9, components)).toBeCloseTo(1, 6)
  expect(trainedBelow(5, components)).toBeCloseTo(0.5, 3)
})
