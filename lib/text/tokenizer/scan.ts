import { parseStrictJson } from '../../checkpoint/json.js'
import { inputError, type WarpError } from '../../errors.js'

const code = (character: string): number => character.charCodeAt(0)
const [quote, backslash, comma, colon, minus, zero] = ['"', '\\', ',', ':', '-', '0'].map(code)
const [openBrace, closeBrace, openBracket, closeBracket] = ['{', '}', '[', ']'].map(code)

/** Thrown where the text is not as expected: `JSON.parse` then says what it is. */
class Unexpected extends Error {}

/** Walks through JSON text; strings are found by their quotes, not by their characters. */
class Walker {
  at = 0
  /** the last string found has escapes */
  #escaped = false

  constructor(readonly text: string) {}

  /** The next character that is no white space; NaN at the end. */
  peek(): number {
    for (;;) {
      const next = this.text.charCodeAt(this.at)
      if (next !== 0x20 && next !== 0x0a && next !== 0x0d && next !== 0x09) return next
      this.at++
    }
  }

  take(wanted: number): void {
    if (this.peek() !== wanted) throw new Unexpected()
    this.at++
  }

  /** Past the string that begins here: where its closing quote is. */
  #skipString(): number {
    this.take(quote)
    const { text } = this
    this.#escaped = false
    for (let at = this.at; at < text.length; at++) {
      const next = text.charCodeAt(at)
      if (next === backslash) {
        this.#escaped = true
        at++
      } else if (next === quote) {
        this.at = at + 1
        return at
      }
    }
    throw new Unexpected()
  }

  string(): string {
    this.peek()
    const begin = this.at,
      end = this.#skipString()
    return this.#escaped ? (JSON.parse(this.text.slice(begin, end + 1)) as string) : this.text.slice(begin + 1, end)
  }

  /** A whole number of at most 15 digits. */
  integer(): number {
    const sign = this.peek() === minus ? -1 : 1
    if (sign < 0) this.at++
    const begin = this.at
    let value = 0
    const digit = (): number => this.text.charCodeAt(this.at) - zero
    for (; digit() >= 0 && digit() <= 9; this.at++) value = 10 * value + digit()
    const length = this.at - begin,
      next = this.peek()
    if (
      length === 0 ||
      length > 15 ||
      (length > 1 && this.text.charCodeAt(begin) === zero) ||
      (next !== comma && next !== closeBrace)
    )
      throw new Unexpected()
    return sign * value
  }

  /** Past any value. */
  skip(): void {
    let depth = 0
    do {
      const next = this.peek()
      if (next === quote) this.#skipString()
      else if (Number.isNaN(next)) throw new Unexpected()
      else {
        if (next === openBrace || next === openBracket) depth++
        else if (next === closeBrace || next === closeBracket) depth--
        this.at++
        if (depth === 0 && next !== closeBrace && next !== closeBracket) this.#skipWord()
      }
    } while (depth > 0)
  }

  /** Past the rest of a number, true, false or null. */
  #skipWord(): void {
    for (let next = this.peek(); next !== comma && next !== closeBrace && next !== closeBracket; next = this.peek()) {
      if (Number.isNaN(next)) throw new Unexpected()
      this.at++
    }
  }

  /** Calls `visit` at the value of every key of the object that begins here; it must go past the value. */
  object(visit: (key: string) => void): void {
    this.take(openBrace)
    if (this.peek() === closeBrace) return void this.at++
    for (;;) {
      const key = this.string()
      this.take(colon)
      visit(key)
      const next = this.peek()
      this.at++
      if (next === closeBrace) return
      if (next !== comma) throw new Unexpected()
    }
  }
}

interface Part {
  begin: number
  end: number
  merges: boolean
}

/**
 * `JSON.parse` of a tokenizer.json, but `model.vocab` is a Map where it is an object of whole numbers (an object with a
 * hundred thousand keys is slow to build and slower to list), and `model.merges` are parsed when they are looked at,
 * which throws the SyntaxError that they may hold.
 * @throws SyntaxError; WarpError (input) TOKENIZER_DUPLICATE_KEY
 */
export function parseTokenizer(text: string, file: string): unknown {
  const found = scan(text, file)
  if (found === undefined) return parseOnce(text, file)
  const { vocab, parts } = found
  let rest = '',
    end = 0
  for (const part of parts) {
    rest += `${text.slice(end, part.begin)}null`
    end = part.end
  }
  const root = parseOnce(rest + text.slice(end), file) as { model: { vocab: unknown; merges?: unknown } }
  root.model.vocab = vocab
  const merges = parts.find((part) => part.merges)
  if (merges !== undefined) {
    let value: unknown
    Object.defineProperty(root.model, 'merges', {
      get: () => (value ??= JSON.parse(text.slice(merges.begin, merges.end))),
      enumerable: true,
    })
  }
  return root
}

/** `JSON.parse` takes the last of two values in silence. */
function parseOnce(text: string, file: string): unknown {
  const value = JSON.parse(text) as unknown
  try {
    parseStrictJson(Buffer.from(text), { file, prefix: 'TOKENIZER' })
  } catch (error) {
    const { code: found, details } = error as WarpError
    if (found === 'TOKENIZER_DUPLICATE_KEY') throw duplicateKey(file, String(details.found))
  }
  return value
}

const duplicateKey = (file: string, found: string): WarpError =>
  inputError(
    'TOKENIZER_DUPLICATE_KEY',
    `${file}: ${found}; expected every key once`,
    { file, found },
    'Remove the one that is out of date, or save the tokenizer again.',
  )

function scan(text: string, file: string): { vocab: Map<string, number>; parts: Part[] } | undefined {
  const walker = new Walker(text)
  const vocab = new Map<string, number>()
  const parts: Part[] = []
  try {
    walker.object((key) => {
      if (key !== 'model') return walker.skip()
      if (parts.length > 0) throw new Unexpected()
      walker.object((inner) => {
        if (inner !== 'vocab' && inner !== 'merges') return walker.skip()
        const merges = inner === 'merges'
        if (parts.some((part) => part.merges === merges)) throw new Unexpected()
        const begin = walker.at
        if (merges) walker.skip()
        else
          walker.object((token) => {
            if (vocab.has(token)) throw duplicateKey(file, `duplicate key ${JSON.stringify(token)}`)
            vocab.set(token, walker.integer())
          })
        parts.push({ begin, end: walker.at, merges })
      })
    })
  } catch (error) {
    if (error instanceof Unexpected || error instanceof SyntaxError) return undefined
    throw error
  }
  return parts.some(({ merges }) => !merges) ? { vocab, parts } : undefined
}
