import fc from 'fast-check'
import { Random } from '../../lib/random.js'
import { cholesky, choleskySolve, cosines, nnls, symmetricEigenvalues } from '../../lib/readouts/linear-algebra.js'
import { dot, normals } from '../support/synthetic-footprints.js'

/** A Gram matrix of n random vectors of `dimensions` numbers, and inner products with one more. */
function problem(seed: number, n: number, dimensions: number) {
  const random = new Random(seed, 'algebra')
  const columns = Array.from({ length: n }, () => normals(random, dimensions).map((v) => v * Math.exp(random.normal())))
  const target = normals(random, dimensions)
  const gram = Float64Array.from({ length: n * n }, (_, i) => dot(columns[Math.floor(i / n)], columns[i % n]))
  return { gram, c: Float64Array.from(columns, (column) => dot(column, target)) }
}

function objective(gram: Float64Array, c: Float64Array, w: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < c.length; i++) {
    sum += c[i] * w[i]
    for (let j = 0; j < c.length; j++) sum += 0.5 * w[i] * w[j] * gram[i * c.length + j]
  }
  return sum
}

/** The best of the least-squares solutions over all subsets of columns that come out non-negative. */
function bruteForce(gram: Float64Array, c: Float64Array): number[] {
  const n = c.length
  let best = new Array<number>(n).fill(0)
  for (let subset = 1; subset < 2 ** n; subset++) {
    const columns = [...c.keys()].filter((i) => (subset >> i) & 1)
    const k = columns.length
    const part = Float64Array.from(columns.flatMap((i) => columns.map((j) => gram[i * n + j])))
    const factor = cholesky(part, k)
    if (!factor) continue
    const x = choleskySolve(
      factor,
      Float64Array.from(columns, (i) => -c[i]),
      k,
    )
    if (x.some((value) => value < 0)) continue
    const w = new Array<number>(n).fill(0)
    columns.forEach((i, j) => {
      w[i] = x[j]
    })
    if (objective(gram, c, w) < objective(gram, c, best)) best = w
  }
  return best
}

describe('cholesky', () => {
  test('solves a positive definite system', () => {
    const { gram, c } = problem(3, 6, 12)
    const x = choleskySolve(cholesky(gram, 6)!, c, 6)
    for (let i = 0; i < 6; i++) {
      const row = gram.subarray(6 * i, 6 * i + 6)
      expect(Math.abs(dot(row, x) - c[i])).toBeLessThan(1e-10 * Math.abs(dot(row.map(Math.abs), x.map(Math.abs))))
    }
  })

  test('refuses an indefinite matrix', () => {
    expect(cholesky(Float64Array.of(1, 2, 2, 1), 2)).toBeNull()
  })
})

describe('symmetricEigenvalues', () => {
  test('of a matrix with known ones', () => {
    // 1 on the diagonal and c beside it: 1 − c twice, and 1 + 2c
    const values = symmetricEigenvalues(Float64Array.of(1, 0.25, 0.25, 0.25, 1, 0.25, 0.25, 0.25, 1), 3)
    expect(values[0]).toBeCloseTo(0.75, 14)
    expect(values[1]).toBeCloseTo(0.75, 14)
    expect(values[2]).toBeCloseTo(1.5, 14)
  })

  test('sum and sum of squares are those of the matrix', () => {
    const { gram } = problem(5, 7, 9)
    const values = symmetricEigenvalues(gram, 7)
    const trace = gram.reduce((sum, value, i) => sum + (i % 8 === 0 ? value : 0), 0)
    expect(Math.abs(values.reduce((a, b) => a + b) / trace - 1)).toBeLessThan(1e-13)
    expect(Math.abs(dot(values, values) / dot(gram, gram) - 1)).toBeLessThan(1e-13)
  })
})

test('cosines of a Gram matrix; a zero vector is orthogonal to all', () => {
  expect([...cosines(Float64Array.of(4, 3, 0, 3, 9, 0, 0, 0, 0), 3)]).toEqual([1, 0.5, 0, 0.5, 1, 0, 0, 0, 1])
})

describe('nnls', () => {
  test('equals the best over all active sets', () => {
    const seeds = fc.integer({ min: 0, max: 2 ** 31 })
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 6, max: 12 }), (seed, n, dimensions) => {
        const { gram, c } = problem(seed, n, dimensions)
        const w = nnls(gram, c, n)
        expect(w.every((value) => value >= 0)).toBe(true)
        const best = objective(gram, c, bruteForce(gram, c))
        // The ridge of 1e-9 on unit columns raises the objective by at most 1e-9 of ½‖x‖², with ‖x‖² = Σ (w_d ‖A_d‖)².
        const ridge = 1e-9 * w.reduce((sum, value, i) => sum + value ** 2 * gram[i * n + i], 0)
        expect(objective(gram, c, w)).toBeLessThanOrEqual(best + ridge + 1e-12 * Math.abs(best))
      }),
      { numRuns: 300 },
    )
  })

  test('starting from the answer to another problem changes nothing', () => {
    for (let seed = 0; seed < 50; seed++) {
      const [one, other] = [problem(seed, 6, 12), problem(seed + 1000, 6, 12)]
      const cold = nnls(one.gram, one.c, 6)
      const warm = nnls(one.gram, one.c, 6, nnls(other.gram, other.c, 6))
      // Both solve the same normal equations over the same columns; the condition of 6 random columns stays below 1e4.
      warm.forEach((value, i) => expect(Math.abs(value - cold[i])).toBeLessThan(1e-10 * Math.max(1, ...cold)))
    }
  })

  test('equal columns share equally', () => {
    const w = nnls(Float64Array.of(1, 1, 0, 1, 1, 0, 0, 0, 1), Float64Array.of(-1, -1, -0.5), 3)
    expect(w[0]).toBeCloseTo(0.5, 6)
    expect(w[1]).toBeCloseTo(0.5, 6)
    expect(w[2]).toBeCloseTo(0.5, 6)
  })

  test('a column of zeros gets nothing; columns that point away get nothing', () => {
    expect([...nnls(Float64Array.of(0, 0, 0, 1), Float64Array.of(0, -2), 2)].map((v) => +v.toFixed(6))).toEqual([0, 2])
    expect([...nnls(Float64Array.of(1, 0, 0, 1), Float64Array.of(1, 0), 2)]).toEqual([0, 0])
  })

  test('an indefinite matrix gives finite weights', () => {
    const w = nnls(Float64Array.of(1, 2, 2, 1), Float64Array.of(-1, -1), 2)
    expect(w.every((value) => Number.isFinite(value) && value >= 0)).toBe(true)
  })
})
