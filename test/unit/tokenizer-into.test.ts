import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { IdBuffer, type EncodeOptions } from '../../lib/text/tokenizer/index.js'
import { temporaryDirectory } from '../support/models.js'
import { localTokenizer } from '../support/tokenizers.js'
import { tokenizerJson, words } from '../support/trace-models.js'

const vocabulary = words(400)
const texts = [
  '',
  vocabulary[9],
  vocabulary.slice(4, 20).join(' '),
  'unknown words [SEP] here',
  vocabulary.slice(4).join(' '),
]

function load(change: (parts: { post_processor: unknown }) => void = () => undefined) {
  const parts = JSON.parse(tokenizerJson(vocabulary, true))
  change(parts)
  const file = join(temporaryDirectory(), `tokenizer-${Math.random()}.json`)
  writeFileSync(file, JSON.stringify(parts))
  return localTokenizer(file)
}

test.each<EncodeOptions>([
  {},
  { maxLength: 2 },
  { maxLength: 7 },
  { addSpecialTokens: false, maxLength: 0 },
  { addSpecialTokens: false },
])('texts encoded one behind the other are what encode gives (%j)', async (options) => {
  const tokenizer = load(),
    out = new IdBuffer()
  const truncated = texts.map((text) => tokenizer.encodeInto(text, out, options))
  const alone = texts.map((text) => tokenizer.encode(text, options))
  expect(Array.from(out.ids())).toEqual(alone.flatMap(({ ids }) => Array.from(ids)))
  expect(truncated).toEqual(alone.map((encoding) => encoding.truncated))
  const { maxLength = Infinity } = options,
    full = texts.map((text) => tokenizer.encode(text, { ...options, maxLength: undefined }).ids.length)
  expect(truncated).toEqual(full.map((length) => length > maxLength))
})

test('a buffer keeps what it holds when a text is refused, and forgets it when cleared', async () => {
  const tokenizer = load(),
    out = new IdBuffer()
  tokenizer.encodeInto(vocabulary[9], out)
  expect(() => tokenizer.encodeInto('\ud800', out)).toThrow('unpaired surrogate')
  expect(Array.from(out.ids().subarray(0, 3))).toEqual([2, 9, 3])
  out.clear()
  expect(out.ids().length).toBe(0)
})

test('a template that repeats the text gives its segments', async () => {
  const text = (type_id: number) => ({ Sequence: { id: 'A', type_id } }),
    special = { SpecialToken: { id: '[SEP]', type_id: 1 } }
  const tokenizer = load((parts) => {
    Object.assign(parts.post_processor as object, { single: [text(0), special, text(2)] })
  })
  const { ids, typeIds } = tokenizer.encode(`${vocabulary[5]} ${vocabulary[6]}`)
  expect(Array.from(ids)).toEqual([5, 6, 3, 5, 6])
  expect(Array.from(typeIds)).toEqual([0, 0, 1, 2, 2])
})
