import { join } from 'node:path'
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
      const part = a.equals(b) ? undefined : name === 'tokenizer.json' ? differingPart(a, b) : 'vocabulary'
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

function differingPart(a: Buffer, b: Buffer): string | undefined {
  const parsed = [a, b].map((bytes) => {
    try {
      return JSON.parse(bytes.toString('utf8'))
    } catch {
      return undefined
    }
  })
  if (!parsed[0] || !parsed[1]) return 'JSON'
  return PARTS.find((part) => canonical(parsed[0][part]) !== canonical(parsed[1][part]))
}

/** JSON text with sorted keys; a missing part is the same as null. */
function canonical(value: unknown): string {
  return JSON.stringify(value ?? null, (_, v) =>
    v && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([x], [y]) => (x < y ? -1 : 1)))
      : v,
  )
}
