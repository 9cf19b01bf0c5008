import { inputError, usageError } from '../../errors.js'
import { loneSurrogateAt } from './unicode.js'

/** Tokens that are left for the text. @throws TOKENIZER_MAX_LENGTH for a limit that even the special tokens exceed */
export function checkRoom(maxLength: number | undefined, added: number): number {
  if (maxLength === undefined) return Infinity
  if (!Number.isInteger(maxLength) || maxLength < added) {
    throw usageError(
      'TOKENIZER_MAX_LENGTH',
      `maxLength is ${maxLength}; it must be an integer of at least ${added}, for the special tokens`,
      { found: maxLength, expected: `an integer >= ${added}` },
      'a larger --max-length',
    )
  }
  return maxLength - added
}

/** @throws TEXT_LONE_SURROGATE for a text that is not Unicode */
export function checkUnicode(text: string): void {
  const lone = loneSurrogateAt(text)
  if (lone < 0) return
  const unit = text.charCodeAt(lone).toString(16).toUpperCase()
  throw inputError(
    'TEXT_LONE_SURROGATE',
    `the text has an unpaired surrogate U+${unit} at UTF-16 position ${lone}`,
    { index: lone, found: `U+${unit}`, expected: 'well-formed Unicode' },
    'Replace it, for example with String.prototype.toWellFormed().',
  )
}
