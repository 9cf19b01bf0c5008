import { flagsOf } from './unicode.js'
import * as tables from './unicode-tables.js'

/** Finds the end of the match that begins at `at`; sees nothing of the text at or beyond `end`. */
export type Scanner = (text: string, at: number, end: number) => number

const letter = 1
const number = 2
const space = 4

let table: Uint8Array | undefined
const flags = (): Uint8Array => (table ??= flagsOf([tables.letters, tables.numbers, tables.spaces]))

const pointAt = (text: string, at: number, end: number): number => (at < end ? (text.codePointAt(at) as number) : -1)
const width = (c: number): number => (c > 0xffff ? 2 : 1)

/** Skips code points while (flags & mask) === wanted, at most `limit` of them. */
function run(text: string, at: number, end: number, mask: number, wanted: number, limit = Infinity): number {
  const kinds = flags()
  for (let n = 0; at < end && n < limit; n++) {
    const c = text.codePointAt(at) as number
    if ((kinds[c] & mask) !== wanted) break
    at += width(c)
  }
  return at
}

const any = letter | number | space
const apostrophe = 0x27
const isNewline = (c: number): boolean => c === 0x0a || c === 0x0d

/** Length of the contraction 's 't 'm 'd 're 've 'll at `at`, or 0. With `fold` in any case (and U+017F is an s). */
function contraction(text: string, at: number, end: number, fold: boolean): number {
  const unit = (i: number): string => {
    if (i >= end) return ''
    const char = text[i]
    if (!fold) return char
    return char === '\u017f' ? 's' : char.charCodeAt(0) < 0x80 ? char.toLowerCase() : char
  }
  const first = unit(at + 1)
  if (first === 's' || first === 't' || first === 'm' || first === 'd') return 2
  const pair = first + unit(at + 2)
  return pair === 're' || pair === 've' || pair === 'll' ? 3 : 0
}

/** `\s+(?!\S)|\s+`: white space without its last character when something follows it. */
function whiteSpace(text: string, at: number, end: number): number {
  const stop = run(text, at, end, space, space)
  if (stop === end) return stop
  return stop - at > 1 ? stop - 1 : stop // every member of \s is one UTF-16 unit
}

/** 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
export const gpt2: Scanner = (text, at, end) => {
  const kinds = flags()
  const c = text.codePointAt(at) as number
  if (c === apostrophe) {
    const length = contraction(text, at, end, false)
    if (length > 0) return at + length
  }
  const body = c === 0x20 ? at + 1 : at
  const head = pointAt(text, body, end)
  if (head >= 0) {
    const kind = kinds[head] & any
    if ((kind & space) === 0) return run(text, body + width(head), end, any, kind)
  }
  return whiteSpace(text, at, end)
}

/**
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+
 */
const withDigits =
  (digits: number): Scanner =>
  (text, at, end) => {
    const kinds = flags()
    const c = text.codePointAt(at) as number
    if (c === apostrophe) {
      const length = contraction(text, at, end, true)
      if (length > 0) return at + length
    }
    const kind = kinds[c]
    if (kind & number) return run(text, at, end, number, number, digits)
    const second = at + width(c)
    if (kind & letter) return run(text, second, end, letter, letter)
    const follows = pointAt(text, second, end)
    if (!isNewline(c) && follows >= 0 && kinds[follows] & letter) return run(text, second, end, letter, letter)
    const body = c === 0x20 ? second : at
    const head = pointAt(text, body, end)
    if (head >= 0 && (kinds[head] & any) === 0) {
      let stop = run(text, body, end, any, 0)
      while (stop < end && isNewline(text.charCodeAt(stop))) stop++
      return stop
    }
    let newline = run(text, at, end, space, space)
    while (newline > at && !isNewline(text.charCodeAt(newline - 1))) newline--
    return newline > at ? newline : whiteSpace(text, at, end)
  }

const tail = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const front = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"

/** The regular expressions of `Split` pre-tokenizers in use, each written out as a scanner that never backtracks. */
export const knownPatterns: ReadonlyMap<string, Scanner> = new Map([
  ["'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", gpt2],
  [`${front}{1,3}${tail}`, withDigits(3)],
  [`${front}${tail}`, withDigits(1)],
])
