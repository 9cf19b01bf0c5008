import { maxMerges, type BpeOptions } from './bpe.js'
import { unsupported } from './components.js'
import { isIndex, shown, type Cursor } from './cursor.js'
import type { AddedToken } from './added-tokens.js'
import type { Merges } from './merge-table.js'
import { loneSurrogateAt } from './unicode.js'
import type { WordPieceOptions } from './wordpiece.js'

const idLimit = 2 ** 32

export interface Vocabulary {
  ids: ReadonlyMap<string, number>
  tokens: Map<number, string>
}

/** `model.vocab`; every id once. */
export function readVocab(at: Cursor): Vocabulary {
  const tokens = new Map<number, string>()
  for (const [token, id] of at.entries()) {
    if (!isIndex(id, idLimit)) throw at.field(token).wrong(`an integer from 0 to ${idLimit - 1}`)
    if (loneSurrogateAt(token) >= 0) throw at.error('TOKENIZER_INVALID', `the token ${shown(token)} is not Unicode`)
    const other = tokens.get(id)
    if (other !== undefined) throw duplicate(at, id, other, token)
    tokens.set(id, token)
  }
  const ids =
    at.value instanceof Map
      ? (at.value as Map<string, number>)
      : new Map(Array.from(tokens, ([id, token]) => [token, id]))
  return { ids, tokens }
}

function duplicate(at: Cursor, id: number, one: string, other: string): Error {
  return at.error('TOKENIZER_DUPLICATE_ID', `the id ${id} belongs to two tokens, ${shown(one)} and ${shown(other)}`, {
    found: [one, other],
    id,
  })
}

function unkId(at: Cursor, vocab: ReadonlyMap<string, number>): number {
  const id = vocab.get(at.string())
  if (id === undefined) throw at.wrong('a token of the vocabulary')
  return id
}

export function readWordPiece(at: Cursor, vocab: ReadonlyMap<string, number>): WordPieceOptions {
  return {
    vocab,
    unkId: unkId(at.field('unk_token'), vocab),
    prefix: at.field('continuing_subword_prefix').string(),
    maxCharsPerWord: at.field('max_input_chars_per_word').integer(idLimit),
  }
}

export function readBpe(at: Cursor, vocab: ReadonlyMap<string, number>): BpeOptions {
  const dropout = at.field('dropout')
  if (!dropout.isNull() && dropout.value !== 0) throw unsupported(dropout, 'dropout makes tokens random')
  for (const name of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    const affix = at.field(name)
    if (!affix.isNull() && affix.string() !== '') throw unsupported(affix, 'only byte-level BPE is supported')
  }
  const flag = (name: string): boolean => !at.field(name).isNull() && at.field(name).boolean()
  if (flag('byte_fallback')) throw unsupported(at.field('byte_fallback'), 'only byte-level BPE is supported')
  const unk = at.field('unk_token')
  return {
    vocab,
    merges: readMerges(at.field('merges'), vocab),
    unkId: unk.isNull() || unk.value === '' ? null : unkId(unk, vocab),
    fuseUnk: flag('fuse_unk'),
    ignoreMerges: flag('ignore_merges'),
  }
}

function readMerges(at: Cursor, vocab: ReadonlyMap<string, number>): BpeOptions['merges'] {
  if (!Array.isArray(at.value)) throw at.wrong('an array')
  const list = (at.value as unknown[]).filter((line) => typeof line !== 'string' || !line.startsWith('#version'))
  if (list.length > maxMerges) throw unsupported(at, `${list.length} merges; at most ${maxMerges} are supported`)
  const merges: Merges = {
    left: new Uint32Array(list.length),
    right: new Uint32Array(list.length),
    union: new Uint32Array(list.length),
  }
  const idOf = (token: string, rank: number): number => {
    const id = vocab.get(token)
    if (id !== undefined) return id
    throw at.error('TOKENIZER_INVALID', `merge ${rank} needs the token ${shown(token)}, not in the vocabulary`, {
      rank,
    })
  }
  list.forEach((merge, rank) => {
    const [left, right] = mergeParts(merge) ?? invalidMerge(at, merge, rank)
    merges.left[rank] = idOf(left, rank)
    merges.right[rank] = idOf(right, rank)
    merges.union[rank] = idOf(left + right, rank)
  })
  return merges
}

/** `"a b"` or `["a", "b"]`; undefined for what is neither. */
export function mergeParts(merge: unknown): [string, string] | undefined {
  if (typeof merge === 'string') {
    const blank = merge.indexOf(' ')
    return blank < 0 || merge.includes(' ', blank + 1) ? undefined : [merge.slice(0, blank), merge.slice(blank + 1)]
  }
  return Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string')
    ? (merge as [string, string])
    : undefined
}

function invalidMerge(at: Cursor, merge: unknown, rank: number): never {
  throw at.error('TOKENIZER_INVALID', `merge ${rank} is ${shown(merge)}, expected two tokens`, { rank })
}

/**
 * `added_tokens`. Python gives ids itself: those of the vocabulary, else the next free ones in the order of the list.
 * They are put among the vocabulary's tokens. Where that contradicts the file, its warning would leave tokens with
 * other ids than the model was trained with.
 */
export function readAddedTokens(at: Cursor, { ids: vocab, tokens: owner }: Vocabulary): AddedToken[] {
  if (at.isNull()) return []
  const seen = new Set<string>()
  let next = vocab.size
  return at.items().map((item) => {
    const content = item.field('content').string()
    if (content === '' || loneSurrogateAt(content) >= 0) throw item.field('content').wrong('a text')
    const id = item.field('id').integer(idLimit)
    const other = owner.get(id)
    if (seen.has(content)) throw duplicate(item, id, content, content)
    if (other !== undefined && other !== content) throw duplicate(item, id, other, content)
    const expected = vocab.get(content) ?? next++
    if (id !== expected) {
      throw item.error(
        'TOKENIZER_ID_MISMATCH',
        `${shown(content)} has the id ${id}, but the vocabulary leads to ${expected}`,
        { found: id, expected },
        'Save the tokenizer again with a current version of transformers.',
      )
    }
    seen.add(content)
    owner.set(id, content)
    return {
      id,
      content,
      singleWord: item.field('single_word').boolean(),
      lstrip: item.field('lstrip').boolean(),
      rstrip: item.field('rstrip').boolean(),
      normalized: item.field('normalized').boolean(),
      special: item.field('special').boolean(),
    }
  })
}
