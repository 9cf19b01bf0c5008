import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError } from '../errors.js'
import { type Tokenizer, loadTokenizer, tokenizerDifference } from '../text/tokenizer/index.js'
import { readSmallFile } from './files.js'

/** Whose tokenizer reads the texts: that of one of the two models, or of another directory. */
export type TokenizerChoice = 'base' | 'reference' | (string & {})

const override = '--tokenizer base or --tokenizer reference says which one the model was trained with'

/**
 * Compares the tokenizers of two model directories: what decides the ids of a text, however it is written.
 * @param chosen the tokenizer that was asked for by name: what differs is then noted, not refused
 * @throws WarpError PAIR_TOKENIZER when both have one and they differ, naming the part and, where one is found, a text
 */
export async function compareTokenizers(
  base: string,
  reference: string,
  notes: string[],
  chosen?: TokenizerChoice,
): Promise<void> {
  for (const name of ['tokenizer.json', 'vocab.txt', 'vocab.json']) {
    const [a, b] = await Promise.all(
      [base, reference].map((dir) => readSmallFile(join(dir, name), largest).catch(missing)),
    )
    if (a && b) {
      const found = a.equals(b)
        ? undefined
        : name === 'tokenizer.json'
          ? await tokenizerDifference(join(base, name), join(reference, name))
          : { part: 'vocabulary' }
      if (found === undefined) return
      const shown = found.text === undefined ? '' : `: the text ${JSON.stringify(found.text)} gets other ids`
      const what = `base and reference have different tokenizers: "${found.part}" of ${name} differs${shown}`
      if (chosen === undefined) {
        throw inputError(
          'PAIR_TOKENIZER',
          what,
          { file: join(reference, name), found: found.part, text: found.text },
          `Give the base model that the reference was fine-tuned from; ${override}.`,
        )
      }
      notes.push(`${what}; asked for: ${chosen}`)
      return
    }
    if (a || b) notes.push(`${a ? reference : base}: no ${name}; that of ${a ? base : reference} could not be compared`)
  }
}

const largest = 256 * 2 ** 20

function missing(error: { code?: string }): undefined {
  if (error.code !== 'FILE_NOT_FOUND') throw error
}

/**
 * The tokenizer that reads the texts of a pair: the one asked for, else the reference's, else the base's; undefined
 * where neither has one. Which one it is, and who reads it, is noted.
 * @throws WarpError as `loadTokenizer`, TOKENIZER_MISSING for one that was asked for
 */
export async function pairTokenizer(
  base: string,
  reference: string,
  notes: string[],
  chosen?: TokenizerChoice,
): Promise<Tokenizer | undefined> {
  const places =
    chosen === undefined ? [reference, base] : [chosen === 'base' ? base : chosen === 'reference' ? reference : chosen]
  for (const place of places) {
    const there = await access(join(place, 'tokenizer.json')).then(
      () => true,
      () => false,
    )
    if (!there && chosen === undefined) continue
    const tokenizer = await loadTokenizer(place)
    if (place !== reference) notes.push(`the tokenizer is that of ${place}`)
    notes.push(tokenizer.note)
    return tokenizer
  }
  return undefined
}
