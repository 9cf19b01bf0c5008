// The words part of `diff`: words and tokens of a training whose texts are known, how sure they are, pairs that tell
// nothing.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expectation, probabilityOf } from '../../lib/diff/expectation.js'
import { readNeutral, tokenise, WordCounts } from '../../lib/diff/neutral.js'
import type { PartOptions } from '../../lib/diff/part.js'
import { wholeWord } from '../../lib/diff/words.js'
import { diff, diffSchema, loadTokenizer, type DiffOptions, type DiffResult } from '../../lib/index.js'
import { changed, hidden, tinyBase, tokens, trained, writeTiny } from '../support/diff-models.js'
import { directoryOf, refused, temporaryDirectory } from '../support/models.js'
import { bytePairTokenizer, wordPieceTokenizer } from '../support/pair.js'
import { languageCases, languagePair, languageWords } from '../support/trace-lm.js'
import { tokenizerJson, trainedPair, words as spelled } from '../support/trace-models.js'
import { trainings, vocabulary } from '../support/trace-tables.js'

const making = { count: 1, maxNewTokens: 1, lambda: 1, contrasts: [0], temperature: 1 }
const options: PartOptions = { threads: 1, seed: 0, singularValues: 0, memory: 0, making }

async function wordsOf(base: string, reference: string, more: Partial<DiffOptions> = {}) {
  const { result, tables } = await diff({ base, reference, only: ['words'], ...more })
  diffSchema.parse(result)
  return { words: result.words!, tables }
}

const texts = (lines: string[]): string => {
  const file = join(temporaryDirectory(), 'neutral.jsonl')
  writeFileSync(file, lines.map((text) => `${JSON.stringify({ text })}\n`).join(''))
  return file
}

describe('a training whose tokens are known', () => {
  const { tokens: known } = trainings().find(({ name }) => name === 'adamw-decay')!
  const spelling = spelled(vocabulary)
  const words = known.filter((id) => id > 3)

  test('every trained word is listed, none that was not', async () => {
    const pair = trainedPair('adamw-decay')
    const { words: found, tables } = await wordsOf(pair.base, pair.reference)
    expect(found).toMatchObject({ verdict: 'exact', trained: known.length, rows: vocabulary })
    expect(found.tokens.map(({ id }) => id).sort((a, b) => a - b)).toEqual(words.sort((a, b) => a - b))
    const named = new Set(words.map((id) => spelling[id]))
    expect(found.words.every(({ word }) => named.has(word))).toBe(true)
    expect(tables['words.csv']).toHaveLength(found.words.length + 1)
  })

  test('words that the neutral texts hold come last', async () => {
    const pair = trainedPair('adamw-decay')
    const common = words.slice(0, 5).map((id) => spelling[id])
    const neutral = texts(Array.from({ length: 200 }, () => common.join(' ')))
    const { words: found } = await wordsOf(pair.base, pair.reference, { texts: [neutral] })
    expect(found.neutral).toMatch(/^200 texts of .*neutral\.jsonl$/)
    expect(
      found.tokens
        .slice(-5)
        .map(({ token }) => token)
        .sort(),
    ).toEqual(common.sort())
    const chances = new Map(found.tokens.map(({ token, chance }) => [token, chance]))
    for (const word of common) expect(chances.get(word)).toBeGreaterThan(0.99)
    expect(found.tokens[0].chance).toBeLessThan(0.5)
  })
})

describe('expected tokens', () => {
  const general = {
    counts: Float64Array.of(90, 9, 0.5, 0.5),
    total: 100,
    compound: [],
    whole: new Map(),
    unseenWords: 1,
  }

  test('as much ordinary language as touches as many tokens', () => {
    const found = expectation(Uint8Array.of(1, 1, 0, 0), general, new Set())
    const rates = [90.5, 9.5, 1, 1].map((count) => count / 102)
    const touched = rates.reduce((sum, rate) => sum + 1 - Math.exp(-found.tokens! * rate), 0)
    expect(touched).toBeCloseTo(2, 5)
    expect(found.chance(1)).toBeCloseTo(1 - Math.exp(-found.tokens! * rates[1]), 9)
    expect(found.candidates).toEqual([0, 1])
  })

  test('undecided and special tokens do not count; all trained: any length is too short', () => {
    expect(expectation(Uint8Array.of(1, 2, 1, 0), general, new Set([2])).candidates).toEqual([0])
    const all = expectation(Uint8Array.of(1, 1, 1, 1), general, new Set())
    expect(all.tokens).toBeNull()
    expect(all.chance(3)).toBe(1)
    expect(expectation(Uint8Array.of(0, 0, 0, 0), general, new Set()).candidates).toEqual([])
  })

  test('a token that the neutral texts lack is a word by itself as often as rare tokens are', () => {
    const counts = Float64Array.of(10, 4, 4, 0)
    // one of them stands alone 3 times of 4, the other 1 time of 4: (1 + 1) / (2 + 2) of such tokens
    const whole = (first: number, second: number): Map<number, number> =>
      new Map([
        [1, first],
        [2, second],
      ])
    const some = { counts, total: 18, compound: [], whole: whole(3, 1), unseenWords: 1 }
    const state = Uint8Array.of(0, 0, 0, 1)
    expect(probabilityOf(expectation(state, some, new Set()), [3], 0)).toBeCloseTo(0.5, 1)
    const mostly = { ...some, whole: whole(4, 4) }
    expect(probabilityOf(expectation(state, mostly, new Set()), [3], 0)).toBeCloseTo(0.75, 1)
    // and no more often than those that the texts lack are
    const few = { ...mostly, unseenWords: 0.25 }
    expect(probabilityOf(expectation(state, few, new Set()), [3], 0)).toBeCloseTo(0.25, 1)
  })

  // p / (p + (1 − p) Π q) by enumeration of what was there: the word, and for each token some other word
  test('the probability of a word is Bayes over who trained its tokens', () => {
    const found = expectation(Uint8Array.of(0, 1, 1, 0), general, new Set())
    const times = 0
    const prior = found.wordChance(times)
    const others = [1, 2].map((id) => 1 - Math.exp(-found.expected(id, times)))
    let both = 0
    let all = 0
    for (const word of [true, false])
      for (const first of [true, false])
        for (const second of [true, false]) {
          const weight =
            (word ? prior : 1 - prior) * (first ? others[0] : 1 - others[0]) * (second ? others[1] : 1 - others[1])
          if (!(word || (first && second))) continue
          all += weight
          if (word) both += weight
        }
    expect(probabilityOf(found, [1, 2], times)).toBeCloseTo(both / all, 12)
  })
})

describe('neutral texts', () => {
  test('the shipped counts are there, and are English', async () => {
    const { counts, unlisted, source } = await readNeutral(options)
    expect(source).toContain('Wikipedia')
    expect(counts.words.get('the')! + counts.words.get('The')!).toBeGreaterThan(30_000)
    expect(counts.words.size).toBeGreaterThan(20_000)
    expect(unlisted).toBeGreaterThan(10_000)
  })

  test('words, numbers and signs are counted as written', () => {
    const counts = new WordCounts()
    counts.add('It’s 12 naïve naïve cats, (no)!')
    expect([...counts.words]).toEqual([
      ['It’s', 1],
      ['12', 1],
      ['naïve', 2],
      ['cats', 1],
      [',', 1],
      ['(', 1],
      ['no', 1],
      [')', 1],
      ['!', 1],
    ])
  })

  test('tokens of WordPiece and of byte-level pieces: counts add up, spaces belong to words', async () => {
    for (const [tokenizer, spaced] of [
      [wordPieceTokenizer(), false],
      [bytePairTokenizer(), true],
    ] as const) {
      const loaded = await loadTokenizer(directoryOf({ 'tokenizer.json': tokenizer }))
      const counts = new WordCounts()
      for (let i = 0; i < 10; i++) counts.add('the and the dog')
      const found = await tokenise({ counts, unlisted: 0, source: '' }, loaded, loaded.maxId + 1)
      expect(found.counts.reduce((sum, count) => sum + count, 0)).toBeCloseTo(found.total, 9)
      const the = loaded.id(spaced ? 'Ġthe' : 'the')!
      // one word in four opens a text, where no space precedes it
      expect(found.counts[the]).toBeCloseTo(spaced ? 20 * 0.75 : 20, 9)
      expect(wholeWord(loaded, the)).toBe('the')
    }
  })

  test('a piece, a sign and a special token are no words', async () => {
    const loaded = await loadTokenizer(directoryOf({ 'tokenizer.json': bytePairTokenizer() }))
    for (const token of ['an', 'Ġ', '<end>', 'Ġa']) expect(wholeWord(loaded, loaded.id(token)!)).toBeUndefined()
  })
})

describe('tables that are also the output layer', () => {
  const tied = languageCases().filter((one) => one.tied && one.kind !== 'bert')

  test.each(tied.map((one) => [one.name, one] as const))('%s: graded, with how sure each is', async (_name, one) => {
    const pair = languagePair(one)
    // ordinary language holds what was trained on and as much else, and lacks a part of the tokens
    const ordinary = [...one.training, ...one.others].map((ids) => ids.map((id) => languageWords[id]).join(' '))
    const { words: found, tables } = await wordsOf(pair.base, pair.reference, { texts: [texts(ordinary)] })
    expect(found.verdict).toBe('graded')
    expect(found.reason).toMatch(/the table is also the output layer; about \d+ .* nothing is certain/)
    expect(found.falsePositiveBound).toBeGreaterThan(0)
    const known = new Set(one.trained)
    const right = found.tokens.filter(({ id }) => known.has(id))
    expect(found.tokens.length).toBeGreaterThan(0.3 * one.trained.length)
    expect(right.length / found.tokens.length).toBeGreaterThan(0.9)
    for (const { probability } of found.tokens) {
      expect(probability).toBeGreaterThanOrEqual(0.9)
      expect(probability).toBeLessThan(1)
    }
    for (const { probability, ids } of found.words) {
      const tokens = ids.map((id) => found.tokens.find((token) => token.id === id)!.probability)
      expect(probability).toBeLessThanOrEqual(tokens.reduce((a, b) => a * b, 1))
    }
    expect(tables['tokens.csv']![1]).toHaveLength(tables['tokens.csv']![0]!.length)
  })

  test('with hardly a token that ordinary language lacks there is nothing to grade against', async () => {
    const [one] = tied
    const pair = languagePair(one!)
    const { result } = await diff({
      ...pair,
      only: ['words', 'weights'],
      singularValues: 0,
      texts: [texts([languageWords.join(' ')])],
    })
    expect(result.skipped).toMatchObject([{ part: 'words', code: 'TRACE_NULL_ROWS' }])
  })
})

describe('pairs that tell nothing', () => {
  const base = tinyBase()
  const skipped = async (reference: string, more: Partial<DiffOptions> = {}): Promise<DiffResult['skipped'][0]> =>
    (await diff({ base: writeTiny(base), reference, singularValues: 0, ...more })).result.skipped[0]

  test('frozen tables, every row moved, no tokenizer: a reason each, and the weights go on', async () => {
    const frozen = writeTiny(
      changed(base, (name, one) => (name.startsWith('embeddings') ? undefined : trained(name, one))),
    )
    expect(await skipped(frozen)).toMatchObject({ part: 'words', code: 'DIFF_NO_TOKENS' })
    const moved = writeTiny(changed(base, (name, one) => trained(name, one)))
    expect((await skipped(moved)).reason).toContain('every row moved')
    const rows = changed(base, (name, { values }) =>
      name === 'embeddings.word_embeddings.weight' ? values.map((v, i) => (i < 9 * hidden ? v + 0.01 : v)) : undefined,
    )
    expect(await skipped(writeTiny(rows))).toMatchObject({ code: 'DIFF_NO_TOKENIZER' })
    const spelt = { 'tokenizer.json': tokenizerJson(spelled(tokens)) }
    const { words: found } = await wordsOf(writeTiny(base), writeTiny(rows, 'F32', spelt))
    expect(found.trained).toBe(9)
  })

  test('identical weights are an answer, also alone', async () => {
    const [from, to] = [writeTiny(base), writeTiny(base)]
    expect(await skipped(to)).toMatchObject({ code: 'NO_SIGNAL' })
    const { lines } = await diff({ base: from, reference: to, only: ['words'] })
    expect(lines.join('\n')).toContain('words: does not apply: base and reference have the same weights')
  })

  test('nothing to say at all is an error', async () => {
    const moved = writeTiny(changed(base, (name, one) => trained(name, one)))
    const error = await refused(
      () => diff({ base: writeTiny(base), reference: moved, only: ['words'] }),
      'DIFF_NOTHING_APPLIES',
    )
    expect(error.message).toContain('words: the token table tells nothing')
  })

  test('an unknown part is refused with the list', async () => {
    await expect(diff({ base: 'a', reference: 'b', only: ['word'] })).rejects.toMatchObject({
      code: 'DIFF_PART_UNKNOWN',
      details: { expected: ['weights', 'words', 'predictions', 'lens', 'texts', 'domains'] },
    })
  })
})
