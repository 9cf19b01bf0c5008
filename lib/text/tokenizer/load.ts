import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inputError } from '../../errors.js'
import type { AddedToken } from './added-tokens.js'
import { BertNormalizer } from './bert-normalizer.js'
import { Bpe } from './bpe.js'
import { ByteLevel } from './byte-level.js'
import { readNormalizer, readPreTokenizer, readTemplate, unsupported } from './components.js'
import { Cursor, saveAgain, shown, supportedHint } from './cursor.js'
import { readAddedTokens, readBpe, readVocab, readWordPiece } from './models.js'
import { templateIds } from './template.js'
import { Tokenizer, type TokenizerParts } from './tokenizer.js'
import { WordPiece } from './wordpiece.js'

const largestFile = 256 * 2 ** 20

/**
 * Reads the `tokenizer.json` of a model directory, or the file itself; lets the event loop turn between its steps.
 *
 * @throws WarpError of kind `input`: TOKENIZER_MISSING, TOKENIZER_TOO_LARGE, TOKENIZER_NOT_JSON, TOKENIZER_VERSION,
 *   TOKENIZER_INVALID (a field of the wrong kind), TOKENIZER_UNKNOWN_COMPONENT, TOKENIZER_UNSUPPORTED (a known
 *   component with settings outside the supported subset), TOKENIZER_DUPLICATE_ID, TOKENIZER_ID_MISMATCH
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  const file = await locate(path)
  const bytes = await readFile(file)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  await nextTurn()
  const root = new Cursor(file, '', parse(file, bytes))
  await nextTurn()
  return build(root, sha256)
}

async function locate(path: string): Promise<string> {
  const find = (name: string) => stat(name).catch(() => undefined)
  const isDirectory = (await find(path))?.isDirectory() === true
  const file = isDirectory ? join(path, 'tokenizer.json') : path
  const found = await find(file)
  if (found === undefined || !found.isFile()) {
    const hint = 'Save it with transformers: AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY).'
    throw inputError('TOKENIZER_MISSING', `${file}: no such file`, { file, expected: 'tokenizer.json' }, hint)
  }
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

function parse(file: string, bytes: Uint8Array): unknown {
  let reason: string
  let hint = saveAgain
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    if (text.startsWith('version https://git-lfs')) hint = 'This is a Git LFS pointer: run git lfs pull.'
    return JSON.parse(text)
  } catch (error) {
    reason = (error as Error).message
  }
  throw inputError('TOKENIZER_NOT_JSON', `${file}: not JSON: ${reason}`, { file, expected: 'JSON in UTF-8' }, hint)
}

async function build(root: Cursor, sha256: string): Promise<Tokenizer> {
  const version = root.field('version')
  if (version.value !== '1.0') {
    const found = shown(version.value)
    throw version.error('TOKENIZER_VERSION', `found ${found}, expected "1.0"`, { found, expected: '1.0' })
  }
  const { model, normalizer, vocab } = await readModel(root)
  await nextTurn()
  const addedTokens = readAddedTokens(root.field('added_tokens'), vocab)
  const known = new Set([...vocab.values(), ...addedTokens.map((token) => token.id)])
  const template = readTemplate(root.field('post_processor'), (id) => known.has(id))
  const specialIds = new Set(templateIds(template))
  for (const token of addedTokens) if (token.special) specialIds.add(token.id)
  return new Tokenizer({
    sha256,
    vocab,
    addedTokens,
    template,
    specialIds,
    model,
    ...patterns(root.field('added_tokens'), addedTokens, normalizer),
  })
}

type Model = Pick<TokenizerParts, 'model' | 'vocab'> & { normalizer: BertNormalizer | null }

async function readModel(root: Cursor): Promise<Model> {
  const at = root.field('model')
  const type = modelType(at)
  const options = readNormalizer(root.field('normalizer'))
  const pre = readPreTokenizer(root.field('pre_tokenizer'))
  if ((type === 'WordPiece') !== (pre === 'bert')) {
    throw unsupported(root.field('pre_tokenizer'), `this pre-tokenizer with a ${type} model`)
  }
  const vocab = readVocab(at.field('vocab'))
  await nextTurn()
  if (pre === 'bert') {
    const normalizer = options === null ? null : new BertNormalizer(options)
    const encoder = new WordPiece(readWordPiece(at, vocab), normalizer)
    return { vocab, normalizer, model: { kind: 'wordpiece', normalizer, encoder } }
  }
  if (options !== null) throw unsupported(root.field('normalizer'), 'a normalizer with a byte-level model')
  const bpe = readBpe(at, vocab)
  await nextTurn()
  return { vocab, normalizer: null, model: { kind: 'bpe', encoder: new ByteLevel(pre, new Bpe(bpe)) } }
}

/** Files of before 2021 have no `type`; their fields tell. */
function modelType(at: Cursor): 'WordPiece' | 'BPE' {
  const type = at.field('type')
  if (type.value === 'WordPiece' || type.value === 'BPE') return type.value
  if (type.value === undefined && at.field('merges').value !== undefined) return 'BPE'
  if (type.value === undefined && at.field('max_input_chars_per_word').value !== undefined) return 'WordPiece'
  throw type.error(
    'TOKENIZER_UNKNOWN_COMPONENT',
    `${shown(type.value)} is not supported; supported: WordPiece, BPE (byte-level)`,
    { found: type.value ?? null, expected: ['WordPiece', 'BPE'] },
    supportedHint,
  )
}

function patterns(
  at: Cursor,
  tokens: readonly AddedToken[],
  normalizer: BertNormalizer | null,
): Pick<TokenizerParts, 'rawPatterns' | 'normalizedPatterns'> {
  const rawPatterns = new Map<string, AddedToken>()
  const normalizedPatterns = new Map<string, AddedToken>()
  for (const token of tokens) {
    if (!token.normalized) {
      rawPatterns.set(token.content, token)
      continue
    }
    const pattern = normalizer === null ? token.content : normalizer.normalize(token.content)
    const other = normalizedPatterns.get(pattern)
    if (pattern === '' || other !== undefined) {
      const why = other === undefined ? 'nothing' : `the same as ${shown(other.content)}`
      throw at.error('TOKENIZER_INVALID', `${shown(token.content)} is normalised to ${why}`, { found: token.content })
    }
    normalizedPatterns.set(pattern, token)
  }
  return { rawPatterns, normalizedPatterns }
}
