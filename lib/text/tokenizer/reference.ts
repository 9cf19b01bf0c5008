import type { Encoding as ReferenceEncoding, Tokenizer as ReferenceTokenizer } from 'tokenizers'
import { inputError, resourceError, type WarpError } from '../../errors.js'
import { saveAgain, shown, type Cursor } from './cursor.js'
import { refuseAborts } from './aborts.js'
import { checkRoom, checkUnicode } from './refusals.js'
import type { EncodeOptions, Engine, TokenBatch } from './types.js'

type Package = typeof import('tokenizers')

/** What stands around every text: ids and segments before and after it. */
interface Frame {
  before: number
  after: number
  types: { before: number[]; text: number; after: number[] }
}

/** Loaded when it is needed: most runs go without it. */
function load(): Package {
  try {
    return require('tokenizers') as Package
  } catch (cause) {
    throw resourceError(
      'TOKENIZER_READER',
      `the package "tokenizers" cannot be loaded: ${(cause as Error).message.split('\n')[0]}`,
      {},
      'npm rebuild tokenizers; if this platform has no build of it, only BERT WordPiece and byte-level BPE are read',
    )
  }
}

/**
 * The npm package `tokenizers`, the reference implementation, which reads every kind of `tokenizer.json`.
 * @param own what this package's own code had to say of the file
 */
export async function openReference(root: Cursor, json: string, own: WarpError): Promise<Engine> {
  const { Tokenizer } = load()
  refuseDropout(root)
  refuseAborts(root)
  let tokenizer: ReferenceTokenizer
  try {
    tokenizer = Tokenizer.fromString(json)
  } catch (cause) {
    const reason = (cause as Error).message
    throw inputError(
      own.code,
      `${own.message}; the package "tokenizers" refuses it too: ${reason}`,
      { ...own.details, reason },
      saveAgain,
    )
  }
  const special = readAddedTokens(root, tokenizer)
  tokenizer.disableTruncation()
  tokenizer.disablePadding()
  const frame = await measureFrame(root, tokenizer, special)
  return new ReferenceEngine(root, tokenizer, frame, special)
}

/** @throws TOKENIZER_UNSUPPORTED where each run would give other tokens */
function refuseDropout(root: Cursor): void {
  const dropout = root.field('model').field('dropout')
  if (dropout.isNull() || dropout.value === 0) return
  throw dropout.error(
    'TOKENIZER_UNSUPPORTED',
    'dropout makes tokens random',
    { found: dropout.value },
    'Set it to null: it is for training.',
  )
}

/**
 * The ids of special added tokens. Ids that Python would give in silence are others than the model was trained
 * with.
 */
function readAddedTokens(root: Cursor, tokenizer: ReferenceTokenizer): Set<number> {
  const list = root.field('added_tokens'),
    special = new Set<number>()
  if (list.isNull()) return special
  for (const item of list.items()) {
    const content = item.field('content').string(),
      id = item.field('id').value,
      expected = tokenizer.tokenToId(content)
    if (item.field('special').value === true) special.add(id as number)
    if (id === expected) continue
    throw item.error(
      'TOKENIZER_ID_MISMATCH',
      `${shown(content)} has the id ${shown(id)}, but the vocabulary leads to ${expected}`,
      { found: id, expected },
      'Save the tokenizer again with a current version of transformers.',
    )
  }
  return special
}

/**
 * Texts of which one gives a token in nearly any tokenizer; of the others, so many tokens of the vocabulary are
 * tried.
 */
function* samples(tokenizer: ReferenceTokenizer, most = 64): Generator<string> {
  yield* ['a', 'the', '1', '.']
  yield* Object.keys(tokenizer.getVocab(false)).slice(0, most)
}

/** Adds the ids of the frame to the special ones. */
async function measureFrame(root: Cursor, tokenizer: ReferenceTokenizer, special: Set<number>): Promise<Frame> {
  for (const sample of samples(tokenizer)) {
    const full = await tokenizer.encode(sample),
      bare = (await tokenizer.encode(sample, null, { addSpecialTokens: false })).getIds()
    if (bare.length === 0) continue
    const ids = full.getIds(),
      types = full.getTypeIds(),
      added = ids.length - bare.length
    const before = Array.from({ length: added + 1 }, (_, at) => at).find((at) =>
      bare.every((id, i) => ids[at + i] === id),
    )
    if (before === undefined) break
    const end = before + bare.length
    for (const id of [...ids.slice(0, before), ...ids.slice(end)]) special.add(id)
    return {
      before,
      after: added - before,
      types: { before: types.slice(0, before), text: types[before], after: types.slice(end) },
    }
  }
  throw root
    .field('post_processor')
    .error(
      'TOKENIZER_UNSUPPORTED',
      'it does not put fixed tokens before and after a text',
      {},
      'Save the tokenizer with a post-processor that adds tokens at the ends of a text.',
    )
}

const bareFrame: Frame = { before: 0, after: 0, types: { before: [], text: 0, after: [] } }

class ReferenceEngine implements Engine {
  readonly reader = 'tokenizers'

  readonly kind: string

  constructor(
    readonly root: Cursor,
    readonly tokenizer: ReferenceTokenizer,
    readonly frame: Frame,
    readonly specialIds: ReadonlySet<number>,
  ) {
    const type = root.field('model').field('type').value
    this.kind = typeof type === 'string' ? type.toLowerCase() : 'unknown'
  }

  async encodeBatch(texts: readonly string[], options: EncodeOptions): Promise<TokenBatch> {
    const { addSpecialTokens = true } = options
    const frame = addSpecialTokens ? this.frame : bareFrame
    const room = checkRoom(options.maxLength, frame.before + frame.after)
    texts.forEach(checkUnicode)
    const encodings = await this.tokenizer.encodeBatch(texts as string[], { addSpecialTokens })
    return pack(encodings, frame, room)
  }

  /** Of the file, where `parseTokenizer` made a Map of its vocabulary: the package lists its own slowly. */
  spellings(): Map<number, string> {
    const vocab = this.root.field('model').field('vocab').value,
      added = this.root.field('added_tokens')
    const tokens = new Map<number, string>()
    const entries =
      vocab instanceof Map ? (vocab as Map<string, number>) : Object.entries(this.tokenizer.getVocab(true))
    for (const [token, id] of entries) tokens.set(id, token)
    for (const item of added.isNull() ? [] : added.items())
      tokens.set(item.field('id').value as number, item.field('content').string())
    return tokens
  }
}

function pack(encodings: ReferenceEncoding[], { before, after, types }: Frame, room: number): TokenBatch {
  const n = encodings.length
  const offsets = new Uint32Array(n + 1),
    truncated = new Uint8Array(n)
  const lists = encodings.map((encoding, i) => {
    const ids = encoding.getIds()
    truncated[i] = Number(ids.length - before - after > room)
    offsets[i + 1] = offsets[i] + (truncated[i] ? before + room + after : ids.length)
    return ids
  })
  const ids = new Uint32Array(offsets[n]),
    typeIds = new Uint8Array(offsets[n])
  const plain = types.text === 0 && ![...types.before, ...types.after].some(Boolean)
  lists.forEach((list, i) => {
    const end = offsets[i + 1]
    if (truncated[i]) {
      for (let at = 0; at < before + room; at++) ids[offsets[i] + at] = list[at]
      for (let at = 1; at <= after; at++) ids[end - at] = list[list.length - at]
    } else ids.set(list, offsets[i])
    if (plain) return
    typeIds.fill(types.text, offsets[i] + before, end - after)
    typeIds.set(types.before, offsets[i])
    typeIds.set(types.after, end - after)
  })
  return { ids, typeIds, offsets, truncated }
}
