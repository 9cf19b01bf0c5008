import { cholesky, choleskySolve } from './linear-algebra.js'
import { domainLogits, whyNoClasses } from './probabilities.js'
import { countByDomain, meanByDomain, softmax } from './sums.js'
import type { Readout } from './types.js'

// Taken once: a look-up of a global is slow inside a vm context, and these run per probe and class.
const { exp, log, max } = Math

/**
 * Curvature added to the loss around t = 1, b = 0. It fixes the constant that b is free of, and keeps t finite where
 * the reference makes no mistake; four orders below the curvature that a hundred probes with a few errors give.
 */
const RIDGE = 1e-6
const ITERATIONS = 100

/** The loss at x = (t, b), its gradient and its Hessian, (D + 1) and (D + 1)². */
interface Calibration {
  loss: number
  gradient: Float64Array
  hessian: Float64Array
}

/** Logits (N × D), each probe's domain, and its weight: 1/(D·n_d), domains weighing the same. */
interface Problem {
  logits: Float64Array
  domain: Int32Array
  share: Float64Array
  D: number
}

/** softmax(t·z_i − b) into `p`; gives −log of the true domain's. */
function probe(problem: Problem, i: number, x: Float64Array, p: Float64Array): number {
  const { logits, domain, D } = problem
  let top = -Infinity
  for (let c = 0; c < D; c++) {
    p[c] = x[0] * logits[i * D + c] - x[1 + c]
    top = max(top, p[c])
  }
  const own = p[domain[i]] - top
  let sum = 0
  for (let c = 0; c < D; c++) sum += p[c] = exp(p[c] - top)
  for (let c = 0; c < D; c++) p[c] /= sum
  return log(sum) - own
}

/** Gradient of one probe's loss: ∂t = Σ_c (p_c − y_c) z_c, ∂b_c = y_c − p_c. */
function probeGradient(problem: Problem, i: number, p: Float64Array, out: Float64Array): void {
  out[0] = 0
  for (let c = 0; c < problem.D; c++) {
    const excess = p[c] - (c === problem.domain[i] ? 1 : 0)
    out[0] += excess * problem.logits[i * problem.D + c]
    out[1 + c] = -excess
  }
}

/** Σ_d mean CE(softmax(t·z − b), y) / D, plus the ridge: convex in (t, b), whose logits are affine. */
export function calibrationLoss(problem: Problem, x: Float64Array): Calibration {
  const { logits, domain, share, D } = problem
  const size = D + 1
  const gradient = new Float64Array(size)
  const hessian = new Float64Array(size * size)
  const p = new Float64Array(D)
  const one = new Float64Array(size)
  let loss = 0
  for (let i = 0; i < domain.length; i++) {
    loss += share[i] * probe(problem, i, x, p)
    probeGradient(problem, i, p, one)
    for (let a = 0; a < size; a++) gradient[a] += share[i] * one[a]
    let mean = 0
    for (let c = 0; c < D; c++) mean += p[c] * logits[i * D + c]
    for (let c = 0; c < D; c++) {
      const z = logits[i * D + c]
      hessian[0] += share[i] * p[c] * z * (z - mean)
      hessian[1 + c] -= share[i] * p[c] * (z - mean)
      for (let e = 0; e <= c; e++) {
        hessian[(1 + c) * size + 1 + e] += share[i] * p[c] * ((c === e ? 1 : 0) - p[e])
      }
    }
  }
  for (let a = 0; a < size; a++) {
    const from = a === 0 ? 1 : 0
    loss += (RIDGE / 2) * (x[a] - from) ** 2
    gradient[a] += RIDGE * (x[a] - from)
    hessian[a * size + a] += RIDGE
    for (let b = 0; b < a; b++) {
      if (b === 0) hessian[a * size] = hessian[a]
      else hessian[b * size + a] = hessian[a * size + b]
    }
  }
  return { loss, gradient, hessian }
}

/** The minimum (t, b) by Newton steps, shortened until the loss falls and t stays positive. */
export function calibrate(problem: Problem): { x: Float64Array; at: Calibration } {
  const size = problem.D + 1
  let x: Float64Array = new Float64Array(size)
  x[0] = 1
  let at = calibrationLoss(problem, x)
  for (let round = 0; round < ITERATIONS; round++) {
    const step = newtonStep(at)
    let slope = 0
    for (let a = 0; a < size; a++) slope -= step[a] * at.gradient[a]
    if (slope > -1e-18) break
    let length = step[0] > 0 ? Math.min(1, (0.9 * x[0]) / step[0]) : 1
    let moved = x
    let next = at
    for (let half = 0; half < 50; half++, length /= 2) {
      moved = x.map((value, a) => value - length * step[a])
      next = calibrationLoss(problem, moved)
      if (next.loss <= at.loss + 1e-4 * length * slope) break
    }
    if (!(next.loss < at.loss)) break
    x = moved
    at = next
  }
  return { x, at }
}

/** H⁻¹ times the gradient; the gradient itself where rounding has made the Hessian indefinite. */
function newtonStep({ gradient, hessian }: Calibration): Float64Array {
  const factor = cholesky(hessian, gradient.length)
  return factor ? choleskySolve(factor, gradient, gradient.length) : gradient
}

/**
 * The prior the reference has absorbed: bias-corrected temperature scaling of its logits on probes balanced by domain.
 * A resample is followed by one Newton step from the optimum of all probes, with that optimum's Hessian: the optimum
 * moves by O(n^-½), so what the step neglects is O(1/n).
 */
export const priorShift: Readout = {
  name: 'prior-shift',
  description: 'class prior absorbed by the reference: the bias that calibrates it on balanced probes',
  settings: () => ({}),
  why: whyNoClasses,
  prepare(stats) {
    const D = stats.domains.length
    const { domain } = stats
    const counts = countByDomain(domain, D)
    const share = Float64Array.from(domain, (d) => 1 / (D * counts[d]))
    const problem: Problem = { logits: domainLogits(stats), domain, share, D }
    const size = D + 1
    const { x, at } = calibrate(problem)
    const gradients = new Float64Array(domain.length * size)
    const p = new Float64Array(D)
    for (let i = 0; i < domain.length; i++) {
      probe(problem, i, x, p)
      probeGradient(problem, i, p, gradients.subarray(i * size, (i + 1) * size))
    }
    const means = meanByDomain(gradients, size, domain, D)
    const factor = cholesky(at.hessian, size)
    return (weights) => {
      if (!weights) return softmax(x.subarray(1))
      const drawn = meanByDomain(gradients, size, domain, D, weights)
      const change = new Float64Array(size)
      for (let j = 0; j < drawn.length; j++) change[j % size] += (drawn[j] - means[j]) / D
      const step = factor ? choleskySolve(factor, change, size) : change
      return softmax(x.subarray(1).map((value, c) => value - step[1 + c]))
    }
  },
}
