import { IdBuffer } from '../../lib/text/tokenizer/id-buffer.js'
import { WordCache } from '../../lib/text/tokenizer/word-cache.js'

function replayed(cache: WordCache, text: string, begin = 0, end = text.length): number[] | undefined {
  const out = new IdBuffer()
  return cache.replay(text, begin, end, out) ? Array.from(out.ids()) : undefined
}

describe('word cache', () => {
  test('knows a word wherever it stands', () => {
    const cache = new WordCache()
    cache.add('the cat sat', 4, 7, [7, 8])
    expect(replayed(cache, 'cat')).toEqual([7, 8])
    expect(replayed(cache, 'concatenate', 3, 6)).toEqual([7, 8])
    for (const other of ['ca', 'cats', 'Cat', '\u0163at', '']) expect(replayed(cache, other)).toBeUndefined()
    cache.add('', 0, 0, [])
    expect(replayed(cache, '')).toEqual([])
  })

  test('appends, and counts against the limit', () => {
    const cache = new WordCache()
    const out = new IdBuffer()
    out.limit = 4
    cache.add('ab', 0, 2, [1, 2, 3])
    cache.replay('ab', 0, 2, out)
    expect(out.full).toBe(false)
    cache.replay('ab', 0, 2, out)
    expect(out.full).toBe(true)
    expect(Array.from(out.ids())).toEqual([1, 2, 3, 1, 2, 3])
  })

  test('stays right when it fills up, and forgets', () => {
    const cache = new WordCache()
    const word = (i: number): string => `${i.toString(36)}\u{1f600}`
    const ids = (i: number): number[] => Array.from({ length: i % 5 }, (_, k) => i + k)
    let known = 0
    for (let i = 0; i < 100_000; i++) {
      expect(replayed(cache, word(i))).toBeUndefined()
      cache.add(word(i), 0, word(i).length, ids(i))
      expect(replayed(cache, word(i))).toEqual(ids(i))
    }
    for (let i = 0; i < 100_000; i++) {
      const found = replayed(cache, word(i))
      if (found === undefined) continue
      known++
      expect(found).toEqual(ids(i))
    }
    expect(known).toBe(100_000 % 32_768)
  })

  test('does not keep long words', () => {
    const cache = new WordCache()
    for (const length of [32, 33]) cache.add('x'.repeat(length), 0, length, [length])
    expect(replayed(cache, 'x'.repeat(32))).toEqual([32])
    expect(replayed(cache, 'x'.repeat(33))).toBeUndefined()
  })
})
