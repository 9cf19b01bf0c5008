/** Where a text stops being JSON (`index` in UTF-16 units) and what is wrong there. */
export interface JsonFault {
  index: number
  problem: string
}

const space = /[ \t\n\r]*/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const literal = /true|false|null/y
const hex4 = /[0-9a-fA-F]{4}/y

function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0].length ?? 0
}

/** The end of the string that opens at `at`, or its fault. */
function skipString(text: string, at: number): number | JsonFault {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) return i + 1
    if (code < 0x20) return { index: i, problem: 'a raw control character in a string (a missing quote?)' }
    if (code !== 0x5c) continue
    i++
    const escaped = text[i]
    if (escaped === 'u' && match(hex4, text, i + 1) === 4) i += 4
    else if (escaped === undefined || !'"\\/bfnrt'.includes(escaped))
      return { index: i - 1, problem: 'an unknown escape' }
  }
  return { index: text.length, problem: 'the end inside a string' }
}

function unexpected(text: string, index: number, wanted: string): JsonFault {
  const found = text.codePointAt(index)
  return {
    index,
    problem: `${found === undefined ? 'the end' : `"${String.fromCodePoint(found)}"`} instead of ${wanted}`,
  }
}

/**
 * The first fault of a text that `JSON.parse` refused; undefined where it is JSON. `JSON.parse` itself tells the
 * position only sometimes, and in words that differ between versions of Node.
 */
export function jsonFault(text: string): JsonFault | undefined {
  const open: string[] = []
  let expected: 'value' | 'value or ]' | 'key' | 'key or }' | 'after' = 'value'
  let at = match(space, text, 0)
  for (; ; at += match(space, text, at)) {
    const c = text[at]
    const inside = open[open.length - 1]
    if (expected === 'after') {
      if (inside === undefined) return c === undefined ? undefined : unexpected(text, at, 'the end')
      if (c !== ',' && c !== inside) return unexpected(text, at, `"," or "${inside}"`)
      if (c === ',') expected = inside === '}' ? 'key' : 'value'
      else open.pop()
      at++
    } else if ((expected === 'key or }' || expected === 'value or ]') && c === inside) {
      open.pop()
      expected = 'after'
      at++
    } else if (expected === 'key' || expected === 'key or }') {
      if (c !== '"') return unexpected(text, at, 'a name in double quotes')
      const end = skipString(text, at)
      if (typeof end !== 'number') return end
      at = end + match(space, text, end)
      if (text[at] !== ':') return unexpected(text, at, '":"')
      at++
      expected = 'value'
    } else if (c === '{' || c === '[') {
      open.push(c === '{' ? '}' : ']')
      expected = c === '{' ? 'key or }' : 'value or ]'
      at++
    } else {
      const end = c === '"' ? skipString(text, at) : at + Math.max(match(number, text, at), match(literal, text, at))
      if (typeof end !== 'number') return end
      if (end === at) return unexpected(text, at, 'a value')
      at = end
      expected = 'after'
    }
  }
}
