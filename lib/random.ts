import { usageError } from './errors.js'

// Taken once: a look-up of a global is slow inside a vm context (tests, sandboxes), and these run per word.
const { imul, floor, log, exp, sqrt } = Math

// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
const multiplier0 = 0xd2511f53
const multiplier1 = 0xcd9e8d57
const weyl0 = 0x9e3779b9
const weyl1 = 0xbb67ae85
const rounds = 10

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit numbers. */
function highProduct(a: number, b: number): number {
  const a0 = a & 0xffff
  const a1 = a >>> 16
  const b0 = b & 0xffff
  const b1 = b >>> 16
  const low = imul(a0, b0) >>> 16
  const middle = (imul(a1, b0) + low) >>> 0
  const cross = (imul(a0, b1) + (middle & 0xffff)) >>> 0
  return (imul(a1, b1) + (middle >>> 16) + (cross >>> 16)) >>> 0
}

/**
 * One block of the counter-based generator Philox4x32-10: four 32-bit words that are a pure function of a 128-bit
 * counter and a 64-bit key. Words are little-endian: index 0 is the least significant.
 */
export function philox4x32(counter: ArrayLike<number>, key: ArrayLike<number>, out = new Uint32Array(4)): Uint32Array {
  let c0 = counter[0] >>> 0
  let c1 = counter[1] >>> 0
  let c2 = counter[2] >>> 0
  let c3 = counter[3] >>> 0
  let k0 = key[0] >>> 0
  let k1 = key[1] >>> 0
  for (let round = 0; round < rounds; round++) {
    const high0 = highProduct(multiplier0, c0)
    const high1 = highProduct(multiplier1, c2)
    const low0 = imul(multiplier0, c0)
    const low1 = imul(multiplier1, c2)
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1 >>> 0
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + weyl0) >>> 0
    k1 = (k1 + weyl1) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
  return out
}

/** FNV-1a with 64 bits over the UTF-8 bytes of a name. */
export function fnv1a64(name: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(name, 'utf8')) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn
  return hash
}

/**
 * Random numbers keyed by a seed and a name, so that every use has its own sequence and adding one use never shifts
 * another. Key = FNV-1a-64(name) XOR seed; counter = (index: 64 bits, stream: 64 bits), least significant word first.
 * `uint32`, `uniform`, `uniformAt`, `below`, `resample`, `shuffle` and `permutation` use integer arithmetic and exact
 * double operations only: the same numbers in any language. The others go through log, cos and exp, whose last bit
 * belongs to the platform.
 */
export class Random {
  readonly #key: Uint32Array
  readonly #counter = new Uint32Array(4)
  readonly #block = new Uint32Array(4)
  #index = 0
  #used = 4
  #spareNormal = Number.NaN

  /** Seed and stream are integers from 0 to 2^53 − 1; streams number independent sequences of one name. */
  constructor(seed: number, name: string, stream = 0) {
    for (const value of [seed, stream]) {
      if (!Number.isSafeInteger(value) || value < 0) {
        throw usageError(
          'SEED_INVALID',
          `a seed is an integer from 0 to 2^53 - 1, not ${value}`,
          { found: value },
          '--seed 0',
        )
      }
    }
    const key = fnv1a64(name) ^ BigInt(seed)
    this.#key = Uint32Array.of(Number(key & 0xffffffffn), Number(key >> 32n))
    this.#counter[2] = stream >>> 0
    this.#counter[3] = floor(stream / 2 ** 32)
  }

  #fill(index: number): void {
    this.#counter[0] = index >>> 0
    this.#counter[1] = floor(index / 2 ** 32)
    philox4x32(this.#counter, this.#key, this.#block)
  }

  /** The next word of the sequence: word `i % 4` of block `⌊i / 4⌋`. */
  uint32(): number {
    if (this.#used === 4) {
      this.#fill(this.#index++)
      this.#used = 0
    }
    return this.#block[this.#used++]
  }

  /** A double in [0, 1), a multiple of 2^-53: 27 bits of one word above 26 bits of the next. */
  uniform(): number {
    const high = this.uint32() >>> 5
    return (high * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53
  }

  /** The double in [0, 1) that belongs to item `index` alone (words 0, 1 of its block); the sequence stays as it is. */
  uniformAt(index: number): number {
    const block = philox4x32(
      [index >>> 0, floor(index / 2 ** 32), this.#counter[2], this.#counter[3]],
      this.#key,
      scratch,
    )
    return ((block[0] >>> 5) * 2 ** 26 + (block[1] >>> 6)) / 2 ** 53
  }

  /** A uniform integer in [0, n), 1 ≤ n ≤ 2^32, without bias (Lemire, "Fast random integer generation", 2019). */
  below(n: number): number {
    let word = this.uint32()
    let low = imul(word, n) >>> 0
    if (low < n) {
      const threshold = (2 ** 32 - n) % n
      while (low < threshold) {
        word = this.uint32()
        low = imul(word, n) >>> 0
      }
    }
    return n === 2 ** 32 ? word : highProduct(word, n)
  }

  /** A standard normal number (Box and Muller, 1958; both of a pair are used). */
  normal(): number {
    const spare = this.#spareNormal
    if (!Number.isNaN(spare)) {
      this.#spareNormal = Number.NaN
      return spare
    }
    const radius = sqrt(-2 * log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.#spareNormal = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** The logarithm of a Gamma(shape, 1) number, finite for any shape > 0 (Marsaglia and Tsang, 2000). */
  logGamma(shape: number): number {
    requirePositive('shape', shape)
    // Gamma(a) = Gamma(a + 1) · U^(1/a), taken in logarithms: for small shapes the number itself underflows.
    if (shape < 1) return this.logGamma(shape + 1) + log(1 - this.uniform()) / shape
    const d = shape - 1 / 3
    const c = 1 / sqrt(9 * d)
    for (;;) {
      const x = this.normal()
      const root = 1 + c * x
      if (root <= 0) continue
      const logCube = 3 * log(root)
      if (log(1 - this.uniform()) < 0.5 * x * x + d - d * root ** 3 + d * logCube) return log(d) + logCube
    }
  }

  /** A Gamma(shape, 1) number; 0 where a small shape underflows. */
  gamma(shape: number): number {
    return exp(this.logGamma(shape))
  }

  /** Shares from Dirichlet(alpha): all ≥ 0, sum 1 to rounding. */
  dirichlet(alpha: ArrayLike<number>): Float64Array {
    const shares = Float64Array.from(alpha, (shape) => this.logGamma(shape))
    const largest = shares.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    let sum = 0
    for (let i = 0; i < shares.length; i++) sum += shares[i] = exp(shares[i] - largest)
    return shares.map((share) => share / sum)
  }

  /** How often each class comes in `draws` draws with probabilities proportional to `weights` (≥ 0, not all 0). */
  multinomial(draws: number, weights: ArrayLike<number>): Uint32Array {
    const cumulative = new Float64Array(weights.length)
    let sum = 0
    for (let i = 0; i < weights.length; i++) {
      if (!(weights[i] >= 0))
        throw usageError(
          'RANDOM_ARGUMENT',
          `a weight is ${weights[i]}; it must be ≥ 0`,
          { found: weights[i] },
          'check the weights',
        )
      cumulative[i] = sum += weights[i]
    }
    requirePositive('the sum of the weights', sum)
    const counts = new Uint32Array(weights.length)
    for (let draw = 0; draw < draws; draw++) counts[firstAbove(cumulative, this.uniform() * sum)]++
    return counts
  }

  /** One bootstrap resample of n items: how often each comes in n draws with replacement. */
  resample(n: number, counts = new Uint32Array(n)): Uint32Array {
    counts.fill(0)
    for (let draw = 0; draw < n; draw++) counts[this.below(n)]++
    return counts
  }

  /** Shuffles in place (Fisher and Yates, from the end) and returns the same array. */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      const item = items[last]
      items[last] = items[other]
      items[other] = item
    }
    return items
  }

  /** The numbers 0 … n − 1 in random order. */
  permutation(n: number): Uint32Array {
    return this.shuffle(Uint32Array.from({ length: n }, (_, i) => i))
  }
}

const scratch = new Uint32Array(4)

function requirePositive(what: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw usageError(
      'RANDOM_ARGUMENT',
      `${what} is ${value}; it must be positive and finite`,
      { found: value },
      `check ${what}`,
    )
  }
}

/** The first i with cumulative[i] > x; x < the last value. */
function firstAbove(cumulative: Float64Array, x: number): number {
  let low = 0
  let high = cumulative.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (cumulative[middle] > x) high = middle
    else low = middle + 1
  }
  return low
}
