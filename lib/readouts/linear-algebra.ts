/** Small dense matrices, row-major in a Float64Array; n is the number of domains or classes, so nothing is blocked. */

/**
 * Lower Cholesky factor of the symmetric n × n matrix `a` (its lower triangle is read), or null when a pivot does not
 * exceed `floor`: the matrix is then singular, or indefinite, to that accuracy.
 */
export function cholesky(a: Float64Array, n: number, floor = 0): Float64Array | null {
  const l = new Float64Array(n * n)
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = a[i * n + j]
      for (let k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k]
      if (i > j) l[i * n + j] = sum / l[j * n + j]
      else if (sum > floor) l[j * n + j] = Math.sqrt(sum)
      else return null
    }
  }
  return l
}

/** Solves L Lᵀ x = b. */
export function choleskySolve(l: Float64Array, b: Float64Array, n: number): Float64Array {
  const x = Float64Array.from(b)
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] -= l[i * n + k] * x[k]
    x[i] /= l[i * n + i]
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= l[k * n + i] * x[k]
    x[i] /= l[i * n + i]
  }
  return x
}

/**
 * Eigenvalues of the symmetric n × n matrix `a`, ascending, by cyclic Jacobi rotations: slow for large n, but small
 * eigenvalues of a Gram matrix come out as accurate as its entries allow.
 */
export function symmetricEigenvalues(a: Float64Array, n: number): Float64Array {
  const m = Float64Array.from(a)
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0
    let all = 0
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        all += m[i * n + j] ** 2
        if (i !== j) off += m[i * n + j] ** 2
      }
    // An eigenvalue errs by the square of what is left off the diagonal.
    if (off <= 1e-22 * all) break
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(m, n, p, q)
  }
  return Float64Array.from({ length: n }, (_, i) => m[i * n + i]).sort()
}

/** One Jacobi rotation that makes entry (p, q) zero; columns of `vectors` are turned along. */
function rotate(m: Float64Array, n: number, p: number, q: number, vectors?: Float64Array): void {
  const apq = m[p * n + q]
  if (apq === 0) return
  const theta = (m[q * n + q] - m[p * n + p]) / (2 * apq)
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1))
  const c = 1 / Math.hypot(t, 1)
  const s = t * c
  for (let k = 0; k < n; k++) {
    const kp = m[k * n + p]
    const kq = m[k * n + q]
    m[k * n + p] = c * kp - s * kq
    m[k * n + q] = s * kp + c * kq
  }
  for (let k = 0; k < n; k++) {
    const pk = m[p * n + k]
    const qk = m[q * n + k]
    m[p * n + k] = c * pk - s * qk
    m[q * n + k] = s * pk + c * qk
  }
  for (let k = 0; vectors && k < n; k++) {
    const kp = vectors[k * n + p]
    const kq = vectors[k * n + q]
    vectors[k * n + p] = c * kp - s * kq
    vectors[k * n + q] = s * kp + c * kq
  }
}

/**
 * The symmetric n × n matrix `a` with every eigenvalue raised to at least `share` of the largest (its eigenvectors
 * stay): what a Gram matrix estimated with noise needs to be one.
 */
export function liftSpectrum(a: Float64Array, n: number, share: number): Float64Array {
  const m = Float64Array.from(a)
  const vectors = new Float64Array(n * n)
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) off += m[i * n + j] ** 2
    if (off === 0) break
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(m, n, p, q, vectors)
  }
  const values = Float64Array.from({ length: n }, (_, i) => m[i * n + i])
  const floor = share * Math.max(0, ...values)
  if (values.every((value) => value >= floor)) return Float64Array.from(a)
  const out = new Float64Array(n * n)
  for (let k = 0; k < n; k++) {
    const value = Math.max(values[k], floor)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) out[i * n + j] += value * vectors[i * n + k] * vectors[j * n + k]
  }
  return out
}

/** Matrix of cosines from a Gram matrix; a vector of length zero has cosine 0 with every other and 1 with itself. */
export function cosines(gram: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n)
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const scale = Math.sqrt(gram[i * n + i] * gram[j * n + j])
      out[i * n + j] = i === j ? 1 : scale > 0 ? gram[i * n + j] / scale : 0
    }
  return out
}

/**
 * Added to the diagonal of the normalised Gram matrix in `nnls`. Gradients come from float32 arithmetic, so their
 * cosines are no better than 1e-7: the ridge is below that, and makes the minimum unique, so that equal domains share
 * equally instead of by their order.
 */
const RIDGE = 1e-9

/**
 * Non-negative least squares in Gram form: the w ≥ 0 that minimises ½ wᵀGw + cᵀw, that is ‖δ + Σ w_d A_d‖² with
 * G = ⟨A_d, A_d'⟩ and c = ⟨A_d, δ⟩. Active-set method of Lawson and Hanson on unit-length columns. A column of length
 * zero gets weight 0. Where G is indefinite beyond rounding (a resample's may be), a column that cannot be factored
 * beside the chosen ones stays at 0. `start` (w ≥ 0), the answer to a similar problem, saves time and changes nothing.
 */
export function nnls(gram: Float64Array, c: Float64Array, n: number, start?: Float64Array): Float64Array {
  const scale = Float64Array.from({ length: n }, (_, i) => Math.sqrt(Math.max(gram[i * n + i], 0)))
  const r = cosines(gram, n)
  for (let i = 0; i < n; i++) r[i * n + i] += RIDGE
  const b = Float64Array.from(c, (value, i) => (scale[i] > 0 ? -value / scale[i] : 0))
  const tolerance = 1e-13 * b.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const x = new Float64Array(n)
  const barred = new Set<number>()
  let passive: number[] = []
  if (start) {
    for (let i = 0; i < n; i++) x[i] = start[i] * scale[i]
    passive =
      descend(
        r,
        b,
        n,
        x,
        [...x.keys()].filter((i) => x[i] > 0),
      ) ?? []
    if (passive.length === 0) x.fill(0)
  }
  // Each round lowers the objective or bars a column, so it ends; the bound only guards against rounding.
  for (let round = 0; round < 10 * n + 10; round++) {
    let best = -1
    let steepest = tolerance
    for (let i = 0; i < n; i++) {
      if (scale[i] === 0 || barred.has(i) || passive.includes(i)) continue
      let slope = b[i]
      for (const j of passive) slope -= r[i * n + j] * x[j]
      if (slope > steepest) [best, steepest] = [i, slope]
    }
    if (best < 0) break
    const next = descend(r, b, n, x, [...passive, best])
    if (next) passive = next
    if (!next?.includes(best)) barred.add(best)
  }
  return x.map((value, i) => (scale[i] > 0 ? value / scale[i] : 0))
}

/**
 * Moves x to the minimum over the columns of `passive`, dropping those that would turn negative on the way. Gives the
 * columns left, or null, with x untouched, when they are linearly dependent.
 */
function descend(r: Float64Array, b: Float64Array, n: number, x: Float64Array, passive: number[]): number[] | null {
  while (passive.length > 0) {
    const target = solveSubset(r, b, n, passive)
    if (!target) return null
    let step = 1
    let blocking = -1
    passive.forEach((i, k) => {
      const reach = target[k] > 0 ? 1 : x[i] / (x[i] - target[k])
      if (target[k] <= 0 && !(reach > step)) [step, blocking] = [Number.isFinite(reach) ? reach : 0, i]
    })
    passive.forEach((i, k) => {
      x[i] += step * (target[k] - x[i])
    })
    const kept = passive.filter((i) => i !== blocking)
    if (blocking >= 0) x[blocking] = 0
    if (kept.length === passive.length) return kept
    passive = kept
  }
  return passive
}

function solveSubset(r: Float64Array, b: Float64Array, n: number, columns: number[]): Float64Array | null {
  const k = columns.length
  const sub = new Float64Array(k * k)
  for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) sub[i * k + j] = r[columns[i] * n + columns[j]]
  const factor = cholesky(sub, k, RIDGE / 10)
  return (
    factor &&
    choleskySolve(
      factor,
      Float64Array.from(columns, (i) => b[i]),
      k,
    )
  )
}
