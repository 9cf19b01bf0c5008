import type { Cursor } from './cursor.js'
import { shown } from './cursor.js'
import { mergeParts } from './models.js'

/**
 * Refuses what ends the process inside the package `tokenizers`, whose Rust code panics there: it cannot be caught.
 * @throws WarpError TOKENIZER_INVALID
 */
export function refuseAborts(root: Cursor): void {
  checkMerges(root.field('model'))
  everyPart(root.field('normalizer'), checkCharsmap)
  everyPart(root.field('post_processor'), checkTemplate)
}

/** A merge's second part that is shorter than the prefix that it should begin with. */
function checkMerges(model: Cursor): void {
  const prefix = model.field('continuing_subword_prefix').value
  const merges = model.field('merges')
  if (typeof prefix !== 'string' || prefix === '' || !Array.isArray(merges.value)) return
  merges.value.forEach((merge: unknown, rank) => {
    if (mergeParts(merge)?.[1].startsWith(prefix)) return
    const what = `the second part of merge ${rank} does not begin with ${shown(prefix)}`
    throw merges.error('TOKENIZER_INVALID', what, { rank })
  })
}

/** A part, and those of the sequences in it. */
function everyPart(at: Cursor, check: (part: Cursor) => void): void {
  if (!at.isObject()) return
  check(at)
  for (const name of ['normalizers', 'processors']) {
    const list = at.field(name)
    if (Array.isArray(list.value)) for (const item of list.items()) everyPart(item, check)
  }
}

/** A table that is not in Base64. */
function checkCharsmap(part: Cursor): void {
  const map = part.field('precompiled_charsmap')
  if (part.field('type').value !== 'Precompiled' && map.value === undefined) return
  const text = map.string()
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) throw map.wrong('Base64')
}

/** A token of a template that is not listed. */
function checkTemplate(part: Cursor): void {
  for (const name of ['single', 'pair']) {
    const pieces = part.field(name)
    if (!Array.isArray(pieces.value)) continue
    for (const piece of pieces.items()) {
      const token = piece.isObject() ? piece.field('SpecialToken') : undefined
      if (token === undefined || !token.isObject()) continue
      const id = token.field('id')
      const listed = part.field('special_tokens')
      if (!listed.isObject() || listed.field(id.string()).value === undefined)
        throw id.wrong('a token of special_tokens')
    }
  }
}
