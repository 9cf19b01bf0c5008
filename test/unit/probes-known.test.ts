import { KnownTokens } from '../../lib/text/index.js'
import type { BatchEncoder, TokenBatch } from '../../lib/text/tokenizer/index.js'

/** [1, codes, 2]; the last token has type 1. `asked`: every text it was given. */
function characters(asked: string[]): BatchEncoder {
  return {
    encodeBatch(texts, { maxLength = Infinity, addSpecialTokens = true } = {}): Promise<TokenBatch> {
      asked.push(...texts)
      const all = texts.map((text) => {
        const codes = [...text].map((character) => character.charCodeAt(0))
        return addSpecialTokens ? [1, ...codes.slice(0, maxLength - 2), 2] : codes.slice(0, maxLength)
      })
      const ends = all.map((_, i) => all.slice(0, i + 1).reduce((sum, ids) => sum + ids.length, 0))
      return Promise.resolve({
        ids: Uint32Array.from(all.flat()),
        typeIds: Uint8Array.from(all.flatMap((ids) => ids.map((_, i) => Number(i === ids.length - 1)))),
        offsets: Uint32Array.from([0, ...ends]),
        truncated: Uint8Array.from(texts, (text) => Number(text.length + 2 * Number(addSpecialTokens) > maxLength)),
      })
    },
  }
}

const texts = ['ab', '', 'abcd', 'xyz', 'ab']

test.each([
  [{}, ['abcd']],
  [{ maxLength: 6 }, ['abcd']],
  [{ maxLength: 5 }, ['abcd']],
  [{ maxLength: 4 }, ['xyz', 'abcd']],
  [{ maxLength: 2 }, ['ab', 'xyz', 'abcd']],
  [{ addSpecialTokens: false }, ['ab', '', 'xyz', 'abcd']],
])('tokens with %j are those of the tokenizer; it is asked for %j alone', async (options, expected) => {
  const packed = await characters([]).encodeBatch(texts, { maxLength: 6 })
  const asked: string[] = []
  const known = new KnownTokens(texts, packed, 6, characters(asked))
  // a text of as many tokens as were allowed may have been cut off
  const given = ['ab', '', 'xyz', 'abcd']
  expect(await known.encodeBatch(given, options)).toEqual(await characters([]).encodeBatch(given, options))
  expect(asked).toEqual(expected)
})

test('a text that is not known is made, and none is none', async () => {
  const asked: string[] = []
  const known = new KnownTokens(texts, await characters([]).encodeBatch(texts), 9, characters(asked))
  expect(await known.encodeBatch(['abcd', 'new', 'ab'])).toEqual(
    await characters([]).encodeBatch(['abcd', 'new', 'ab']),
  )
  expect(asked).toEqual(['new'])
  expect((await known.encodeBatch([])).offsets).toEqual(Uint32Array.of(0))
})
