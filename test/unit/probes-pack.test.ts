import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { packProbes, type ProbeSet, type ProbeTokenizer, readProbes } from '../../lib/text/index.js'
import { loadTokenizer } from '../../lib/text/tokenizer/index.js'
import { dataFile, modelDir, whenPresent } from '../support/shared.js'
import { failure } from '../support/probes-files.js'

type One = (text: string, maxLength: number) => { ids: number[]; truncated: boolean }

/** A tokenizer out of what one text gives; type id 1 for the last token. */
const tokenizerOf = (one: One): ProbeTokenizer => ({
  async encodeBatch(texts, { maxLength = Number.POSITIVE_INFINITY } = {}) {
    const all = texts.map((text) => one(text, maxLength))
    const offsets = Uint32Array.from([
      0,
      ...all.map((_, i) => all.slice(0, i + 1).reduce((sum, { ids }) => sum + ids.length, 0)),
    ])
    return {
      ids: Uint32Array.from(all.flatMap(({ ids }) => ids)),
      offsets,
      truncated: Uint8Array.from(all, ({ truncated }) => Number(truncated)),
      typeIds: Uint8Array.from(all.flatMap(({ ids }) => ids.map((_, i) => Number(i === ids.length - 1)))),
    }
  },
})

/** [CLS] = 1, one id per character (its code), [SEP] = 2. White space gives nothing. */
const characters: One = (text, maxLength) => {
  const codes = [...text.replace(/\s/g, '')].map((character) => character.codePointAt(0) as number)
  return { ids: [1, ...codes.slice(0, maxLength - 2), 2], truncated: codes.length + 2 > maxLength }
}
const tokenizer = tokenizerOf(characters)
const options = { maxLength: 8, truncate: true, vocabularySize: 200 }

const set = (...texts: string[]): ProbeSet => ({
  texts,
  rows: Uint32Array.from(texts, (_, i) => i),
  sources: texts.map((_, i) => `f.jsonl:${i + 1}`),
  domains: ['a', 'b'],
  domain: Int32Array.from(texts, (_, i) => i % 2),
  label: Int32Array.from(texts, (_, i) => (i + 1) % 2),
  counts: [],
  dropped: 0,
  notes: [],
  inputs: [],
})

test('sequences are joined without padding', async () => {
  const packed = await packProbes(set('ab', 'c', 'defg'), tokenizer, options)
  expect([...packed.offsets]).toEqual([0, 4, 7, 13])
  expect([...packed.ids]).toEqual([1, 97, 98, 2, 1, 99, 2, 1, 100, 101, 102, 103, 2])
  expect([...packed.typeIds]).toEqual([0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])
  expect([...packed.label]).toEqual([1, 0, 1])
  expect([...packed.domain]).toEqual([0, 1, 0])
  expect(packed.truncated).toEqual([0, 0])
  expect(packed.longest).toBe(6)
})

test('longer texts are cut off and counted by domain', async () => {
  const packed = await packProbes(set('abcdef', 'abcdefg', 'a', 'abcdefgh'), tokenizer, options)
  expect([...packed.offsets]).toEqual([0, 8, 16, 19, 27])
  expect(packed.truncated).toEqual([0, 2])
  expect(packed.longest).toBe(8)
})

test('--no-truncate refuses them', async () => {
  const error = await failure(packProbes(set('abcdef', 'abcdefg'), tokenizer, { ...options, truncate: false }))
  expect(error).toMatchObject({
    code: 'PROBES_TEXT_TOO_LONG',
    exitCode: 3,
    details: { file: 'f.jsonl', line: 2, expected: 8, found: 9 },
  })
  expect(error.hint).toContain('--max-length')
  expect((await packProbes(set('abcdef'), tokenizer, { ...options, truncate: false })).longest).toBe(8)
})

test('a text that gives no token is refused, special tokens or not', async () => {
  const error = await failure(packProbes(set('a', '\u2003'), tokenizer, options))
  expect(error).toMatchObject({ code: 'PROBES_NO_TOKENS', details: { file: 'f.jsonl', line: 2 } })
  const bare = tokenizerOf(() => ({ ids: [], truncated: false }))
  expect(await failure(packProbes(set('a'), bare, options))).toMatchObject({ code: 'PROBES_NO_TOKENS' })
})

test('ids beyond the embedding table are refused', async () => {
  const error = await failure(packProbes(set('a', 'bé'), tokenizer, options))
  expect(error).toMatchObject({
    code: 'TOKENIZER_ID_RANGE',
    details: { file: 'f.jsonl', line: 2, expected: 199, found: 233 },
  })
  expect((await packProbes(set('é'), tokenizer, { ...options, vocabularySize: 234 })).longest).toBe(3)
  expect(await failure(packProbes(set('a'), { ...tokenizer, maxId: 200 }, options))).toMatchObject({
    code: 'TOKENIZER_ID_RANGE',
  })
  expect((await packProbes(set('a'), { ...tokenizer, maxId: 199 }, options)).longest).toBe(3)
})

test('many tokens', async () => {
  const texts = Array.from({ length: 3000 }, (_, i) => 'abcdef'.slice(0, 1 + (i % 6)))
  const packed = await packProbes(set(...texts), tokenizer, options)
  expect(packed.ids.length).toBe(packed.offsets[3000])
  texts.forEach((text, i) => expect(packed.offsets[i + 1] - packed.offsets[i]).toBe(text.length + 2))
})

test('the event loop turns, progress rises to the number of texts, and an abort is heard', async () => {
  const slow: ProbeTokenizer = {
    encodeBatch: async (given, limits) => {
      await sleep(10)
      return tokenizer.encodeBatch(given, limits)
    },
  }
  const texts = set(...Array<string>(5000).fill('ab'))
  const seen: number[] = []
  let ticks = 0
  const ticking = setInterval(() => ticks++, 1)
  await packProbes(texts, slow, options, { onProgress: ({ done }) => seen.push(done) })
  clearInterval(ticking)
  expect(ticks).toBeGreaterThan(1)
  expect(seen.length).toBeGreaterThan(2)
  expect(seen).toEqual(seen.toSorted((a, b) => a - b))
  expect(seen.at(-1)).toBe(5000)
  const control = new AbortController()
  const reason = new Error('enough')
  const packing = packProbes(texts, slow, options, { signal: control.signal, onProgress: () => control.abort(reason) })
  await expect(packing).rejects.toBe(reason)
})

whenPresent(dataFile('ag_news_test.csv'), modelDir('minilm-l6'))(
  'packs AG News with the tokenizer of MiniLM',
  async () => {
    const probes = await readProbes([dataFile('ag_news_test.csv')], {
      columns: ['label', 'title', 'description'],
      text: ['title', 'description'],
      labels: ['World', 'Sports', 'Business', 'Sci/Tech'],
      labelMap: { 1: 'World', 2: 'Sports', 3: 'Business', 4: 'Sci/Tech' },
      perDomain: 50,
      seed: 1,
    })
    const wordpiece = await loadTokenizer(join(modelDir('minilm-l6'), 'tokenizer.json'))
    const packed = await packProbes(probes, wordpiece, { maxLength: 64, truncate: true, vocabularySize: 30522 })
    expect(packed.offsets.length).toBe(201)
    expect(packed.longest).toBe(64)
    let full = 0
    for (let i = 0; i < 200; i++) {
      expect([packed.ids[packed.offsets[i]], packed.ids[packed.offsets[i + 1] - 1]]).toEqual([101, 102])
      if (packed.offsets[i + 1] - packed.offsets[i] === 64) full++
    }
    const truncated = packed.truncated.reduce((a, b) => a + b, 0)
    expect(truncated).toBeGreaterThan(0)
    expect(truncated).toBeLessThanOrEqual(full)
  },
)
