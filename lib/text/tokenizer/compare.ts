import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { mergeParts } from './models.js'
import { openEngine } from './open.js'
import { parseTokenizer } from './scan.js'
import type { Engine } from './types.js'

type Json = Record<string, unknown>

/** How two tokenizers differ: the part of tokenizer.json, and a text that they give other ids, where one is found. */
export interface Difference {
  part: string
  text?: string
}

/** Fields that newer versions write, with what their absence means; null where a field may be left out. */
const modelDefaults: Record<string, Json> = {
  BPE: {
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
  },
  WordPiece: { continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
  Unigram: { byte_fallback: false },
}
const partDefaults: Record<string, Json> = {
  ByteLevel: { use_regex: true },
  Split: { invert: false },
  Digits: { individual_digits: false },
  Metaspace: { split: true },
}
const flags = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special']

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map)
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

/** The parts that decide which ids a text gets, each in one way of writing; truncation, padding and decoding do not. */
function canonical(root: Json): Json {
  const { model = {} } = root
  const { vocab, merges, ...settings } = isObject(model) ? model : {}
  return {
    'model.vocab': isObject(vocab) ? new Map(Object.entries(vocab)) : vocab,
    'model.merges': list(merges)
      .filter((merge) => typeof merge !== 'string' || !merge.startsWith('#version'))
      .map(mergeParts),
    model: modelSettings(settings, merges !== undefined),
    added_tokens: list(root.added_tokens)
      .map(addedToken)
      .sort((a, b) => Number(a.id) - Number(b.id)),
    normalizer: steps(root.normalizer, 'normalizers'),
    pre_tokenizer: steps(root.pre_tokenizer, 'pretokenizers'),
    post_processor: steps(root.post_processor, 'processors').flatMap(postProcessor),
  }
}

function modelSettings(settings: Json, merges: boolean): Json {
  const type = String(settings.type ?? (merges ? 'BPE' : 'WordPiece'))
  const full: Json = { ...modelDefaults[type], ...present(settings), type }
  // no prefix and an empty one are the same
  for (const name of ['continuing_subword_prefix', 'end_of_word_suffix'])
    if (type === 'BPE' && full[name] === '') full[name] = null
  if (full.dropout === 0) full.dropout = null
  return full
}

/** Without the fields that are null. */
const present = (object: Json): Json => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null))

function addedToken(token: unknown): Json {
  const { id, content, ...rest } = isObject(token) ? token : {}
  return { id, content, ...Object.fromEntries(flags.map((flag) => [flag, rest[flag] === true])) }
}

/** What stands in sequences inside each other, in one list; nothing is an empty one. */
function steps(part: unknown, name: string): Json[] {
  if (!isObject(part)) return []
  if (part.type === 'Sequence') return list(part[name]).flatMap((inner) => steps(inner, name))
  const { trim_offsets: _, str_rep: __, add_prefix_space, prepend_scheme, ...rest } = part
  const full: Json = { ...partDefaults[String(part.type)], ...present(rest) }
  if (part.type === 'Metaspace')
    full.prepend_scheme = prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always')
  else if (typeof add_prefix_space === 'boolean' && part.type !== 'RobertaProcessing')
    full.add_prefix_space = add_prefix_space
  return [full]
}

const sequence = (id: string, type_id: number): Json => ({ Sequence: { id, type_id } })

/** As a template of ids; what only moves offsets is nothing. */
function postProcessor(part: Json): Json[] {
  if (part.type === 'ByteLevel') return []
  const [cls, sep] = [list(part.cls)[1], list(part.sep)[1]]
  const special = (id: unknown, type_id: number): Json => ({ ids: [id], type_id })
  if (part.type === 'BertProcessing') {
    const single = [special(cls, 0), sequence('A', 0), special(sep, 0)]
    return [{ single, pair: [...single, sequence('B', 1), special(sep, 1)] }]
  }
  if (part.type === 'RobertaProcessing') {
    const single = [special(cls, 0), sequence('A', 0), special(sep, 0)]
    return [{ single, pair: [...single, special(sep, 0), sequence('B', 0), special(sep, 0)] }]
  }
  if (part.type !== 'TemplateProcessing') return [part]
  const tokens = isObject(part.special_tokens) ? part.special_tokens : {}
  const piece = (item: unknown): Json => {
    const token = isObject(item) && isObject(item.SpecialToken) ? item.SpecialToken : undefined
    if (token === undefined) return isObject(item) ? item : {}
    const found = tokens[String(token.id)]
    return { ids: isObject(found) ? found.ids : undefined, type_id: token.type_id }
  }
  return [{ single: list(part.single).map(piece), pair: list(part.pair).map(piece) }]
}

/** Compares two tokenizer.json files; undefined where they say the same, however they are written. */
export async function compareTokenizerFiles(base: string, reference: string): Promise<Difference | undefined> {
  const [a, b] = await Promise.all([base, reference].map((file) => readFile(file)))
  if (a.equals(b)) return undefined
  const [left, right] = [partsOf(a, base), partsOf(b, reference)]
  if (left === undefined || right === undefined) return { part: 'JSON' }
  const part = Object.keys(left).find((name) => !isDeepStrictEqual(left[name], right[name]))
  if (part === undefined) return undefined
  const text = await differentText(base, reference)
  return text === undefined ? { part } : { part, text }
}

function partsOf(bytes: Buffer, file: string): Json | undefined {
  try {
    const root = parseTokenizer(bytes.toString('utf8'), file)
    return isObject(root) ? canonical(root) : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const samples = [
  'The quick brown fox.',
  'Hello, World!',
  'naïve café',
  'a  b',
  ' a',
  'x\n\ny',
  '12345',
  "don't",
  '日本語',
  'ПРИВЕТ',
  '😀',
  'İ ß ﬁ',
  '',
]
/** Tokens of both vocabularies that are tried as texts. */
const triedTokens = 2000

/**
 * The first text that the two give other ids: common ones, then what only one of the vocabularies has, or has
 * elsewhere.
 */
async function differentText(base: string, reference: string): Promise<string | undefined> {
  let engines: Engine[]
  try {
    engines = await Promise.all([base, reference].map(async (file) => (await openEngine(file)).engine))
  } catch {
    return undefined // whoever uses the one that cannot be read will hear of it
  }
  const [left, right] = engines.map((engine) => engine.spellings())
  const moved: string[] = []
  for (const [one, other] of [
    [left, right],
    [right, left],
  ]) {
    for (const [id, token] of one)
      if (other.get(id) !== token && moved.length < triedTokens)
        moved.push(token, ` ${token}`, token.replace(/^[Ġ▁]|^##/, ' '))
  }
  const texts = [...samples, ...moved]
  const [a, b] = await Promise.all(engines.map((engine) => engine.encodeBatch(texts, {})))
  const idsOf = ({ ids, offsets }: typeof a, i: number): string => ids.subarray(offsets[i], offsets[i + 1]).join()
  return texts.find((_, i) => idsOf(a, i) !== idsOf(b, i))
}
