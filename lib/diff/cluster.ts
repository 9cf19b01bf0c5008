import { setImmediate as nextTurn } from 'node:timers/promises'
import { Random } from '../random.js'

export interface Clusters {
  /** n: number of each point's cluster, the largest cluster being 0 */
  of: Int32Array
  /** of clusters */
  k: number
  /** n: cosine of each point with its cluster's centre */
  cosine: Float64Array
  /** simplified silhouette, by k from 2 on; NaN where a cluster came out too small */
  silhouette: number[]
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

function unit(row: Float64Array): void {
  let square = 0
  for (const value of row) square += value * value
  if (square > 0) for (let j = 0; j < row.length; j++) row[j] /= Math.sqrt(square)
}

/**
 * Spherical k-means (Dhillon and Modha, 2001) with starts as k-means++ draws them, the best of several; k by the mean
 * silhouette with distances 1 − cosine to centres instead of to points (Hruschka et al., 2004), among those k of which
 * every cluster has `least` points. Where there is none: one cluster. Depends on the points and the seed alone.
 * @param x n × width, rows of length one
 */
export async function cluster(x: Float64Array, n: number, options: ClusterOptions): Promise<Clusters> {
  const one: Clusters = { of: new Int32Array(n), k: 1, cosine: new Float64Array(n).fill(1), silhouette: [] }
  let best = one
  for (let k = 2; k <= Math.min(options.most, Math.floor(n / options.least)); k++) {
    const found = await kMeans(x, n, k, options)
    const sizes = Array.from({ length: k }, (_, c) => found.of.filter((own) => own === c).length)
    const fits = Math.min(...sizes) >= options.least
    one.silhouette.push(fits ? found.silhouette : NaN)
    if (fits && (best === one || found.silhouette > best.silhouette[best.k - 2])) {
      best = { ...bySize(found, sizes), k, silhouette: one.silhouette }
    }
  }
  return best
}

interface Found {
  of: Int32Array
  cosine: Float64Array
  /** Σ cosine */
  fit: number
  silhouette: number
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
  let silhouette = 0
  for (let i = 0; i < n; i++) {
    let [own, next] = [-Infinity, -Infinity]
    for (let c = 0; c < k; c++) {
      const value = dot(x, i, centres, c, width)
      if (value > own) {
        ;[own, next, of[i]] = [value, own, c]
      } else if (value > next) next = value
    }
    cosine[i] = own
    fit += own
    const [near, far] = [Math.max(0, 1 - own), Math.max(0, 1 - next)]
    silhouette += far > 0 ? (far - near) / far / n : 0
  }
  return { of, cosine, fit, silhouette }
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
