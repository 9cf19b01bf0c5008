import * as fc from 'fast-check'
import { jsonFault } from '../../lib/text/json-position.js'

test.each<[string, number, string]>([
  ['', 0, 'the end instead of a value'],
  ['  ', 2, 'the end'],
  ['{"a": 1,}', 8, '"}" instead of a name'],
  ['{"a" 1}', 5, 'instead of ":"'],
  ['[1 2]', 3, '"," or "]"'],
  ['[1, 2', 5, 'the end instead of "," or "]"'],
  ['[1}', 2, '"}"'],
  ['{"a": tru}', 6, '"t" instead of a value'],
  ['"a\\x"', 2, 'escape'],
  ['"\\u12g4"', 1, 'escape'],
  ['"a\nb"', 2, 'control character'],
  ['"abc', 4, 'the end inside a string'],
  ['01', 1, '"1" instead of the end'],
  ['1.', 1, '"." instead of the end'],
  ['[NaN]', 1, '"N" instead of a value'],
  ['{} 😀', 3, '"😀" instead of the end'],
])('%j has its fault at %i', (text, index, problem) => {
  expect(jsonFault(text)).toMatchObject({ index, problem: expect.stringContaining(problem) })
})

test('finds a fault exactly where JSON.parse refuses', () => {
  const mutated = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '{', ']', '0', '\\', 'e', ':', '\n'))
    .map(
      ([text, at, insert]) =>
        text.slice(0, at % (text.length + 1)) + insert + text.slice((at % (text.length + 1)) + (at % 3)),
    )
  fc.assert(
    fc.property(mutated, (text) => {
      let valid = true
      try {
        JSON.parse(text)
      } catch {
        valid = false
      }
      const fault = jsonFault(text)
      expect(fault === undefined).toBe(valid)
      if (fault !== undefined) expect(fault.index).toBeLessThanOrEqual(text.length)
    }),
    { numRuns: 3000, seed: 1 },
  )
})

test('a deep nest does not overflow the stack', () => {
  expect(jsonFault('['.repeat(1_000_000))?.index).toBe(1_000_000)
})
