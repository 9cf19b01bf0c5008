import fc from 'fast-check'
import { parseTokenizer } from '../../lib/text/tokenizer/scan.js'

/** What `parseTokenizer` says, with its Maps as objects again. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, inner: unknown) =>
      inner instanceof Map ? Object.fromEntries(inner as Map<string, number>) : inner,
    ),
  )

const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value
const key = fc.string({ unit: 'binary' }).filter((text) => text !== '__proto__')

test('gives what JSON.parse gives, of any spacing', () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          a: value,
          model: fc.record({
            type: value,
            vocab: fc.oneof(fc.dictionary(key, fc.nat()), value),
            merges: value,
            z: value,
          }),
          version: value,
        },
        { requiredKeys: [] },
      ),
      fc.constantFrom(undefined, 1, '\t', '\n\r '),
      (json, space) => {
        const text = JSON.stringify(json, undefined, space)
        expect(plain(parseTokenizer(text, 'tokenizer.json'))).toEqual(JSON.parse(text))
      },
    ),
    { numRuns: 500 },
  )
})

test('a vocabulary of whole numbers becomes a Map, in its order; any other stays', () => {
  const vocab = (text: string): unknown =>
    (
      parseTokenizer(`{"model": {"merges": ["a b"], "vocab": ${text}}}`, 'tokenizer.json') as {
        model: { vocab: unknown }
      }
    ).model.vocab
  expect(vocab('{"b": 3, "\\u0061": 0, "1": 2, "__proto__": 4}')).toEqual(
    new Map([
      ['b', 3],
      ['a', 0],
      ['1', 2],
      ['__proto__', 4],
    ]),
  )
  for (const other of [
    '{"a": 1.5}',
    '{"a": 1e3}',
    '{"a": "1"}',
    '{"a": 12345678901234567}',
    '[["a", 1]]',
    '{"a": null}',
    '7',
  ])
    expect(vocab(other)).toEqual(JSON.parse(other))
})

test.each([
  '',
  '{',
  '{"model": {"vocab": {"a": 1}',
  '{"model": {"vocab": {"a": 01}}}',
  '{"model": {"vocab": {"a": 1,}}}',
  '{"a": [1, }, "model": {"vocab": {}}}',
  '{"model": {"vocab": {"\\x": 1}}}',
  '{"a": tru, "model": {"vocab": {}}}',
  '{"model": {"vocab": {}}} x',
])('what is no JSON is refused: %s', (text) => {
  expect(() => JSON.parse(text)).toThrow(SyntaxError)
  expect(() => parseTokenizer(text, 'tokenizer.json')).toThrow(SyntaxError)
})

test('merges that are no JSON are refused when they are looked at', () => {
  const root = parseTokenizer('{"model": {"merges": [1 2], "vocab": {}}}', 'tokenizer.json') as {
    model: { merges: unknown }
  }
  expect(() => root.model.merges).toThrow(SyntaxError)
})

test.each([
  '{"version": "1.0", "version": "1.0", "model": {"vocab": {}}}',
  '{"model": {"vocab": {"a": 0, "b": 1, "\\u0061": 2}}}',
  '{"model": {"type": "BPE", "type": "WordPiece", "vocab": {}}}',
  '{"model": {"vocab": [["a", 0]], "type": "Unigram", "type": "BPE"}}',
  '{"normalizer": {"a": 1, "a": 2}, "model": {"vocab": {}}}',
])('a key that stands twice is refused: %s', (text) => {
  expect(() => parseTokenizer(text, 'tokenizer.json')).toThrow(
    expect.objectContaining({ code: 'TOKENIZER_DUPLICATE_KEY', exitCode: 3, details: expect.anything() }),
  )
})
