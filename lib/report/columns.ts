/** Text in columns, whatever the script. */
import { printable } from '../printable.js'

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u
const EMOJI_OR_RARE_HAN = /[\p{Emoji_Presentation}\u{20000}-\u{3fffd}]/u
const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u

/** Columns of a terminal that a string takes. */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of text) {
    width += NO_WIDTH.test(character) ? 0 : WIDE.test(character) || EMOJI_OR_RARE_HAN.test(character) ? 2 : 1
  }
  return width
}

/** Names come from files: what could move the cursor or change colours is made visible, long ones are cut. */
export function safeName(name: string, widest = 32): string {
  let out = ''
  for (const character of printable(name, 4 * widest)) {
    if (displayWidth(out + character) >= widest) return `${out}…`
    out += character
  }
  return out
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)))
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - displayWidth(text))) + text
}

/**
 * A table with a head, first column to the left, the others to the right. Columns that do not fit in `width` go into
 * further blocks below, each beginning with the first column again.
 * @returns lines, the first of each block being its head
 */
export function tableBlocks(head: string[], rows: string[][], width: number): string[][] {
  const widths = head.map((title, c) => Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[c]))))
  const blocks: string[][] = []
  for (let from = 1; from < head.length; ) {
    let to = from + 1
    let used = widths[0] + 2 + widths[from]
    while (to < head.length && used + 2 + widths[to] <= width) used += 2 + widths[to++]
    const line = (row: string[]) =>
      [padEnd(row[0], widths[0]), ...row.slice(from, to).map((cell, i) => padStart(cell, widths[from + i]))].join('  ')
    blocks.push([head, ...rows].map(line))
    from = to
  }
  return blocks
}

/** Words of a text in lines of at most `width` columns; a longer word has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line)
      line = word
    } else line = line ? `${line} ${word}` : word
  }
  return [...lines, line]
}
