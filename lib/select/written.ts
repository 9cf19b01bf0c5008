import { join } from 'node:path'
import { z } from 'zod'
import { readSmallFile } from '../checkpoint/files.js'
import { readForm } from '../document.js'
import { inputError } from '../errors.js'
import type { LabelledDocument } from './training-sets.js'
import type { SelectResult } from './types.js'

const form = z.looseObject({
  base: z.string(),
  reference: z.string(),
  weights: z.array(z.string()),
  selected: z.int().positive(),
  window: z.int().positive(),
})

const document = z.object({
  text: z.string(),
  source: z.string(),
  prompt: z.int().nonnegative(),
  label: z.string().nullable(),
  probabilities: z.array(z.number()).nullable(),
})

/** Bytes of the documents: what one string may hold. */
const largest = 2 ** 29 - 1000

/** Reads a selection back. @throws WarpError (input) SELECTION_… and those of `readSmallFile` */
export async function readSelection(folder: string): Promise<{ result: SelectResult; documents: LabelledDocument[] }> {
  const again = 'make it with `warp select`'
  const result = (await readForm(join(folder, 'result.json'), {
    prefix: 'SELECTION',
    schema: 'warp.select/1',
    form,
    again,
  })) as unknown as SelectResult
  const file = join(folder, 'selection.jsonl')
  const bytes = await readSmallFile(file, largest)
  const lines = bytes.toString('utf8').split('\n').filter(Boolean)
  if (lines.length !== result.selected)
    throw inputError(
      'SELECTION_CUT',
      `${file}: ${lines.length} documents, result.json has ${result.selected}`,
      { file, found: lines.length, expected: result.selected },
      again,
    )
  const documents = lines.map((line, i) => {
    try {
      return document.parse(JSON.parse(line))
    } catch (cause) {
      throw inputError(
        'SELECTION_FORM',
        `${file}:${i + 1}: no document`,
        { file, line: i + 1, cause: String(cause) },
        again,
      )
    }
  })
  return { result, documents }
}
