// Sums, moments and lines through points, as the calibration needs them.

export const sum = (values: ArrayLike<number>) => {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]
  return total
}
export const mean = (values: ArrayLike<number>) => sum(values) / values.length

export interface Line {
  x: number
  y: number
  slope: number
  /** Σ(x − mean)² */
  spread: number
}

/** Least squares through (mean x, mean y); the slope is 0 where x does not vary. */
export function line(x: number[], y: number[]): Line {
  const middle = mean(x),
    level = mean(y)
  const spread = sum(x.map((value) => (value - middle) ** 2))
  const slope = spread > 1e-12 ? sum(x.map((value, i) => (value - middle) * (y[i] - level))) / spread : 0
  return { x: middle, y: level, slope, spread }
}

/**
 * Quantile of Student's t that 1 − (1 − level)/2 of it lie below (Cornish and Fisher's expansion about the normal's).
 */
export function student(freedom: number): number {
  const z = 1.6448536
  const g1 = (z ** 3 + z) / 4,
    g2 = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96
  return z + g1 / freedom + g2 / freedom ** 2
}

/** Mean and standard deviation. */
export function moments(values: number[]): { bias: number; deviation: number } {
  const bias = mean(values)
  return {
    bias,
    deviation: Math.sqrt(sum(values.map((value) => (value - bias) ** 2)) / Math.max(1, values.length - 1)),
  }
}
