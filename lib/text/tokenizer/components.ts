import type { BertOptions } from './bert-normalizer.js'
import type { ByteLevelOptions, SplitStep } from './byte-level.js'
import { shown, supportedHint, type Cursor } from './cursor.js'
import { knownPatterns } from './split-patterns.js'
import { bertTemplate, plainTemplate, type Piece, type Template } from './template.js'

const deepest = 8

/** `type` is none of those this package can reproduce: named, with what it could be. */
function unknownComponent(at: Cursor, known: readonly string[]): Error {
  const type = at.field('type')
  const expected = known.join(', ')
  return type.error(
    'TOKENIZER_UNKNOWN_COMPONENT',
    `${shown(type.value)} is not supported here; supported: ${expected}`,
    { found: type.value ?? null, expected: known },
    supportedHint,
  )
}

export function unsupported(at: Cursor, what: string): Error {
  return at.error('TOKENIZER_UNSUPPORTED', what, { found: shown(at.value) }, supportedHint)
}

/** `normalizer`: nothing or a BertNormalizer. */
export function readNormalizer(at: Cursor): BertOptions | null {
  if (at.isNull()) return null
  if (at.field('type').value !== 'BertNormalizer') throw unknownComponent(at, ['BertNormalizer', 'null'])
  const accents = at.field('strip_accents')
  return {
    cleanText: at.field('clean_text').boolean(),
    handleChineseChars: at.field('handle_chinese_chars').boolean(),
    stripAccents: accents.isNull() ? null : accents.boolean(),
    lowercase: at.field('lowercase').boolean(),
  }
}

export type PreTokenizer = 'bert' | ByteLevelOptions

/** `pre_tokenizer`: BertPreTokenizer, or ByteLevel last in a sequence of Digits and known Splits. */
export function readPreTokenizer(at: Cursor): PreTokenizer {
  const steps = flatten(at, 'pretokenizers')
  if (steps.length === 1 && steps[0].field('type').value === 'BertPreTokenizer') return 'bert'
  const last = steps.at(-1)
  if (last?.field('type').value !== 'ByteLevel') {
    for (const step of steps) readSplit(step)
    throw unsupported(at, 'the pre-tokenizer must be BertPreTokenizer, or end with ByteLevel')
  }
  return {
    steps: steps.slice(0, -1).map(readSplit),
    addPrefixSpace: last.field('add_prefix_space').boolean(),
    useRegex: last.field('use_regex').boolean(true),
  }
}

/** The components of nested `Sequence`s in order. */
function flatten(at: Cursor, list: string, depth = 0): Cursor[] {
  if (at.isNull()) return []
  if (at.field('type').value !== 'Sequence') return [at]
  if (depth === deepest) throw unsupported(at, `more than ${deepest} sequences inside each other`)
  return at
    .field(list)
    .items()
    .flatMap((item) => flatten(item, list, depth + 1))
}

function readSplit(at: Cursor): SplitStep {
  const type = at.field('type').value
  if (type === 'Digits') return { type: 'digits', individual: at.field('individual_digits').boolean() }
  if (type === 'BertPreTokenizer' || type === 'ByteLevel') {
    throw unsupported(at, `${type} must stand ${type === 'ByteLevel' ? 'last' : 'alone'}`)
  }
  if (type !== 'Split') throw unknownComponent(at, ['BertPreTokenizer', 'ByteLevel', 'Digits', 'Sequence', 'Split'])
  const pattern = at.field('pattern').field('Regex')
  const scan = knownPatterns.get(pattern.isNull() ? '' : pattern.string())
  if (scan === undefined) throw unsupported(at.field('pattern'), `unknown pattern ${shown(pattern.value)}`)
  const behavior = at.field('behavior').string()
  const invert = at.field('invert').boolean()
  // the known patterns match everywhere, so these two mean the same
  if (behavior === 'Isolated' || (behavior === 'Removed' && invert)) return { type: 'pattern', scan }
  throw unsupported(at.field('behavior'), `"${behavior}" with invert ${invert}; only "Isolated" is known`)
}

/** `post_processor`: at most one that adds tokens. `hasId` tells whether the vocabulary has an id. */
export function readTemplate(at: Cursor, hasId: (id: number) => boolean): Template {
  let template: Template | undefined
  for (const part of flatten(at, 'processors')) {
    const type = part.field('type').value
    if (type === 'ByteLevel') continue // moves offsets only
    if (template !== undefined) throw unsupported(part, 'a second post-processor that adds tokens')
    if (type === 'BertProcessing') {
      template = bertTemplate(readPairId(part.field('cls'), hasId), readPairId(part.field('sep'), hasId))
    } else if (type === 'TemplateProcessing') {
      template = {
        single: readPieces(part, 'single', hasId),
        pair: readPieces(part, 'pair', hasId),
      }
      const second = template.single.find((piece) => piece.type === 'text' && piece.which === 1)
      if (second !== undefined) throw part.field('single').wrong('a template without sequence B')
    } else {
      throw unknownComponent(part, ['BertProcessing', 'ByteLevel', 'Sequence', 'TemplateProcessing', 'null'])
    }
  }
  return template ?? plainTemplate
}

/** `["[SEP]", 102]` */
function readPairId(at: Cursor, hasId: (id: number) => boolean): number {
  const items = at.items()
  if (items.length !== 2) throw at.wrong('a token and its id')
  items[0].string()
  return knownId(items[1], hasId)
}

function knownId(at: Cursor, hasId: (id: number) => boolean): number {
  const id = at.integer(2 ** 32)
  if (!hasId(id)) throw at.wrong('an id of the vocabulary')
  return id
}

function readPieces(at: Cursor, name: 'single' | 'pair', hasId: (id: number) => boolean): Piece[] {
  const tokens = at.field('special_tokens')
  return at
    .field(name)
    .items()
    .map((item): Piece => {
      const sequence = item.field('Sequence')
      const body = sequence.value === undefined ? item.field('SpecialToken') : sequence
      const typeId = body.field('type_id').integer(2 ** 32)
      if (typeId > 255) throw unsupported(body.field('type_id'), 'type ids above 255')
      const id = body.field('id').string()
      if (body === sequence) {
        if (id !== 'A' && id !== 'B') throw body.field('id').wrong('"A" or "B"')
        return { type: 'text', which: id === 'A' ? 0 : 1, typeId }
      }
      const ids = tokens
        .field(id)
        .field('ids')
        .items()
        .map((one) => knownId(one, hasId))
      return { type: 'ids', ids, typeId }
    })
}
