/** Means within each domain, the step every readout begins with: domains weigh the same whatever their probe counts. */

/** D, probes per domain; with `weights`, their total weight. */
export function countByDomain(domain: Int32Array, domains: number, weights: Float64Array | null = null): Float64Array {
  const counts = new Float64Array(domains)
  for (let i = 0; i < domain.length; i++) counts[domain[i]] += weights ? weights[i] : 1
  return counts
}

/** D × `columns`: mean over each domain's probes of the rows of `table` (N × `columns`); NaN for an empty domain. */
export function meanByDomain(
  table: Float64Array,
  columns: number,
  domain: Int32Array,
  domains: number,
  weights: Float64Array | null = null,
): Float64Array {
  const sums = new Float64Array(domains * columns)
  const counts = new Float64Array(domains)
  for (let i = 0; i < domain.length; i++) {
    const w = weights ? weights[i] : 1
    if (w === 0) continue // a third of the probes in a resample
    const d = domain[i]
    counts[d] += w
    const to = d * columns
    const from = i * columns
    for (let j = 0; j < columns; j++) sums[to + j] += w * table[from + j]
  }
  for (let d = 0; d < domains; d++) for (let j = 0; j < columns; j++) sums[d * columns + j] /= counts[d]
  return sums
}

/** `values` scaled to sum 1; equal shares when none is positive. */
export function normalised(values: Float64Array): Float64Array {
  const total = values.reduce((sum, value) => sum + value, 0)
  return values.map((value) => (total > 0 ? value / total : 1 / values.length))
}

/** exp(values) scaled to sum 1. */
export function softmax(values: Float64Array): Float64Array {
  const top = values.reduce((most, value) => Math.max(most, value), -Infinity)
  return normalised(values.map((value) => Math.exp(value - top)))
}
