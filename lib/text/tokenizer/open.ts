import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError, type WarpError } from '../../errors.js'
import { Cursor, saveAgain } from './cursor.js'
import { readLocalTokenizer } from './read-local.js'
import { openReference } from './reference.js'
import type { Engine } from './types.js'

const largestFile = 256 * 2 ** 20
/** What this package's own code says of files that it does not know, and the reference implementation may. */
const foreign = new Set(['TOKENIZER_UNKNOWN_COMPONENT', 'TOKENIZER_UNSUPPORTED'])

/**
 * Reads the `tokenizer.json` of a model directory, or the file itself. The one place that chooses who reads the texts:
 * this package's own code where it knows every part of the file, else the reference implementation.
 *
 * @throws WarpError of kind `input`: TOKENIZER_MISSING, TOKENIZER_TOO_LARGE, TOKENIZER_NOT_JSON, and those of both readers; of kind `resource`: TOKENIZER_READER
 */
export async function openEngine(path: string): Promise<{ engine: Engine; sha256: string }> {
  const file = await locate(path)
  const bytes = await readFile(file)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const [text, json] = parse(file, bytes)
  const root = new Cursor(file, '', json)
  return { engine: await choose(root, text), sha256 }
}

async function choose(root: Cursor, text: string): Promise<Engine> {
  try {
    return readLocalTokenizer(root)
  } catch (error) {
    if (!foreign.has((error as WarpError).code)) throw error
    return openReference(root, text, error as WarpError)
  }
}

async function locate(path: string): Promise<string> {
  const find = (name: string) => stat(name).catch(() => undefined)
  const isDirectory = (await find(path))?.isDirectory() === true
  const file = isDirectory ? join(path, 'tokenizer.json') : path
  const found = await find(file)
  if (found === undefined || !found.isFile()) throw await missing(file, isDirectory ? path : undefined)
  if (found.size > largestFile) {
    throw inputError('TOKENIZER_TOO_LARGE', `${file}: ${found.size} bytes; at most ${largestFile} are read`, {
      file, found: found.size, expected: `<= ${largestFile}`,
    }, saveAgain)
  }
  return file
}

/** Forms that `transformers` turns into a tokenizer.json. */
const otherForms = ['tokenizer.model', 'spiece.model', 'sentencepiece.bpe.model', 'spm.model', 'vocab.txt', 'vocab.json', 'tekken.json', 'vocab.model']

async function missing(file: string, folder: string | undefined): Promise<Error> {
  const names = folder === undefined ? [] : await readdir(folder).catch(() => [])
  const other = otherForms.filter((name) => names.includes(name))
  const hint = `python3 -c "from transformers import AutoTokenizer; ` +
    `AutoTokenizer.from_pretrained('${folder ?? 'DIRECTORY'}').save_pretrained('${folder ?? 'DIRECTORY'}')" writes it`
  if (other.length === 0) return inputError('TOKENIZER_MISSING', `${file}: no such file`, { file, expected: 'tokenizer.json' }, hint)
  return inputError('TOKENIZER_MISSING', `${file}: no such file; there is ${other.join(', ')}, which must be converted once`,
    { file, expected: 'tokenizer.json', found: other }, hint)
}

function parse(file: string, bytes: Uint8Array): [string, unknown] {
  let reason: string
  let hint = saveAgain
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    if (text.startsWith('version https://git-lfs')) hint = 'This is a Git LFS pointer: run git lfs pull.'
    return [text, JSON.parse(text)]
  } catch (error) {
    reason = (error as Error).message
  }
  throw inputError('TOKENIZER_NOT_JSON', `${file}: not JSON: ${reason}`, { file, expected: 'JSON in UTF-8' }, hint)
}
