import type { AddedToken } from './added-tokens.js'
import { BertNormalizer } from './bert-normalizer.js'
import { Bpe } from './bpe.js'
import { ByteLevel } from './byte-level.js'
import { readNormalizer, readPreTokenizer, readTemplate, unsupported } from './components.js'
import { type Cursor, shown, supportedHint } from './cursor.js'
import { readAddedTokens, readBpe, readVocab, readWordPiece, type Vocabulary } from './models.js'
import { LocalTokenizer, type TokenizerParts } from './local.js'
import { templateIds } from './template.js'
import { WordPiece } from './wordpiece.js'

/**
 * Puts a tokenizer together from the contents of a `tokenizer.json`.
 * @throws WarpError of kind `input`: TOKENIZER_VERSION, TOKENIZER_INVALID (a field of the wrong kind),
 *   TOKENIZER_UNKNOWN_COMPONENT, TOKENIZER_UNSUPPORTED (a known component with settings outside the subset that this
 *   package's own code knows), TOKENIZER_DUPLICATE_ID, TOKENIZER_ID_MISMATCH
 */
export function readLocalTokenizer(root: Cursor): LocalTokenizer {
  const version = root.field('version')
  if (version.value !== '1.0') {
    const found = shown(version.value)
    throw version.error('TOKENIZER_VERSION', `found ${found}, expected "1.0"`, { found, expected: '1.0' })
  }
  const { model, normalizer, vocab } = readModel(root)
  const addedTokens = readAddedTokens(root.field('added_tokens'), vocab)
  const template = readTemplate(root.field('post_processor'), (id) => vocab.tokens.has(id))
  const specialIds = new Set(templateIds(template))
  for (const token of addedTokens) if (token.special) specialIds.add(token.id)
  return new LocalTokenizer({
    tokens: vocab.tokens,
    template,
    specialIds,
    model,
    ...patterns(root.field('added_tokens'), addedTokens, normalizer),
  })
}

interface Model extends Pick<TokenizerParts, 'model'> {
  normalizer: BertNormalizer | null
  vocab: Vocabulary
}

function readModel(root: Cursor): Model {
  const at = root.field('model')
  const type = modelType(at)
  const options = readNormalizer(root.field('normalizer'))
  const pre = readPreTokenizer(root.field('pre_tokenizer'))
  if ((type === 'WordPiece') !== (pre === 'bert')) {
    throw unsupported(root.field('pre_tokenizer'), `this pre-tokenizer with a ${type} model`)
  }
  const vocab = readVocab(at.field('vocab'))
  if (pre === 'bert') {
    const normalizer = options === null ? null : new BertNormalizer(options)
    const encoder = new WordPiece(readWordPiece(at, vocab.ids), normalizer)
    return { vocab, normalizer, model: { kind: 'wordpiece', normalizer, encoder } }
  }
  if (options !== null) throw unsupported(root.field('normalizer'), 'a normalizer with a byte-level model')
  const bpe = readBpe(at, vocab.ids)
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
