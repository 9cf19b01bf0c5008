import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { inputError } from '../errors.js'
import { readSmallFile } from './files.js'

/** The parts of `tokenizer.json` that decide which ids a text gets; truncation and padding are settings of a run. */
const PARTS = ['model', 'added_tokens', 'normalizer', 'pre_tokenizer', 'post_processor']

/**
 * Compares the tokenizers of two model directories.
 * @throws WarpError PAIR_TOKENIZER when both have one and they differ, naming the part
 */
export async function compareTokenizers(base: string, reference: string, notes: string[]): Promise<void> {
  for (const name of ['tokenizer.json', 'vocab.txt', 'vocab.json']) {
    const [a, b] = await Promise.all([base, reference].map((dir) => readSmallFile(join(dir, name)).catch(missing)))
    if (a && b) {
      const part = a.equals(b) ? undefined : name === 'tokenizer.json' ? await differingPart(a, b) : 'vocabulary'
      if (part === undefined) return
      throw inputError(
        'PAIR_TOKENIZER',
        `base and reference have different tokenizers: "${part}" of ${name} differs`,
        { file: join(reference, name), found: part },
        'Give the base model that the reference was fine-tuned from.',
      )
    }
    if (a || b) notes.push(`${a ? reference : base}: no ${name}; that of ${a ? base : reference} could not be compared`)
  }
}

function missing(error: { code?: string }): undefined {
  if (error.code !== 'FILE_NOT_FOUND') throw error
}

/**
 * Keys in any order; a missing part is the same as null. Lets the event loop turn between its steps: vocabularies are
 * large.
 */
async function differingPart(a: Buffer, b: Buffer): Promise<string | undefined> {
  const left = parsed(a)
  await nextTurn()
  const right = parsed(b)
  if (!left || !right) return 'JSON'
  for (const part of PARTS) {
    await nextTurn()
    if (!isDeepStrictEqual(left[part] ?? null, right[part] ?? null)) return part
  }
  return undefined
}

function parsed(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
