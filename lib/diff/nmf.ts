import { setImmediate as nextTurn } from 'node:timers/promises'
import { Random } from '../random.js'

export interface Factors {
  /** n × rank */
  left: Float64Array
  /** rank × m */
  right: Float64Array
  /** ‖A − left · right‖² before the first round and after each; it never rises but by rounding */
  loss: number[]
}

const tiny = 1e-12

/**
 * A ≈ left · right, all of them non-negative (Lee and Seung's multiplicative updates of the squared error). Bits depend
 * on the matrix, the rank and the seed alone. Stops when a round gains less than 1e-7 of the loss.
 * @param a n × m, row-major, non-negative
 */
export async function nonNegativeFactors(
  a: Float64Array,
  n: number,
  rank: number,
  { seed, rounds = 300, signal }: { seed: number; rounds?: number; signal?: AbortSignal },
): Promise<Factors> {
  const m = n === 0 ? 0 : a.length / n
  const mean = a.reduce((sum, value) => sum + value, 0) / Math.max(1, a.length)
  const random = new Random(seed, 'nmf')
  const size = Math.sqrt(mean / Math.max(1, rank))
  const draw = (count: number): Float64Array =>
    Float64Array.from({ length: count }, () => size * (0.5 + random.uniform()))
  const left = draw(n * rank)
  const right = draw(rank * m)
  const loss = [squaredError(a, left, right, n, rank)]
  for (let round = 0; round < rounds; round++) {
    scaleBy(right, transposedTimes(left, a, n, rank, m), gramTimes(left, right, n, rank, m))
    scaleBy(left, timesTransposed(a, right, n, rank, m), timesGram(left, right, n, rank, m))
    loss.push(squaredError(a, left, right, n, rank))
    await nextTurn()
    signal?.throwIfAborted()
    if (loss[round] - loss[round + 1] <= 1e-7 * loss[round]) break
  }
  return { left, right, loss }
}

/** x ⊙ (wanted + ε) / (had + ε): with ε on both sides the loss still cannot rise. */
function scaleBy(x: Float64Array, wanted: Float64Array, had: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] *= (wanted[i] + tiny) / (had[i] + tiny)
}

/** leftᵀ A: rank × m */
function transposedTimes(left: Float64Array, a: Float64Array, n: number, rank: number, m: number): Float64Array {
  const out = new Float64Array(rank * m)
  for (let i = 0; i < n; i++)
    for (let r = 0; r < rank; r++) {
      const factor = left[i * rank + r]
      for (let j = 0; j < m; j++) out[r * m + j] += factor * a[i * m + j]
    }
  return out
}

/** A rightᵀ: n × rank */
function timesTransposed(a: Float64Array, right: Float64Array, n: number, rank: number, m: number): Float64Array {
  const out = new Float64Array(n * rank)
  for (let i = 0; i < n; i++)
    for (let r = 0; r < rank; r++) {
      let sum = 0
      for (let j = 0; j < m; j++) sum += a[i * m + j] * right[r * m + j]
      out[i * rank + r] = sum
    }
  return out
}

/** (leftᵀ left) right */
function gramTimes(left: Float64Array, right: Float64Array, n: number, rank: number, m: number): Float64Array {
  return transposedTimes(transposedTimes(left, left, n, rank, rank), right, rank, rank, m)
}

/** left (right rightᵀ) */
function timesGram(left: Float64Array, right: Float64Array, n: number, rank: number, m: number): Float64Array {
  return timesTransposed(left, timesTransposed(right, right, rank, rank, m), n, rank, rank)
}

function squaredError(a: Float64Array, left: Float64Array, right: Float64Array, n: number, rank: number): number {
  const m = n === 0 ? 0 : a.length / n
  let total = 0
  const row = new Float64Array(m)
  for (let i = 0; i < n; i++) {
    row.fill(0)
    for (let r = 0; r < rank; r++) {
      const factor = left[i * rank + r]
      for (let j = 0; j < m; j++) row[j] += factor * right[r * m + j]
    }
    for (let j = 0; j < m; j++) total += (a[i * m + j] - row[j]) ** 2
  }
  return total
}
