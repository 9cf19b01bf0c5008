import { setImmediate as nextTurn } from 'node:timers/promises'
import { Random } from '../random.js'

export interface Clusters {
  /** n: number of each point's cluster, the largest cluster being 0 */
  of: Int32Array
  /** of clusters */
  k: number
  /** n: cosine of each point with its cluster's centre */
  cosine: Float64Array
  /** Schwarz's criterion, by k from 1 on, the least being the best; NaN where a cluster came out too small */
  criterion: number[]
}

export interface ClusterOptions {
  seed: number
  /** clusters at most */
  most: number
  /** points of a cluster at least */
  least: number
  signal?: AbortSignal
}

const starts = 6
const rounds = 40

/**
 * Directions of `n` points from their mean, every column in its own standard deviation: means of activations have a
 * large part in common and a few columns that dwarf the others.
 * @param x n × width, row-major
 */
export function directions(x: Float64Array, n: number): Float64Array {
  const width = n === 0 ? 0 : x.length / n
  const out = Float64Array.from(x)
  for (let j = 0; j < width; j++) {
    let mean = 0
    for (let i = 0; i < n; i++) mean += x[i * width + j] / n
    let square = 0
    for (let i = 0; i < n; i++) square += (x[i * width + j] - mean) ** 2 / n
    const scale = square > 0 ? 1 / Math.sqrt(square) : 0
    for (let i = 0; i < n; i++) out[i * width + j] = (x[i * width + j] - mean) * scale
  }
  for (let i = 0; i < n; i++) unit(out.subarray(i * width, (i + 1) * width))
  return out
}

/** Of subspace iteration: rounds at most, and the share of the variance below which a round gains nothing. */
const iterations = 100
const settled = 1e-6

/**
 * Where the points lie along the `rank` directions in which they differ most, rows of length one: subspace iteration
 * (Golub and Van Loan, 8.2). What is left out is mostly noise, of which there are more columns than texts.
 * @param x n × width, its columns of mean 0
 */
export async function principal(
  x: Float64Array,
  n: number,
  { rank, seed, signal }: { rank: number; seed: number; signal?: AbortSignal },
): Promise<Float64Array> {
  const width = n === 0 ? 0 : x.length / n
  const columns = Math.min(rank, width, n)
  const random = new Random(seed, 'principal')
  let basis = Float64Array.from({ length: columns * width }, () => random.normal())
  let before = 0
  for (let round = 0; ; round++) {
    orthonormal(basis, columns, width)
    const along = new Float64Array(n * columns)
    for (let i = 0; i < n; i++) for (let c = 0; c < columns; c++) along[i * columns + c] = dot(x, i, basis, c, width)
    const variance = along.reduce((sum, value) => sum + value * value, 0)
    if (round === iterations || variance - before <= settled * variance) {
      for (let i = 0; i < n; i++) unit(along.subarray(i * columns, (i + 1) * columns))
      return along
    }
    before = variance
    basis = new Float64Array(columns * width)
    for (let i = 0; i < n; i++)
      for (let c = 0; c < columns; c++)
        for (let j = 0; j < width; j++) basis[c * width + j] += along[i * columns + c] * x[i * width + j]
    await nextTurn()
    signal?.throwIfAborted()
  }
}

/** Gram and Schmidt, each row twice: the second time takes off what rounding left. */
function orthonormal(rows: Float64Array, count: number, width: number): void {
  for (let r = 0; r < count; r++) {
    const row = rows.subarray(r * width, (r + 1) * width)
    for (let again = 0; again < 2; again++) {
      for (let p = 0; p < r; p++) {
        const product = dot(rows, r, rows, p, width)
        for (let j = 0; j < width; j++) row[j] -= product * rows[p * width + j]
      }
      unit(row)
    }
  }
}

function unit(row: Float64Array): void {
  let square = 0
  for (const value of row) square += value * value
  if (square > 0) for (let j = 0; j < row.length; j++) row[j] /= Math.sqrt(square)
}

/**
 * Spherical k-means (Dhillon and Modha, 2001) with starts as k-means++ draws them, the best of several; k by Schwarz's
 * criterion of as many normal distributions with one variance in all columns (Pelleg and Moore, 2000), among those k of
 * which every cluster has `least` points. Depends on the points and the seed alone.
 * @param x n × width, rows of length one
 */
export async function cluster(x: Float64Array, n: number, options: ClusterOptions): Promise<Clusters> {
  const criterion: number[] = []
  let best: Clusters = { of: new Int32Array(n), k: 1, cosine: new Float64Array(n).fill(1), criterion }
  for (let k = 1; k <= Math.min(options.most, Math.max(1, Math.floor(n / options.least))); k++) {
    const found = await kMeans(x, n, k, options)
    const sizes = Array.from({ length: k }, (_, c) => found.of.filter((own) => own === c).length)
    const value = schwarz(found.fit, sizes, n, x.length / n)
    criterion.push(k === 1 || Math.min(...sizes) >= options.least ? value : NaN)
    if (k === 1 || criterion[k - 1] < criterion[best.k - 1]) best = { ...bySize(found, sizes), k, criterion }
  }
  return best
}

/** −2 log L + parameters · log n: of rows of length one, Σ ‖x − c‖² = 2 (n − Σ cosine). */
function schwarz(fit: number, sizes: readonly number[], n: number, width: number): number {
  const k = sizes.length
  if (n <= k) return 0 // nothing is left to tell a spread by
  const freedom = (n - k) * width
  const variance = Math.max((2 * (n - fit)) / freedom, 1e-12)
  const shares = sizes.reduce((sum, size) => sum + (size > 0 ? size * Math.log(size / n) : 0), 0)
  const logLikelihood = shares - (n * width * Math.log(2 * Math.PI * variance)) / 2 - freedom / 2
  return -2 * logLikelihood + k * (width + 1) * Math.log(n)
}

interface Found {
  of: Int32Array
  cosine: Float64Array
  /** Σ cosine */
  fit: number
}

async function kMeans(x: Float64Array, n: number, k: number, { seed, signal }: ClusterOptions): Promise<Found> {
  let best: Found | undefined
  for (let start = 0; start < starts; start++) {
    const random = new Random(seed, `clusters/${k}`, start)
    const centres = drawCentres(x, n, k, random)
    let found = assign(x, n, centres, k)
    for (let round = 0; round < rounds; round++) {
      moveCentres(x, n, centres, k, found)
      const next = assign(x, n, centres, k)
      const same = next.of.every((own, i) => own === found.of[i])
      found = next
      await nextTurn()
      signal?.throwIfAborted()
      if (same) break
    }
    if (!best || found.fit > best.fit) best = found
  }
  return best!
}

/** The first centre by chance, each further one with a probability as its distance from those there are. */
function drawCentres(x: Float64Array, n: number, k: number, random: Random): Float64Array {
  const width = x.length / n
  const centres = new Float64Array(k * width)
  const distance = new Float64Array(n).fill(1)
  for (let c = 0; c < k; c++) {
    const sum = distance.reduce((a, b) => a + b, 0)
    let at = sum * random.uniform()
    let chosen = 0
    while (chosen < n - 1 && (at -= distance[chosen]) >= 0) chosen++
    centres.set(x.subarray(chosen * width, (chosen + 1) * width), c * width)
    for (let i = 0; i < n; i++) distance[i] = Math.min(distance[i], Math.max(0, 1 - dot(x, i, centres, c, width)))
  }
  return centres
}

function dot(a: Float64Array, i: number, b: Float64Array, j: number, width: number): number {
  let sum = 0
  for (let w = 0; w < width; w++) sum += a[i * width + w] * b[j * width + w]
  return sum
}

function assign(x: Float64Array, n: number, centres: Float64Array, k: number): Found {
  const width = x.length / n
  const of = new Int32Array(n)
  const cosine = new Float64Array(n)
  let fit = 0
  for (let i = 0; i < n; i++) {
    let own = -Infinity
    for (let c = 0; c < k; c++) {
      const value = dot(x, i, centres, c, width)
      if (value > own) [own, of[i]] = [value, c]
    }
    cosine[i] = own
    fit += own
  }
  return { of, cosine, fit }
}

/** Centres of their points; one without a point goes to the point that is worst off. */
function moveCentres(x: Float64Array, n: number, centres: Float64Array, k: number, { of, cosine }: Found): void {
  const width = x.length / n
  const counts = new Float64Array(k)
  centres.fill(0)
  for (let i = 0; i < n; i++) {
    counts[of[i]]++
    for (let w = 0; w < width; w++) centres[of[i] * width + w] += x[i * width + w]
  }
  const taken = new Set<number>()
  for (let c = 0; c < k; c++) {
    if (counts[c] === 0) {
      let worst = -1
      for (let i = 0; i < n; i++) if (!taken.has(i) && (worst < 0 || cosine[i] < cosine[worst])) worst = i
      taken.add(worst)
      centres.set(x.subarray(worst * width, (worst + 1) * width), c * width)
    }
    unit(centres.subarray(c * width, (c + 1) * width))
  }
}

function bySize({ of, cosine }: Found, sizes: readonly number[]): Pick<Clusters, 'of' | 'cosine'> {
  const order = [...sizes.keys()].sort((a, b) => sizes[b] - sizes[a] || a - b)
  const place = order.map((_, c) => order.indexOf(c))
  return { of: of.map((c) => place[c]), cosine }
}
