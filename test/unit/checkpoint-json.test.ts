import fc from 'fast-check'
import { parseStrictJson } from '../../lib/checkpoint/json.js'
import { refused } from '../support/models.js'

const parse = (text: string, integersOnly = false) =>
  parseStrictJson(Buffer.from(text), { file: 'x.json', prefix: 'X', integersOnly })

test('agrees with JSON.parse on any value it writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false, maxDepth: 5 }), fc.nat(4), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      expect(JSON.stringify(parse(text))).toBe(JSON.stringify(JSON.parse(text)))
    }),
    { numRuns: 500, seed: 1 },
  )
})

test('accepts and refuses what JSON.parse does, on damaged texts without the extra checks', () => {
  const seed = '{"a":[1,-2.5e3,true,null,"x\\u00e9\\n"],"b":{"c":[]}}'
  fc.assert(
    fc.property(fc.nat(seed.length - 1), fc.constantFrom(...'{}[]:,"\\0 e.-tx'), (at, c) => {
      const text = seed.slice(0, at) + c + seed.slice(at + 1)
      let expected: string | undefined
      try {
        expected = JSON.stringify(JSON.parse(text))
      } catch {
        // refused
      }
      let found: string | undefined
      try {
        found = JSON.stringify(parse(text))
      } catch {
        // refused
      }
      expect(found).toBe(expected)
    }),
    { numRuns: 1000, seed: 1 },
  )
})

test('long strings and long lists do not exhaust the stack', () => {
  const long = 'é"\\'.repeat(300_000)
  expect(parse(JSON.stringify([long]))).toEqual([long])
  expect(parse(`[${'0,'.repeat(300_000)}0]`)).toHaveLength(300_001)
})

test.each([
  ['a duplicate key', '{"a":1,"a":1}', 'X_DUPLICATE_KEY'],
  ['a duplicate key deep inside', '[{"b":{"a":1,"c":2,"\\u0061":1}}]', 'X_DUPLICATE_KEY'],
  ['a duplicate __proto__', '{"__proto__":1,"__proto__":2}', 'X_DUPLICATE_KEY'],
  ['an unpaired surrogate', '"\\udc00"', 'X_NOT_JSON'],
  ['surrogates in the wrong order', '"\\udc00\\ud800"', 'X_NOT_JSON'],
  ['a leading zero', '01', 'X_NOT_JSON'],
  ['a comma at the end', '[1,]', 'X_NOT_JSON'],
  ['NaN', 'NaN', 'X_NOT_JSON'],
  ['single quotes', "{'a':1}", 'X_NOT_JSON'],
  ['nothing', '', 'X_NOT_JSON'],
  ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, 'X_NOT_JSON'],
  ['a form feed as white space', '\f1', 'X_NOT_JSON'],
])('%s is refused', async (_, text, code) => {
  const { details } = await refused(() => parse(text), code)
  expect(details.offset).toBeGreaterThanOrEqual(0)
})

test('64 levels, paired surrogates and __proto__ are accepted', () => {
  expect(JSON.stringify(parse(`${'['.repeat(64)}${']'.repeat(64)}`))).toHaveLength(128)
  expect(parse('"\\ud83d\\ude00"')).toBe('😀')
  expect(Object.keys(parse('{"__proto__":1}') as object)).toEqual(['__proto__'])
})

test('with integersOnly, numbers are never rounded', async () => {
  expect(parse('[0,9007199254740991]', true)).toEqual([0, Number.MAX_SAFE_INTEGER])
  expect(parse('[1.0,-1,1e2,-0]', true)).toEqual([NaN, NaN, NaN, NaN])
  await refused(() => parse('9007199254740992', true), 'X_INTEGER_TOO_LARGE')
  expect(parse('9007199254740993')).toBe(9007199254740992)
})
