// What text from inputs may do where it is shown: nothing. The command line sends everything through here.

/** Controls (escape among them), formats (bidirectional, zero-width), separators of lines, halves of surrogates. */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
/** Of a name, a label, a field. */
export const longestName = 200
const longestPath = 4096
const longWord = /[^ ]{201,}/g
/** Of a whole line; tables are wide. */
const longestLine = 10_000

/**
 * One line for a terminal, an error or a log: what it does not show stands as U+FFFD; a word of more than 200
 * characters and a line that is too long are cut off.
 */
export function printable(text: string, longest = longestLine): string {
  return cut(text, longest)
    .replace(longWord, (word) => cut(word, word.includes('/') ? longestPath : longestName))
    .replace(unsafe, '\ufffd')
}

function cut(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text
}

/** The same for a name from an input, at most 200 characters of it. */
export const printableName = (name: string): string => printable(name, longestName)

/** JSON that means the same and shows nothing but what it is: such characters as escapes. */
export function printableJson(json: string): string {
  return json.replace(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  )
}

/** Text with the colours of this program alone, line by line. */
const colour = /(\u001b\[\d{1,2}m)/
export const printableStyled = (line: string): string =>
  line
    .split(colour)
    .map((part, i) => (i % 2 === 1 ? part : printable(part)))
    .join('')
