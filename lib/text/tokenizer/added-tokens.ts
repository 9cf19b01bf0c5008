import { lazySet } from './unicode.js'
import { whitespace, wordCharacters } from './unicode-tables.js'

/** One entry of `added_tokens`. */
export interface AddedToken {
  id: number
  content: string
  singleWord: boolean
  lstrip: boolean
  rstrip: boolean
  normalized: boolean
  special: boolean
}

const isSpace = lazySet(whitespace)
const isWord = lazySet(wordCharacters)

interface Node {
  next: Map<number, Node>
  token: AddedToken | undefined
}

const node = (): Node => ({ next: new Map(), token: undefined })

/** Finds added tokens in a text: at the leftmost place, the longest one. */
export class AddedTokenMatcher {
  private readonly root = node()
  private readonly first = new Uint8Array(0x10000)

  /** @param patterns the texts to look for, each once and none empty */
  constructor(patterns: Iterable<readonly [string, AddedToken]>) {
    for (const [pattern, token] of patterns) {
      this.first[pattern.charCodeAt(0)] = 1
      let at = this.root
      for (let i = 0; i < pattern.length; i++) {
        const unit = pattern.charCodeAt(i)
        let child = at.next.get(unit)
        if (child === undefined) at.next.set(unit, (child = node()))
        at = child
      }
      at.token = token
    }
  }

  /** Calls `text` and `token` for the parts of `text` in order; both stop the search by returning false. */
  split(text: string, onText: (part: string) => boolean, onToken: (token: AddedToken) => boolean): boolean {
    let begin = 0
    for (let i = 0; i < text.length; ) {
      if (this.first[text.charCodeAt(i)] === 0) {
        i++
        continue
      }
      const [token, length] = this.longestAt(text, i)
      if (token === undefined) {
        i++
        continue
      }
      let start = i
      let stop = i + length
      i = stop // a match that is refused below still uses up its text
      if (token.singleWord && (wordBefore(text, start) || wordAfter(text, stop))) continue
      if (token.lstrip) while (start > begin && isSpace(text.charCodeAt(start - 1))) start--
      if (token.rstrip) while (stop < text.length && isSpace(text.charCodeAt(stop))) stop++
      if (begin < start && !onText(text.slice(begin, start))) return false
      if (!onToken(token)) return false
      begin = stop
      // Rust goes on searching where the match ended, not where the stripped space did
    }
    if (begin === 0) return text === '' || onText(text)
    return begin >= text.length || onText(text.slice(begin))
  }

  private longestAt(text: string, begin: number): [AddedToken | undefined, number] {
    let found: AddedToken | undefined
    let length = 0
    let at: Node | undefined = this.root
    for (let i = begin; i < text.length; i++) {
      at = at.next.get(text.charCodeAt(i))
      if (at === undefined) break
      if (at.token !== undefined) {
        found = at.token
        length = i + 1 - begin
      }
    }
    return [found, length]
  }
}

const wordAfter = (text: string, at: number): boolean => at < text.length && isWord(text.codePointAt(at) as number)

function wordBefore(text: string, at: number): boolean {
  if (at === 0) return false
  const unit = text.charCodeAt(at - 1)
  return isWord(unit >>> 10 === 0x37 && at > 1 ? (text.codePointAt(at - 2) as number) : unit)
}
