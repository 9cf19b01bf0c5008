import type { Random } from '../../lib/random.js'
import { below, one } from './attack.js'

/** What text formats may stumble over. */
const snippets = [
  '{',
  '}',
  '[',
  ']',
  '"',
  '\\',
  ',',
  ':',
  '\n',
  '\r',
  '\t',
  '\0',
  '-',
  '0',
  '1e999',
  '-1',
  '9007199254740993',
  '1e-400',
  'null',
  'true',
  '{}',
  '[]',
  '""',
  '"__proto__":',
  '"constructor":',
  '\ufeff',
  '\ud83d',
  '\u2028',
  '\u202e',
  '[['.repeat(200),
  '{"a":'.repeat(100),
  '0'.repeat(400),
  ' '.repeat(5000),
  'é',
  '\xff',
  '../',
  '/dev/zero',
  'a'.repeat(70_000),
].map((text) => Buffer.from(text, /[\xff]/.test(text) ? 'latin1' : 'utf8'))

type Mutation = (bytes: Buffer, random: Random) => Buffer

const splice = (bytes: Buffer, at: number, gone: number, put: Uint8Array): Buffer =>
  Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + gone)])

/** Near the beginning more often than not: that is where structure is. */
function place(bytes: Buffer, random: Random): number {
  const reach = random.uniform() < 0.6 ? Math.min(bytes.length, 2000) : bytes.length
  return below(random, reach + 1)
}

const mutations: Mutation[] = [
  (bytes, random) => {
    if (bytes.length > 0) bytes[Math.min(bytes.length - 1, place(bytes, random))] ^= 1 << below(random, 8)
    return bytes
  },
  (bytes, random) => {
    if (bytes.length > 0) bytes[Math.min(bytes.length - 1, place(bytes, random))] = below(random, 256)
    return bytes
  },
  (bytes, random) => bytes.subarray(0, place(bytes, random)),
  (bytes, random) => splice(bytes, place(bytes, random), below(random, 50), Buffer.alloc(0)),
  (bytes, random) => splice(bytes, place(bytes, random), below(random, 3), one(random, snippets)),
  (bytes, random) => {
    const from = place(bytes, random)
    return splice(bytes, place(bytes, random), 0, bytes.subarray(from, from + 1 + below(random, 300)))
  },
  // a number becomes another
  (bytes, random) => {
    const text = bytes.subarray(0, 100_000).toString('latin1')
    const numbers = [...text.matchAll(/-?\d+(\.\d+)?/g)]
    if (numbers.length === 0) return bytes
    const { index, 0: found } = one(random, numbers)
    const other = one(random, [
      '0',
      '-1',
      '1',
      '2147483648',
      '4294967296',
      '9007199254740992',
      '18446744073709551615',
      '1e308',
      '0.5',
      '1e-320',
      `${found}0`,
    ])
    return splice(bytes, index, found.length, Buffer.from(other))
  },
  // a word becomes another of the same file
  (bytes, random) => {
    const text = bytes.subarray(0, 100_000).toString('latin1')
    const words = [...text.matchAll(/"[^"\\]{0,60}"/g)]
    if (words.length === 0) return bytes
    const { index, 0: found } = one(random, words)
    return splice(bytes, index, found.length, Buffer.from(one(random, words)[0], 'latin1'))
  },
  (bytes, random) => {
    const at = place(bytes, random)
    return Buffer.from(bytes.fill(0, at, Math.min(bytes.length, at + below(random, 64))))
  },
  // the eight bytes of a safetensors file's length
  (bytes, random) => {
    if (bytes.length < 8) return bytes
    bytes.writeBigUInt64LE(one(random, [0n, 1n, 8n, 2n ** 63n, 2n ** 64n - 1n, BigInt(bytes.length), 100_000_001n]), 0)
    return bytes
  },
]

/** One to four changes. */
export function mutant(bytes: Buffer, random: Random): Buffer {
  let changed = Buffer.from(bytes)
  for (let left = 1 + below(random, 4); left > 0; left--) changed = Buffer.from(one(random, mutations)(changed, random))
  return changed
}
