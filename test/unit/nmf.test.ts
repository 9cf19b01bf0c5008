import { nonNegativeFactors } from '../../lib/diff/nmf.js'
import { Random } from '../../lib/random.js'

const matrix = (n: number, m: number, name: string): Float64Array => {
  const random = new Random(2, name)
  return Float64Array.from({ length: n * m }, () => (random.uniform() < 0.4 ? 0 : random.uniform()))
}

test.each([
  [1, 1, 1],
  [7, 5, 3],
  [30, 30, 8],
  [4, 40, 6],
])('%d × %d by rank %d: non-negative, and the loss never rises', async (n, m, rank) => {
  const { left, right, loss } = await nonNegativeFactors(matrix(n, m, 'a'), n, rank, { seed: 1 })
  expect([...left, ...right].every((value) => value >= 0 && Number.isFinite(value))).toBe(true)
  expect(loss.length).toBeGreaterThan(1)
  // but by rounding: a sum of n·m squares in float64
  for (let i = 1; i < loss.length; i++) expect(loss[i]).toBeLessThanOrEqual(loss[i - 1]! * (1 + 1e-13 * n * m) + 1e-25)
})

test('the same again for the same seed, another for another', async () => {
  const a = matrix(20, 15, 'b')
  const first = await nonNegativeFactors(a, 20, 4, { seed: 3 })
  expect(await nonNegativeFactors(a, 20, 4, { seed: 3 })).toEqual(first)
  expect((await nonNegativeFactors(a, 20, 4, { seed: 4 })).left).not.toEqual(first.left)
})

test('a matrix of that rank is found, its blocks apart', async () => {
  const n = 12
  const blocks = Float64Array.from({ length: n * n }, (_, i) =>
    Math.floor(Math.floor(i / n) / 4) === Math.floor((i % n) / 4) ? 1 : 0,
  )
  const { left, loss } = await nonNegativeFactors(blocks, n, 3, { seed: 0, rounds: 2000 })
  expect(loss.at(-1)!).toBeLessThan(1e-3 * loss[0]!)
  const largest = Array.from({ length: n }, (_, i) => {
    const row = [...left.subarray(i * 3, i * 3 + 3)]
    return row.indexOf(Math.max(...row))
  })
  for (let i = 0; i < n; i++) expect(largest[i]).toBe(largest[4 * Math.floor(i / 4)])
  expect(new Set(largest).size).toBe(3)
})

test('zeros and nothing', async () => {
  const { left, loss } = await nonNegativeFactors(new Float64Array(9), 3, 2, { seed: 0 })
  expect([...left].every(Number.isFinite)).toBe(true)
  expect(loss.at(-1)).toBe(0)
})
