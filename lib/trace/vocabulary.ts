import { inputError } from '../errors.js'
import type { Tokenizer } from '../text/tokenizer/index.js'

export interface RowMatch {
  pairs: { rows: Uint32Array; baseRows: Uint32Array }
  /** rows of the reference without a counterpart */
  added: number[]
}

/** The spelling of every id that has one. */
function spellings(tokenizer: Tokenizer, rows: number): Map<number, string> {
  const tokens = new Map<number, string>()
  for (let id = 0; id <= Math.min(tokenizer.maxId, rows - 1); id++) {
    try {
      tokens.set(id, tokenizer.token(id))
    } catch {
      // ids may have holes
    }
  }
  return tokens
}

/**
 * Which rows of two tables of different size stand for the same token: by spelling, through both vocabularies; rows
 * beyond a vocabulary (tables are padded to round numbers) are left out.
 */
export function matchRows(
  base: Tokenizer | undefined,
  reference: Tokenizer | undefined,
  baseRows: number,
  rows: number,
  notes: string[],
): RowMatch {
  if (!base || !reference) {
    throw inputError(
      'TRACE_VOCABULARY',
      `tables of ${baseRows} and ${rows} rows; without a tokenizer.json in both folders it is unknown which belong ` +
        'together',
      { found: rows, expected: baseRows },
      'Put the tokenizer.json of each model into its folder.',
    )
  }
  const left: number[] = [],
    right: number[] = [],
    added: number[] = []
  for (const [id, token] of spellings(reference, rows)) {
    const partner = base.id(token)
    if (partner === undefined || partner >= baseRows) {
      added.push(id)
    } else {
      right.push(id)
      left.push(partner)
    }
  }
  if (right.length < Math.min(baseRows, rows) / 2) {
    throw inputError(
      'TRACE_VOCABULARY',
      `only ${right.length} tokens are in both vocabularies (tables of ${baseRows} and ${rows} rows)`,
      { found: right.length, expected: Math.min(baseRows, rows) },
      'Give the base model that the reference was fine-tuned from.',
    )
  }
  const moved = right.reduce((sum, id, i) => sum + (id === left[i] ? 0 : 1), 0)
  notes.push(
    `tables of ${baseRows} and ${rows} rows: ${right.length} tokens compared by their spelling` +
      (moved > 0 ? `, ${moved} of them under another id` : '') +
      `; ${rows - right.length} rows of the reference have no counterpart`,
  )
  return { pairs: { rows: Uint32Array.from(right), baseRows: Uint32Array.from(left) }, added }
}
