import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inputError, type WarpError } from '../errors.js'
import { Fields } from '../models/fields.js'
import { dtypeBits } from './dtypes.js'
import { readSmallFile } from './files.js'
import type { ModelDirectory, TensorEntry } from './model.js'

/**
 * The base with as many rows for tokens as the reference has, where both give the tokens they share the same ids: new
 * rows are the reference's, so that they do not move along a path; rows that the reference gave up are left out. Only
 * where each row is changes; nothing is copied.
 * @throws WarpError PAIR_VOCABULARY where the ids of shared tokens differ or are not known
 */
export async function growVocabulary(
  base: ModelDirectory,
  reference: ModelDirectory,
  notes: string[],
): Promise<ModelDirectory> {
  const [a, b] = [base, reference].map(({ tensors }) => tensors.get(base.inputEmbedding))
  const [old, rows] = [a?.shape[0], b?.shape[0]]
  if (!a || !b || old === undefined || rows === undefined || old === rows || !grows(a, b, old, rows)) return base
  await compareIds(base, reference, Math.min(old, rows), [old, rows])
  const tensors = new Map(base.tensors)
  for (const t of base.tensors.values()) {
    const other = reference.tensors.get(t.name)
    if (other && grows(t, other, old, rows)) tensors.set(t.name, resized(t, other, base, reference))
  }
  const gained = rows > old ? `${rows - old} new rows come from the reference` : `${old - rows} were given up`
  notes.push(`tables of ${old} and ${rows} rows: ${Math.min(old, rows)} tokens have the same ids, ${gained}`)
  const vocabularySize = reference.architecture.vocabularySize
  const config = { ...base.config, vocab_size: vocabularySize }
  return {
    ...base,
    tensors,
    config,
    files: rows > old ? [...base.files, ...reference.files] : base.files,
    architecture: { ...base.architecture, vocabularySize },
    blueprint: base.blueprint && base.family!.read(new Fields(config, join(base.dir, 'config.json'))),
  }
}

/** Whether two tensors differ in the number of tokens only. */
function grows(a: TensorEntry, b: TensorEntry, old: number, rows: number): boolean {
  const same = a.shape.length === b.shape.length && a.shape.slice(1).every((size, i) => size === b.shape[i + 1])
  return same && a.shape[0] === old && b.shape[0] === rows
}

function resized(t: TensorEntry, other: TensorEntry, base: ModelDirectory, reference: ModelDirectory): TensorEntry {
  const width = t.shape.slice(1).reduce((product, size) => product * size, 1)
  const [old, rows] = [t.shape[0]!, other.shape[0]!]
  const changed = { ...t, shape: [...other.shape], length: (t.length / old) * Math.min(old, rows) }
  if (rows < old) return changed
  if (other.delta || other.dtype.startsWith('F8')) {
    throw vocabularyError(
      base,
      reference,
      [old, rows],
      `the new rows of ${other.storedName} are not stored as they are`,
    )
  }
  const offset = other.offset + (old * width * dtypeBits(other.dtype)) / 8
  return { ...changed, tail: { dtype: other.dtype, file: base.files.length + other.file, first: old * width, offset } }
}

function vocabularyError(base: ModelDirectory, reference: ModelDirectory, rows: number[], why: string): WarpError {
  return inputError(
    'PAIR_VOCABULARY',
    `embedding tables of ${rows[0]} and ${rows[1]} rows (${base.dir}, ${reference.dir}): ${why}`,
    { file: reference.dir, tensor: base.inputEmbedding, found: rows[1], expected: rows[0] },
    'Rows can be compared where both tokenizers are there and agree on the ids; give the base it was fine-tuned from.',
  )
}

/** @throws WarpError PAIR_VOCABULARY unless the first `count` ids are the same tokens in both */
async function compareIds(
  base: ModelDirectory,
  reference: ModelDirectory,
  count: number,
  rows: number[],
): Promise<void> {
  const left = await tokensOf(base.dir)
  const right = (await tokensOf(reference.dir)) ?? (reference.adapter && left)
  if (!left || !right)
    throw vocabularyError(
      base,
      reference,
      rows,
      `${left ? reference.dir : base.dir} has no tokenizer that says which belong together`,
    )
  await nextTurn()
  for (const [id, token] of left) {
    const other = right.get(id)
    if (id < count && other !== undefined && other !== token) {
      const what = `id ${id} is ${JSON.stringify(token)} in the base and ${JSON.stringify(other)} in the reference`
      throw vocabularyError(base, reference, rows, what)
    }
  }
}

/** Token by id, from whichever file of a tokenizer is there; undefined where none is. */
async function tokensOf(dir: string): Promise<ReadonlyMap<number, string> | undefined> {
  const text = async (name: string): Promise<string | undefined> =>
    readSmallFile(join(dir, name)).then(
      (bytes) => bytes.toString('utf8'),
      () => undefined,
    )
  const whole = await text('tokenizer.json')
  if (whole !== undefined) return tokensOfJson(parsed<TokenizerJson>(whole))
  const list = await text('vocab.txt')
  if (list !== undefined) return new Map(list.split('\n').map((token, id) => [id, token.trimEnd()]))
  const map = await text('vocab.json')
  if (map === undefined) return undefined
  return tokensOfJson({ model: { vocab: parsed<Record<string, number>>(map) } })
}

/** What is wrong with a file that cannot be read is said where texts are read. */
function parsed<T extends object>(text: string): T {
  try {
    return JSON.parse(text) as T
  } catch {
    return {} as T
  }
}

interface TokenizerJson {
  model?: { vocab?: Record<string, number> | [string, number][] }
  added_tokens?: { id: number; content: string }[]
}

function tokensOfJson({ model, added_tokens: added }: TokenizerJson): Map<number, string> {
  const { vocab = {} } = model ?? {}
  const pairs = Array.isArray(vocab)
    ? vocab.map(([token], id): [number, string] => [id, token])
    : Object.entries(vocab).map(([token, id]): [number, string] => [id, token])
  return new Map([...pairs, ...(added ?? []).map(({ id, content }): [number, string] => [id, content])])
}
