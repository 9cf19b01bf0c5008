import { bernstein, falsePositives, pilotDecay } from '../../lib/trace/noise.js'
import { inOneStep } from '../../lib/trace/order.js'
import { judging, trained, undecided, type RowJudgement } from '../../lib/trace/rows.js'
import { Random } from '../../lib/random.js'
import {
  baseValues,
  hidden,
  naiveSums,
  positions,
  stored,
  trainedTables,
  trainings,
  vocabulary,
} from '../support/trace-tables.js'

type Dtype = 'F32' | 'F16' | 'BF16'
const base = baseValues(vocabulary * hidden, 1)

function judge(reference: Float32Array, dtype: Dtype, from = base, baseDtype: Dtype = 'F32'): RowJudgement {
  const file = stored(reference, dtype),
    start = stored(from, baseDtype)
  const alpha = pilotDecay(naiveSums(start, file, hidden, 0, dtype))
  return inOneStep(
    judging(naiveSums(start, file, hidden, alpha, dtype), hidden, alpha, { base: baseDtype, reference: dtype }),
  )
}

function compare(judged: RowJudgement, tokens: number[]) {
  const truth = new Set(tokens)
  let falsePositive = 0,
    missed = 0
  judged.state.forEach((state, v) => {
    if (state === trained && !truth.has(v)) falsePositive++
    if (state !== trained && truth.has(v)) missed++
  })
  return { falsePositive, missed }
}

describe.each(trainings().filter(({ name }) => name !== 'adam-l2'))('$name', ({ name, tokens, longest }) => {
  const tables = trainedTables(name)

  test.each(['F32', 'F16', 'BF16'] as Dtype[])('finds the tokens of the training texts, stored as %s', (dtype) => {
    const judged = judge(tables.tokens, dtype)
    const { falsePositive, missed } = compare(judged, tokens)
    // the bound is one false positive in a thousand tables; F32 must be exact, F16 find 99 of 100
    expect(falsePositive).toBe(0)
    expect(missed).toBeLessThanOrEqual(dtype === 'F32' ? 0 : tokens.length / 100)
    if (dtype === 'F32') expect(judged.verdict).toBe('exact')
    expect(judged.expectedMissed).toBeGreaterThanOrEqual(0)
    if (missed > 0) expect(judged.verdict).toBe('noisy')
  })

  test.each(['F32', 'F16', 'BF16'] as Dtype[])('finds the longest training text, stored as %s', (dtype) => {
    const start = baseValues(positions * hidden, 2)
    const judged = judge(tables.positions, dtype, start)
    expect(judged.state.lastIndexOf(trained) + 1).toBe(longest)
    expect(judged.counts.trained).toBe(longest)
  })
})

test('the decay is the product of the steps', () => {
  // AdamW: (1 − lr·wd)^40 − 1 with lr 1e-3, wd 0.01; each step rounds by at most half a spacing, 2^-24 of the value
  const expected = (1 - 1e-5) ** 40 - 1
  expect(Math.abs(judge(trainedTables('adamw-decay').tokens, 'F32').decay - expected)).toBeLessThan(40 * 2 ** -24)
  expect(judge(trainedTables('adam').tokens, 'F32').decay).toBe(0)
})

test('a base stored coarser than it was trained from is told apart as well', () => {
  for (const { name, tokens } of trainings().slice(0, 3)) {
    const judged = judge(trainedTables(name).tokens, 'BF16', base, 'BF16')
    expect(compare(judged, tokens).falsePositive).toBe(0)
    const fine = judge(trainedTables(name).tokens, 'F32', base, 'BF16')
    expect(compare(fine, tokens).falsePositive).toBe(0)
  }
})

describe('says none', () => {
  test('when weight decay was part of the gradient: Adam with L2 moves every row', () => {
    for (const dtype of ['F32', 'F16', 'BF16'] as Dtype[]) {
      const judged = judge(trainedTables('adam-l2').tokens, dtype)
      expect(judged).toMatchObject({ verdict: 'none', counts: { trained: 0, untrained: 0, undecided: vocabulary } })
      expect(judged.reason).toMatch(/every row moved|no gap/)
    }
  })
  test('when every row moved by its own amount: a tied output layer', () => {
    const random = new Random(1, 'test')
    for (const size of [1e-6, 1e-4, 1e-2]) {
      const moved = base.map((value) => value + size * random.normal())
      expect(judge(moved, 'F32').verdict).toBe('none')
    }
  })
  test('when the table was frozen', () => {
    for (const dtype of ['F32', 'F16', 'BF16'] as Dtype[]) expect(judge(base, dtype).reason).toMatch('frozen')
  })
  test('when there was only decay', () => {
    expect(
      judge(
        base.map((value) => value * (1 - 1e-3)),
        'F32',
      ).reason,
    ).toMatch('no token was trained')
  })
})

test('hidden rows are reported as noisy, not as untrained for certain', () => {
  // rows that move by a third of a bfloat's spacing in a few elements and by more in few: many of them stay below the
  // noise
  const random = new Random(2, 'test')
  const moved = base.slice()
  for (let v = 0; v < 600; v++) {
    const size = 2e-5 * Math.exp(1.5 * random.normal())
    for (let j = 0; j < hidden; j++) moved[v * hidden + j] += size * random.normal()
  }
  const judged = judge(moved, 'BF16')
  expect(judged.verdict).toBe('noisy')
  expect(judged.expectedMissed).toBeGreaterThan(1)
  expect(judged.counts.undecided).toBeGreaterThan(0)
  expect(judged.state.filter((state) => state === undecided).length).toBe(judged.counts.undecided)
  expect(judged.state.subarray(600).filter((state) => state === trained).length).toBe(0)
})

test('the threshold keeps its promise for rounding noise', () => {
  // 20 000 rows of 32 uniform errors: at most 1e-3 expected above the threshold for as many rows
  const random = new Random(3, 'test')
  const threshold = bernstein({ mean: 1 / 12, variance: 1 / 180, bound: 1 / 4 }, hidden, 20_000)
  let above = 0,
    loose = 0
  for (let v = 0; v < 20_000; v++) {
    let sum = 0
    for (let j = 0; j < hidden; j++) sum += (random.uniform() - 0.5) ** 2
    if (sum / hidden > threshold) above++
    if (sum / hidden > 1 / 12 + 3 * Math.sqrt(1 / 180 / hidden)) loose++
  }
  expect(falsePositives).toBe(1e-3)
  expect(above).toBe(0)
  expect(loose).toBeGreaterThan(0) // three standard deviations would not do
})

test('a table whose every row moved is judged in many steps', () => {
  const random = new Random(11, 'steps')
  const reference = base.map((value) => value + 1e-4 * random.normal())
  const steps = judging(naiveSums(base, reference, hidden, 0, 'F32'), hidden, 0, { base: 'F32', reference: 'F32' })
  let turns = 0
  for (let step = steps.next(); !step.done; step = steps.next()) turns++
  expect(turns).toBeGreaterThan(2)
})
