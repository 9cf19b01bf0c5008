import { Random } from '../../lib/random.js'
import { combineVotes, countVotes, mostTexts, rareTokens, solveTexts } from '../../lib/trace/vote-model.js'
import { Turns } from '../../lib/turns.js'

const turns = new Turns()

test('rare tokens and how many texts of each domain hold them', async () => {
  const common = 9
  const texts = [
    ...[Uint32Array.of(1, 1, 2, common), Uint32Array.of(2, common), Uint32Array.of(3, common)],
    ...Array.from({ length: mostTexts }, () => Uint32Array.of(common)),
  ]
  const rare = await rareTokens(
    texts,
    Uint32Array.from(texts, (_, i) => Number(i === 1)),
    12,
    turns,
  )
  expect([...rare.ids]).toEqual([1, 2, 3])
  expect([...rare.offsets]).toEqual([0, 1, 3, 4])
  expect([...rare.domain]).toEqual([0, 0, 1, 0])
  expect([...rare.texts]).toEqual([1, 1, 1, 1])
})

/** Texts of three domains of Zipf's words, half of them the domain's own; a training set, and a pool beside it. */
function corpus(counts: readonly number[], seed = 0) {
  const random = new Random(seed, 'votes')
  const V = 6000
  const word = (d: number) => {
    const rank = Math.floor(3000 * random.uniform() ** 3)
    return random.uniform() < 0.4 ? rank : 3000 + ((rank * 3 + d) % 3000)
  }
  const text = (d: number) => Uint32Array.from({ length: 20 }, () => word(d))
  const training = counts.flatMap((count, d) => Array.from({ length: count }, () => ({ d, ids: text(d) })))
  const pool = [0, 1, 2].flatMap((d) => Array.from({ length: 1500 }, () => ({ d, ids: text(d) })))
  const label = new Int32Array(V).fill(-1)
  for (const { d, ids } of training) for (const id of ids) label[id] = d
  return { training, pool, label, V }
}

async function voted(counts: readonly number[], accuracy: number) {
  const { pool, label, V } = corpus(counts)
  const random = new Random(1, 'cosines')
  const rare = await rareTokens(
    pool.map(({ ids }) => ids),
    Uint32Array.from(pool, ({ d }) => d),
    V,
    turns,
  )
  const voters = Uint32Array.from(Array.from(rare.ids.keys()).filter((at) => label[rare.ids[at]] >= 0))
  const cosines = new Float64Array(voters.length * 3)
  voters.forEach((at, i) => {
    const d = random.uniform() < accuracy ? label[rare.ids[at]] : random.below(3)
    const row = [0, 1, 2].map((c) => Number(c === d) + 0.2 * random.normal())
    const mean = row.reduce((a, b) => a + b, 0) / 3
    row.forEach((value, c) => {
      cosines[i * 3 + c] = value - mean
    })
  })
  return countVotes({ rare, voters, cosines, sizes: Uint32Array.of(1500, 1500, 1500) }, turns)
}

// 200 training texts of which few share a rare word: a share's standard error is about .02
test.each([0.95, 0.8])('shares by votes of which %d are right', async (accuracy) => {
  const counts = [120, 60, 20]
  const { mixture, votes } = await voted(counts, accuracy)
  expect(votes.reduce((a, b) => a + b, 0)).toBeGreaterThan(100)
  counts.forEach((count, d) => expect(Math.abs(mixture[d] - count / 200)).toBeLessThan(0.08))
})

test('as many texts as bring so many votes', async () => {
  // two tokens of domain 0, one of domain 1, in 2 of 10 and 5 of 20 texts: m texts bring 2 (1 − e^−.2m), 1 − e^−.25m
  const rare = {
    ids: Uint32Array.of(0, 1, 2),
    offsets: Uint32Array.of(0, 1, 2, 3),
    domain: Uint32Array.of(0, 0, 1),
    texts: Uint32Array.of(2, 2, 5),
  }
  const [a, b] = [5, 3]
  const votes = Float64Array.of(2 * (1 - Math.exp(-0.2 * a)), 1 - Math.exp(-0.25 * b))
  const m = await solveTexts(votes, rare, Uint32Array.of(10, 20), 2000, turns)
  // half a vote is added to both sides
  expect(m[0]).toBeCloseTo(a, 1)
  expect(m[1]).toBeCloseTo(b, 1)
})

test('votes far from a sure trace weigh little, and near an unsure one much', () => {
  const half = (value: number) => Float64Array.of(value, value, value)
  const trace = { mixture: Float64Array.of(0.5, 0.3, 0.2), half: half(0.01) }
  const far = combineVotes(trace, Float64Array.of(0.2, 0.6, 0.2))
  expect(far.weight).toBeLessThan(0.01)
  expect(far.votes.half[0]).toBeGreaterThan(0.2)
  const near = combineVotes({ ...trace, half: half(0.4) }, Float64Array.of(0.45, 0.35, 0.2))
  expect(near.weight).toBeGreaterThan(0.9)
  near.both.half.forEach((value, d) => {
    expect(value).toBeLessThan(Math.min(0.4, near.votes.half[d]) + 1e-12)
    expect(near.both.mixture[d]).toBeCloseTo(
      near.weight * near.votes.mixture[d] + (1 - near.weight) * trace.mixture[d],
      12,
    )
  })
})
