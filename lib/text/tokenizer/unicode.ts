import * as tables from './unicode-tables.js'

const codePoints = 0x110000
const hangulFirst = 0xac00
const hangulCount = 11172

/** The numbers of one table of unicode-tables.ts: base-32 digits, least significant first, bit 5 says "more". */
function* numbers(text: string): Generator<number> {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const digitOf = new Uint8Array(128)
  for (let i = 0; i < digits.length; i++) digitOf[digits.charCodeAt(i)] = i
  let value = 0
  let unit = 1
  for (let i = 0; i < text.length; i++) {
    const digit = digitOf[text.charCodeAt(i)]
    value += (digit & 31) * unit
    unit *= 32
    if (digit >= 32) continue
    yield value
    value = 0
    unit = 1
  }
}

const signed = (n: number): number => (n & 1 ? -((n + 1) / 2) : n / 2)

function forEachRange(set: string, visit: (begin: number, end: number) => void): void {
  const stream = numbers(set)
  let last = 0
  for (let gap = stream.next(); !gap.done; gap = stream.next()) {
    const begin = last + gap.value
    last = begin + (stream.next().value as number) + 1
    visit(begin, last)
  }
}

/** One byte per code point; bit i is set for the members of `sets[i]`. 1.1 MB, but untouched pages cost nothing. */
export function flagsOf(sets: readonly string[]): Uint8Array {
  const flags = new Uint8Array(codePoints)
  sets.forEach((set, bit) => {
    forEachRange(set, (begin, end) => {
      for (let c = begin; c < end; c++) flags[c] |= 1 << bit
    })
  })
  return flags
}

/** Per-character lower case as Rust has it: without context, so a final sigma stays U+03C3. */
export function lowerCaseMap(): Map<number, readonly number[]> {
  const map = new Map<number, readonly number[]>([[0x130, [0x69, 0x307]]])
  const stream = numbers(tables.lowerCase)
  let last = 0
  for (let gap = stream.next(); !gap.done; gap = stream.next()) {
    const begin = last + gap.value
    const count = (stream.next().value as number) + 1
    const step = (stream.next().value as number) + 1
    const shift = signed(stream.next().value as number)
    last = begin + (count - 1) * step
    for (let c = begin; c <= last; c += step) map.set(c, [c + shift])
  }
  return map
}

/** Full canonical decompositions (Hangul syllables are not in the map: see `decomposeHangul`). */
export function decompositionMap(): Map<number, readonly number[]> {
  const map = new Map<number, readonly number[]>()
  const stream = numbers(tables.decomposition)
  let point = 0
  for (let gap = stream.next(); !gap.done; gap = stream.next()) {
    point += gap.value
    const parts: number[] = []
    for (let n = stream.next().value as number; n >= 0; n--) parts.push(point + signed(stream.next().value as number))
    map.set(point, parts)
  }
  return map
}

/** Canonical combining classes above zero. */
export function combiningClassMap(): Map<number, number> {
  const map = new Map<number, number>()
  const stream = numbers(tables.combiningClass)
  let last = 0
  for (let gap = stream.next(); !gap.done; gap = stream.next()) {
    const begin = last + gap.value
    last = begin + (stream.next().value as number) + 1
    const rank = stream.next().value as number
    for (let c = begin; c < last; c++) map.set(c, rank)
  }
  return map
}

export const isHangulSyllable = (c: number): boolean => c >= hangulFirst && c < hangulFirst + hangulCount

/** The two or three jamo of a Hangul syllable (The Unicode Standard, section 3.12). */
export function decomposeHangul(c: number): readonly number[] {
  const index = c - hangulFirst
  const trailing = index % 28
  const leadingVowel = [0x1100 + Math.floor(index / 588), 0x1161 + Math.floor((index % 588) / 28)]
  return trailing ? [...leadingVowel, 0x11a7 + trailing] : leadingVowel
}

/** Membership of one set, decoded once. */
export function lazySet(set: string): (c: number) => boolean {
  let flags: Uint8Array | undefined
  return (c) => (flags ??= flagsOf([set]))[c] === 1
}

/** Index of the first unpaired surrogate, or -1. */
export function loneSurrogateAt(text: string): number {
  const wellFormed = (text as unknown as { isWellFormed(): boolean }).isWellFormed()
  return wellFormed ? -1 : text.search(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/)
}
