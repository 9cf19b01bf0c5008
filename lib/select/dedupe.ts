import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { RunOptions } from '../native/task.js'

/** Hash functions of a signature, and how many of them make a band: 0.8 of common words is found with 0.998. */
const functions = 64
const bandRows = 4
const shingle = 3

/** Remembers documents and says whether one has been there already. The first of a kind stays. */
export class Repeats {
  readonly #seen = new Set<string>()
  readonly #bands = Array.from({ length: functions / bandRows }, () => new Map<string, number>())
  readonly #signatures: Uint32Array[] = []

  constructor(readonly how: 'exact' | 'minhash') {}

  /** @returns whether the text, but for case and blanks, or about its words, has been there */
  has(text: string): boolean {
    const plain = text.toLowerCase().split(/\s+/).filter(Boolean)
    const digest = createHash('sha256').update(plain.join(' ')).digest('base64')
    if (this.#seen.has(digest)) return true
    this.#seen.add(digest)
    return this.how === 'minhash' && this.#near(plain)
  }

  #near(words: string[]): boolean {
    const signature = signatureOf(words)
    const keys = this.#bands.map((_, b) => signature.subarray(b * bandRows, (b + 1) * bandRows).join())
    for (const [b, key] of keys.entries()) {
      const other = this.#bands[b].get(key)
      if (other !== undefined && similarity(signature, this.#signatures[other]) >= 0.8) return true
    }
    const own = this.#signatures.push(signature) - 1
    keys.forEach((key, b) => {
      if (!this.#bands[b].has(key)) this.#bands[b].set(key, own)
    })
    return false
  }
}

/** The share of equal minima estimates the share of common shingles (Broder, 1997). */
function similarity(a: Uint32Array, b: Uint32Array): number {
  return a.reduce((sum, value, i) => sum + (value === b[i] ? 1 : 0), 0) / functions
}

function signatureOf(words: string[]): Uint32Array {
  const signature = new Uint32Array(functions).fill(0xffffffff)
  for (let i = 0; i <= Math.max(0, words.length - shingle); i++) {
    const digest = createHash('md5')
      .update(words.slice(i, i + shingle).join(' '))
      .digest()
    const [a, b] = [digest.readUInt32LE(0), digest.readUInt32LE(4) | 1]
    for (let f = 0; f < functions; f++) {
      const value = (a + Math.imul(f, b)) >>> 0
      const mixed = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d) >>> 0
      if (mixed < signature[f]) signature[f] = mixed
    }
  }
  return signature
}

/** Takes repeated documents out of `allowed`; returns how many. */
export async function dropRepeats(
  texts: AsyncIterable<string[]>,
  how: 'exact' | 'minhash',
  allowed: Uint8Array,
  { signal }: RunOptions = {},
): Promise<number> {
  const repeats = new Repeats(how)
  let dropped = 0
  let i = 0
  for await (const some of texts)
    for (const text of some) {
      if (allowed[i] === 1 && repeats.has(text)) {
        allowed[i] = 0
        dropped++
      }
      if (i++ % 256 !== 255) continue
      await setImmediate()
      signal?.throwIfAborted()
    }
  return dropped
}
