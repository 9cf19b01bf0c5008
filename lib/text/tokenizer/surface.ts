import { byteChars } from './byte-alphabet.js'

const bytes = new Map(byteChars.map((character, byte) => [character, byte]))

/** How a token of a vocabulary reads in a text, without the marks of word beginnings and continuations. */
export function surfaceOf(token: string): string {
  const plain = token.startsWith('##') && token.length > 2 ? token.slice(2) : token.replaceAll('▁', ' ')
  const spelled = Array.from(plain, (character) => bytes.get(character))
  if (spelled.every((byte) => byte !== undefined)) {
    const text = Buffer.from(spelled).toString('utf8')
    if (!text.includes('\ufffd')) return text.trim()
  }
  return plain.trim()
}
