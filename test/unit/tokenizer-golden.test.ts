import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { BertNormalizer } from '../../lib/text/tokenizer/bert-normalizer.js'
import { ByteLevel } from '../../lib/text/tokenizer/byte-level.js'
import type { Bpe } from '../../lib/text/tokenizer/bpe.js'
import { readNormalizer, readPreTokenizer } from '../../lib/text/tokenizer/components.js'
import { Cursor } from '../../lib/text/tokenizer/cursor.js'
import { IdBuffer } from '../../lib/text/tokenizer/id-buffer.js'
import type { Encoding } from '../../lib/text/tokenizer/index.js'
import type { LocalTokenizer } from '../../lib/text/tokenizer/local.js'
import { dataFile, modelDir, repositoryRoot, whenPresent } from '../support/shared.js'
import { localTokenizer } from '../support/tokenizers.js'

// Everything here was written by test/fixtures/tokenizers/make.py with the Python package; see there for the hashes.
interface Variant {
  name: string
  base: string
  top: object
  model: object
  hashes: string
  long: string
}
interface Cases {
  texts: string[]
  long: [string, number][]
  variants: Variant[]
}
interface CodePoints {
  normalizers: { options: object; blocks: string }[]
  splits: { part: { type: string; pretokenizers?: object[] }; blocks: string }[]
  order: { marks: number[]; hash: string }
}
type Digests = Record<'news' | 'pairs' | 'utterances' | 'hostile' | 'points', { tokens: number; sha256: string }>
interface Real {
  data: Record<string, string>
  models: Record<string, Digests & { tokenizer: string }>
}

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(join(repositoryRoot, 'test/fixtures/tokenizers', name), 'utf8'))
const cases = fixture('cases.json') as Cases
const codePoints = fixture('code-points.json') as CodePoints
const real = fixture('real.json') as Real
const longTexts = cases.long.map(([text, count]) => text.repeat(count))

/** milliseconds a test over all code points may take on a busy machine */
const patience = 300_000

const start = 2166136261
const hashOf = (numbers: ArrayLike<number>, from = start): number => {
  let hash = from
  for (let i = 0; i < numbers.length; i++) hash = Math.imul(hash ^ numbers[i], 16777619)
  return hash
}
const hex = (hash: number): string => (hash >>> 0).toString(16).padStart(8, '0')
const nth = (hashes: string, i: number): string => hashes.slice(8 * i, 8 * i + 8)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'warp-tokenizer-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function build({ base, top, model }: Variant): LocalTokenizer {
  const file = fixture(`${base}.json`) as { model: object }
  const path = join(folder, 'tokenizer.json')
  writeFileSync(path, JSON.stringify({ ...file, ...top, model: { ...file.model, ...model } }))
  return localTokenizer(path)
}

function hashText(tokenizer: LocalTokenizer, text: string, pair: string): string {
  const calls: Encoding[] = [
    tokenizer.encode(text),
    tokenizer.encode(text, { addSpecialTokens: false }),
    tokenizer.encode(text, { pair }),
    tokenizer.encode(text, { pair, addSpecialTokens: false }),
  ]
  for (const maxLength of [9, 10]) {
    calls.push(tokenizer.encode(text, { maxLength }), tokenizer.encode(text, { pair, maxLength }))
  }
  calls.push(tokenizer.encode(text, { maxLength: 4, addSpecialTokens: false }))
  let hash = start
  for (const { ids, typeIds } of calls) hash = hashOf(typeIds, hashOf(ids, hashOf([ids.length], hash)))
  return hex(hash)
}

describe('ids, type ids, pairs and truncation as in Python', () => {
  test.each(cases.variants.map((variant) => [variant.name, variant] as const))('%s', async (_, variant) => {
    const tokenizer = build(variant)
    const { texts } = cases
    const wrong = texts.filter(
      (text, i) => hashText(tokenizer, text, texts[(7 * i + 3) % texts.length]) !== nth(variant.hashes, i),
    )
    expect(wrong).toEqual([])
    const wrongLong = cases.long.filter(
      (_text, i) => hex(hashOf(tokenizer.encode(longTexts[i]).ids)) !== nth(variant.long, i),
    )
    expect(wrongLong).toEqual([])
  })
})

/** Blocks of 4,096 code points: all of them; of planes 4 to 13, where nothing is assigned, one in sixteen. */
const blockStarts = Array.from({ length: 0x110 }, (_, i) => 0x1000 * i).filter(
  (begin) => begin < 0x40000 || begin >= 0xe0000 || begin % 0x10000 === 0,
)

function forEachChar(begin: number, visit: (char: string) => void): void {
  for (let c = begin; c < begin + 0x1000; c++) if (c < 0xd800 || c >= 0xe000) visit(String.fromCodePoint(c))
}

/** The blocks whose hash differs. */
function wrongBlocks(blocks: string, numbersOf: (char: string) => ArrayLike<number>): string[] {
  const wrong = blockStarts.filter((begin, i) => {
    let hash = start
    forEachChar(begin, (char) => (hash = hashOf(numbersOf(char), hash)))
    return hex(hash) !== nth(blocks, i)
  })
  return wrong.map((begin) => `U+${begin.toString(16)}`)
}

describe('every code point as in Python', () => {
  test.each(codePoints.normalizers)(
    'normalised: $options',
    ({ options, blocks }) => {
      const normalizer = new BertNormalizer(readNormalizer(new Cursor('', '', options))!)
      const units: number[] = []
      expect(
        wrongBlocks(blocks, (char) => {
          const text = normalizer.normalize(`a${char}b`)
          units.length = text.length
          for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i)
          return units
        }),
      ).toEqual([])
    },
    patience,
  )

  test('canonical order of every two marks that survive the stripping of accents', () => {
    const stripping = { cleanText: false, handleChineseChars: false, stripAccents: true, lowercase: false }
    const normalizer = new BertNormalizer(stripping)
    const { marks, hash } = codePoints.order
    let found = start
    for (const first of marks) {
      for (const second of marks) {
        for (const between of ['', '\u0301', '\u0903', '\u0940']) {
          const text = normalizer.normalize(String.fromCodePoint(first) + between + String.fromCodePoint(second))
          for (let i = 0; i < text.length; i++) found = hashOf([text.charCodeAt(i)], found)
        }
      }
    }
    expect(marks.length).toBeGreaterThan(10)
    expect(hex(found)).toBe(hash)
  })

  test.each(codePoints.splits)(
    'split: $part',
    ({ part, blocks }) => {
      const ends: number[] = []
      let end = 0
      const model = {
        encodePiece: (text: string, from: number, to: number) =>
          void ends.push((end += pointsIn(text.slice(from, to)))),
      }
      const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false }
      const steps = { type: 'Sequence', pretokenizers: [...(part.pretokenizers ?? [part]), bytes] }
      const options = readPreTokenizer(new Cursor('', '', steps))
      if (options === 'bert') throw new Error('not byte-level')
      const splitter = new ByteLevel(options, model as unknown as Bpe)
      const out = new IdBuffer()
      expect(
        wrongBlocks(blocks, (c) => {
          ends.length = end = 0
          splitter.encode(`x${c}y1${c}2 ${c} !${c}!\n${c}'${c}`, out)
          return ends
        }),
      ).toEqual([])
    },
    patience,
  )
})

function pointsIn(text: string): number {
  let count = 0
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >>> 10 !== 0x37) count++
  return count
}

/** sha256 over the length and the ids of every encoding, as 32-bit words (little-endian, as all machines here are). */
function digest(fill: (add: (encoding: Encoding) => void) => void): { tokens: number; sha256: string } {
  const hash = createHash('sha256')
  const block = new Uint32Array(1 << 18)
  let tokens = 0
  let used = 0
  const flush = (): void => {
    hash.update(block.subarray(0, used))
    used = 0
  }
  fill(({ ids }) => {
    tokens += ids.length
    if (used + ids.length + 1 > block.length) flush()
    block[used] = ids.length
    block.set(ids, used + 1)
    used += ids.length + 1
  })
  flush()
  return { tokens, sha256: hash.digest('hex') }
}

describe.each(Object.keys(real.models))('%s as in Python', (name) => {
  const expected = real.models[name]
  const directory = modelDir(name)
  let tokenizer: LocalTokenizer
  const ready = (): LocalTokenizer => (tokenizer ??= localTokenizer(directory))

  whenPresent(directory)(`${name}: hostile texts`, async () => {
    const { encode } = bound(ready())
    expect(
      createHash('sha256')
        .update(readFileSync(join(directory, 'tokenizer.json')))
        .digest('hex'),
    ).toBe(expected.tokenizer)
    const texts = [...cases.texts, ...longTexts]
    expect(digest((add) => texts.forEach((text) => add(encode(text))))).toEqual(expected.hostile)
  })

  whenPresent(directory)(
    `${name}: every code point`,
    async () => {
      const { encode } = bound(ready())
      expect(
        digest((add) => {
          for (const begin of blockStarts) forEachChar(begin, (char) => add(encode(`a${char}b`)))
        }),
      ).toEqual(expected.points)
    },
    patience,
  )

  whenPresent(directory, dataFile('ag_news_test.csv'))(`${name}: AG News`, async () => {
    const { encode } = bound(ready())
    const bytes = readFileSync(dataFile('ag_news_test.csv'))
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(real.data['ag_news_test.csv'])
    const rows = parse(bytes) as string[][]
    const texts = rows.flatMap(([, title, text]) => [title, text])
    expect(digest((add) => texts.forEach((text) => add(encode(text))))).toEqual(expected.news)
    const pairs = rows.map(([, title, pair]) => [title, { pair, maxLength: 48 }] as const)
    expect(digest((add) => pairs.forEach((pair) => add(encode(...pair))))).toEqual(expected.pairs)
  })

  whenPresent(directory, dataFile('clinc150.json'))(`${name}: CLINC150`, async () => {
    const { encode } = bound(ready())
    const parts = JSON.parse(readFileSync(dataFile('clinc150.json'), 'utf8')) as Record<string, [string, string][]>
    const texts = Object.values(parts).flat()
    expect(digest((add) => texts.forEach(([text]) => add(encode(text))))).toEqual(expected.utterances)
  })
})

const bound = (tokenizer: LocalTokenizer) => ({ encode: tokenizer.encode.bind(tokenizer) })
