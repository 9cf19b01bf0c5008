import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError, WarpError } from '../../errors.js'
import { Cursor, saveAgain } from './cursor.js'
import { readLocalTokenizer } from './read-local.js'
import { openReference } from './reference.js'
import { parseTokenizer } from './scan.js'
import type { Engine } from './types.js'
import { stat } from '../../stat.js'

const largestFile = 256 * 2 ** 20
/** What this package's own code says of files that it does not know, and the reference implementation may. */
const foreign = new Set(['TOKENIZER_UNKNOWN_COMPONENT', 'TOKENIZER_UNSUPPORTED'])

/**
 * Reads the `tokenizer.json` of a model directory, or the file itself. The one place that chooses who reads the texts:
 * this package's own code where it knows every part of the file, else the reference implementation.
 *
 * @throws WarpError of kind `input`: TOKENIZER_MISSING, TOKENIZER_TOO_LARGE, TOKENIZER_NOT_JSON, and those of both
 * readers; of kind `resource`: TOKENIZER_READER
 */
export async function openEngine(path: string): Promise<{ engine: Engine; sha256: string }> {
  const file = await locate(path)
  const bytes = await readFile(file)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const text = decode(file, bytes)
  try {
    return { engine: await choose(new Cursor(file, '', parseTokenizer(text, file)), text), sha256 }
  } catch (error) {
    // of what is parsed at once or later
    throw error instanceof SyntaxError ? notJson(file, text, error) : error
  }
}

async function choose(root: Cursor, text: string): Promise<Engine> {
  try {
    return readLocalTokenizer(root)
  } catch (error) {
    if (!(error instanceof WarpError) || !foreign.has(error.code)) throw error
    return openReference(root, text, error)
  }
}

async function locate(path: string): Promise<string> {
  const find = (name: string) => stat(name).catch(() => undefined)
  const isDirectory = (await find(path))?.isDirectory() === true
  const file = isDirectory ? join(path, 'tokenizer.json') : path
  const found = await find(file)
  if (found === undefined || !found.isFile()) throw await missing(file, isDirectory ? path : undefined)
  if (found.size > largestFile) {
    throw inputError(
      'TOKENIZER_TOO_LARGE',
      `${file}: ${found.size} bytes; at most ${largestFile} are read`,
      {
        file,
        found: found.size,
        expected: `<= ${largestFile}`,
      },
      saveAgain,
    )
  }
  return file
}

/** Forms that `transformers` turns into a tokenizer.json. */
const otherForms = [
  'tokenizer.model',
  'spiece.model',
  'sentencepiece.bpe.model',
  'spm.model',
  'vocab.txt',
  'vocab.json',
  'tekken.json',
  'vocab.model',
]

async function missing(file: string, folder: string | undefined): Promise<Error> {
  const names = folder === undefined ? [] : await readdir(folder).catch(() => [])
  const other = otherForms.filter((name) => names.includes(name))
  const hint =
    `python3 -c "from transformers import AutoTokenizer; ` +
    `AutoTokenizer.from_pretrained('${folder ?? 'DIRECTORY'}').save_pretrained('${folder ?? 'DIRECTORY'}')" writes it`
  if (other.length === 0)
    return inputError('TOKENIZER_MISSING', `${file}: no such file`, { file, expected: 'tokenizer.json' }, hint)
  return inputError(
    'TOKENIZER_MISSING',
    `${file}: no such file; there is ${other.join(', ')}, which must be converted once`,
    { file, expected: 'tokenizer.json', found: other },
    hint,
  )
}

function decode(file: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw notJson(file, '', error as Error)
  }
}

function notJson(file: string, text: string, cause: Error): Error {
  const hint = text.startsWith('version https://git-lfs') ? 'This is a Git LFS pointer: run git lfs pull.' : saveAgain
  return inputError(
    'TOKENIZER_NOT_JSON',
    `${file}: not JSON: ${cause.message}`,
    { file, expected: 'JSON in UTF-8' },
    hint,
  )
}
