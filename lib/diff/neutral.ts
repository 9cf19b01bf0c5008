import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { readBatches } from '../text/index.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import type { PartOptions } from './part.js'

/** A word, a number, or one other character. */
const wordPattern = /[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*|\p{N}+|[^\s\p{L}\p{M}\p{N}]/gu

/** How often words stand in texts. */
export class WordCounts {
  readonly words = new Map<string, number>()
  texts = 0

  add(text: string): void {
    this.texts++
    for (const [word] of text.matchAll(wordPattern)) this.words.set(word, (this.words.get(word) ?? 0) + 1)
  }
}

/** What ordinary language is taken to be. */
export interface Neutral {
  counts: WordCounts
  /** occurrences of words that the counts lack in texts of that length: as many as stand there once (Good) */
  unlisted: number
  /** in words, for the result */
  source: string
}

const shipped = path.resolve(__dirname, '../../../assets/words/english.txt.gz')

/** The package's own word counts, or those of the texts that were given. @throws WarpError of reading texts */
export async function readNeutral({ texts, signal, onProgress }: PartOptions): Promise<Neutral> {
  const counts = new WordCounts()
  if (texts?.length) {
    for await (const batch of readBatches(texts, {}, { signal, onProgress })) {
      for (const { text } of batch) counts.add(text)
      await nextTurn()
    }
    const once = [...counts.words.values()].filter((count) => count === 1).length
    return { counts, unlisted: once, source: `${counts.texts} texts of ${texts.join(', ')}` }
  }
  const lines = (await promisify(gunzip)(await readFile(shipped))).toString('utf8').trimEnd().split('\n')
  const [ofTexts, once] = lines[0].split(/\D+/).map(Number)
  counts.texts = ofTexts
  for (const line of lines.slice(1)) {
    const space = line.lastIndexOf(' ')
    counts.words.set(line.slice(0, space), Number(line.slice(space + 1)))
  }
  // the file leaves out the words that stood there once
  return { counts, unlisted: 2 * once, source: `the words of summaries of ${counts.texts} English Wikipedia articles` }
}

export interface NeutralTokens {
  /** by token: how often it stands in the neutral texts */
  counts: Float64Array
  /** words of two tokens or more: ids and how often */
  compound: { word: string; ids: Uint32Array; count: number }[]
  /** of single tokens that are words: how often the word stands alone */
  whole: Map<number, number>
  /** of trained tokens that may be words and that the neutral texts lack, those that were words at most */
  unseenWords: number
  total: number
}

/**
 * Byte-level tokens that may be words are often beginnings of rarer ones (" transf"): of three language models .69 of
 * such words stood in the training texts (benchmarks/results/diff.md). WordPiece has the words themselves.
 */
const unseenWords = (kind: string): number => (kind === 'bpe' ? 0.7 : 1)

/** Milliseconds of tokenising between two turns of the event loop. */
const batchWords = 2048

/**
 * The tokens of the neutral words; words that the counts lack are taken to be made of the same pieces as the compound
 * ones that they have. Where spaces belong to tokens, a word is one after a space but for those that open a text.
 */
export async function tokenise(
  { counts, unlisted }: Neutral,
  tokenizer: Tokenizer,
  rows: number,
  signal?: AbortSignal,
): Promise<NeutralTokens> {
  const found: NeutralTokens = {
    counts: new Float64Array(rows),
    compound: [],
    whole: new Map(),
    unseenWords: unseenWords(tokenizer.kind),
    total: 0,
  }
  const spaces = tokenizer.kind === 'bpe'
  const all = [...counts.words.values()].reduce((sum, count) => sum + count, 0)
  const opening = spaces && all > 0 ? Math.min(1, counts.texts / all) : 0
  const add = (ids: Uint32Array, weight: number): void => {
    for (const id of ids) if (id < rows) found.counts[id] += weight
    found.total += ids.length * weight
  }
  const entries = [...counts.words]
  for (let from = 0; from < entries.length; from += batchWords) {
    signal?.throwIfAborted()
    const batch = entries.slice(from, from + batchWords)
    const isWord = batch.map(([word]) => /^[\p{L}\p{N}]/u.test(word))
    const encode = async (texts: string[]): Promise<(i: number) => Uint32Array> => {
      const { ids, offsets } = await tokenizer.encodeBatch(texts, { addSpecialTokens: false })
      return (i) => ids.slice(offsets[i], offsets[i + 1])
    }
    const inside = await encode(batch.map(([word], i) => (spaces && isWord[i] ? ` ${word}` : word)))
    const first = opening > 0 ? await encode(batch.map(([word]) => word)) : undefined
    batch.forEach(([word, count], i) => {
      const ids = inside(i)
      add(ids, count * (1 - opening))
      if (first && isWord[i]) add(first(i), count * opening)
      if (ids.length > 1 && isWord[i]) found.compound.push({ word, ids, count })
      if (ids.length === 1) found.whole.set(ids[0], (found.whole.get(ids[0]) ?? 0) + count)
    })
  }
  for (const { ids } of found.compound) {
    for (const id of ids) if (id < rows) found.counts[id] += unlisted / found.compound.length
    found.total += (ids.length * unlisted) / found.compound.length
  }
  return found
}
