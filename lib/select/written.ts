import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readForm } from '../document.js'
import { inputError } from '../errors.js'
import type { SelectedDocument, SelectResult } from './types.js'

/** What `select` writes into its folder. */
export const selectionFiles = ['result.json', 'selection.jsonl'] as const

const form = z.looseObject({
  base: z.string(),
  reference: z.string(),
  selected: z.int().positive(),
  window: z.int().positive(),
})

/** Reads a selection back. @throws WarpError (input) SELECTION_… */
export async function readSelection(
  folder: string,
): Promise<{ result: SelectResult; documents: Pick<SelectedDocument, 'text' | 'label' | 'source'>[] }> {
  const again = 'make it with `warp select`'
  const result = (await readForm(join(folder, 'result.json'), {
    prefix: 'SELECTION',
    schema: 'warp.select/1',
    form,
    again,
  })) as unknown as SelectResult
  const file = join(folder, 'selection.jsonl')
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean)
  if (lines.length !== result.selected)
    throw inputError(
      'SELECTION_CUT',
      `${file}: ${lines.length} documents, result.json has ${result.selected}`,
      { file, found: lines.length, expected: result.selected },
      again,
    )
  const documents = lines.map((line, i) => {
    try {
      return z.object({ text: z.string(), label: z.string().nullable(), source: z.string() }).parse(JSON.parse(line))
    } catch (cause) {
      throw inputError('SELECTION_FORM', `${file}:${i + 1}: no document`, { file, line: i + 1, cause: String(cause) }, again)
    }
  })
  return { result, documents }
}
