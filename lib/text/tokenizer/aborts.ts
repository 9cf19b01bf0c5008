import { isUtf8 } from 'node:buffer'
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

/** A table that is not one: its size, a double array of so many bytes, then texts in UTF-8, all of it in Base64. */
function checkCharsmap(part: Cursor): void {
  const map = part.field('precompiled_charsmap')
  if (part.field('type').value !== 'Precompiled' && map.value === undefined) return
  const text = map.string()
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) throw map.wrong('Base64')
  const bytes = Buffer.from(text, 'base64')
  const units = bytes.length < 4 ? 0 : bytes.readUInt32LE(0) >>> 2
  const end = 4 + 4 * units
  if (units === 0 || end > bytes.length || !isUtf8(bytes.subarray(end)) || pointsOutside(bytes, units)) {
    throw map.wrong('a table of characters as SentencePiece compiles it')
  }
}

/** Whether a step from some unit of the double array (Aoe 1989, as Darts writes it) could lead past its end. */
function pointsOutside(bytes: Buffer, units: number): boolean {
  for (let at = 0; at < units; at++) {
    const unit = bytes.readUInt32LE(4 + 4 * at)
    if (unit >>> 31 === 1) continue // a value
    const offset = (unit >>> 10) << ((unit & (1 << 9)) >>> 6)
    if (((at ^ offset) | 0xff) >>> 0 >= units) return true
  }
  return false
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
