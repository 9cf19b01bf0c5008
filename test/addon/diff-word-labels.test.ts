// Labels of words in `diff`, by the directions in which rows moved: no text of any label is given.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { diff } from '../../lib/index.js'
import { Random } from '../../lib/random.js'
import { train } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { trainableModel } from '../support/training.js'
import { languageCases, languagePair } from '../support/trace-lm.js'

const names = ['animals', 'plants', 'stones']
const wordsOfLabel = 20

/** Words w0 … w19 are of the first label, and so on. */
const labelOf = (word: string): string | undefined => names[Math.floor(Number(word.slice(1)) / wordsOfLabel)]

function write(name: string, rows: object[]): string {
  const file = join(temporaryDirectory(), name)
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}

describe('a classifier whose labels have words of their own', () => {
  const base = trainableModel()
  const reference = join(temporaryDirectory(), 'trained')
  const random = new Random(5, 'words')
  const text = (from: number, count: number, length: number): string =>
    Array.from({ length }, () => `w${from + random.below(count)}`).join(' ')
  const neutral = write(
    'neutral.jsonl',
    Array.from({ length: 60 }, () => ({ text: text(0, 116, 12) })),
  )

  beforeAll(async () => {
    const rows = names.flatMap((label, d) =>
      Array.from({ length: 30 }, () => ({ text: text(wordsOfLabel * d, wordsOfLabel, 6), label })),
    )
    const recipe = { labels: names, epochs: 20, batch: 8, learningRate: 1e-3, dropout: 0 }
    await train({ base, data: [write('training.jsonl', rows)], output: reference, ...recipe })
  })

  test('are told for nearly all of them, from texts that hold no label', async () => {
    const { result, tables, lines, page } = await diff({ base, reference, only: ['words'], texts: [neutral] })
    const { labels, tokens, words } = result.words!
    expect(labels).toEqual({
      applies: true,
      reason: `directions of 3 labels from the first 60 texts of ${neutral}`,
    })
    for (const found of [tokens.map(({ token, ...rest }) => ({ word: token, ...rest })), words]) {
      expect(found.length).toBeGreaterThan(50)
      const right = found.filter(({ word, label }) => label === labelOf(word)).length
      expect(right / found.length).toBeGreaterThan(0.9)
      expect(found.every(({ margin }) => margin! >= 0)).toBe(true)
    }
    const surest = lines.filter((line) => line.startsWith('  surest of '))
    expect(surest.map((line) => line.split(/ of |: /)[1])).toEqual(names)
    for (const [d, line] of surest.entries())
      expect(line.split(': ')[1].split(', ').map(labelOf)).toEqual(new Array(8).fill(names[d]))
    expect(page()).toContain('Of each label the words that are told most surely')
    expect(tables['words.csv'][1].slice(0, 3)).toEqual([words[0].word, words[0].label, words[0].margin])
  })

  test('do not depend on threads', async () => {
    const [one, other] = await Promise.all(
      [1, 3].map((threads) => diff({ base, reference, only: ['words'], texts: [neutral], threads })),
    )
    expect(other.result.words).toEqual(one.result.words)
  })
})

test('language models have none, and say so', async () => {
  const pair = languagePair(languageCases().find(({ tied }) => !tied)!)
  const { result } = await diff({ base: pair.base, reference: pair.reference, only: ['words'] })
  expect(result.words!.labels).toEqual({ applies: false, reason: 'the model has no labels (objective language)' })
})
