import type { Place, Window } from './types.js'

interface Head {
  windows: number
  texts: boolean
  /** bytes of the numbers that follow */
  numbers: number
  files: string[]
  labels: string[]
}

/**
 * Windows as bytes, a shard after the other, packed as they come so that no string is held: a line of JSON with the
 * names of files and labels, then nine numbers a window, then, where they are kept, the texts in UTF-8. Numbers are
 * differences that seldom exceed a byte.
 */
export class WindowPacker {
  #count = 0
  #numbers: Buffer = Buffer.allocUnsafe(1 << 15)
  #usedNumbers = 0
  #texts: Buffer = Buffer.allocUnsafe(1 << 18)
  #usedTexts = 0
  readonly #files = new Map<string, number>()
  readonly #labels = new Map<string, number>()
  #last = { document: 0, line: 0 }
  #file = { name: '', number: -1 }

  constructor(readonly texts: boolean) {}

  get count(): number {
    return this.#count
  }

  add({ document, window, from, to, source, prompt, text, label }: Window): void {
    const line = this.#lineOf(source)
    const bytes = this.texts ? this.#addText(text) : 0
    if (this.#usedNumbers + mostBytes > this.#numbers.length) this.#numbers = grown(this.#numbers, this.#usedNumbers)
    this.#addNumber(document - this.#last.document)
    this.#addNumber(window)
    this.#addNumber(from)
    this.#addNumber(to - from)
    this.#addNumber(bytes)
    this.#addNumber(prompt)
    this.#addNumber(this.#file.number)
    this.#addNumber(line - this.#last.line)
    this.#addNumber(label === null ? 0 : 1 + numberOf(this.#labels, label))
    this.#last = { document, line }
    this.#count++
  }

  /** The windows since the last time: the same bytes for the same windows. */
  finish(): Buffer {
    const head: Head = {
      windows: this.#count,
      texts: this.texts,
      numbers: this.#usedNumbers,
      files: [...this.#files.keys()],
      labels: [...this.#labels.keys()],
    }
    const parts = [this.#numbers.subarray(0, this.#usedNumbers), this.#texts.subarray(0, this.#usedTexts)]
    const packed = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...parts])
    this.#count = this.#usedNumbers = this.#usedTexts = 0
    this.#last = { document: 0, line: 0 }
    this.#files.clear()
    this.#file = { name: '', number: -1 }
    this.#labels.clear()
    return packed
  }

  /** Of `file:line`; keeps the file, which is mostly the one before. */
  #lineOf(source: string): number {
    const colon = source.lastIndexOf(':')
    const { name } = this.#file
    if (colon !== name.length || !source.startsWith(name)) {
      const file = source.slice(0, colon)
      this.#file = { name: file, number: numberOf(this.#files, file) }
    }
    let line = 0
    for (let i = colon + 1; i < source.length; i++) line = 10 * line + source.charCodeAt(i) - 48
    return line
  }

  #addText(text: string): number {
    const most = this.#usedTexts + 3 * text.length
    if (most > this.#texts.length) this.#texts = grown(this.#texts, this.#usedTexts, most)
    const bytes = this.#texts.write(text, this.#usedTexts)
    this.#usedTexts += bytes
    return bytes
  }

  /** Seven bits a byte, the lowest first; the sign is the lowest bit of all. */
  #addNumber(value: number): void {
    let left = value < 0 ? -2 * value - 1 : 2 * value
    for (; left > 127; left = Math.floor(left / 128)) this.#numbers[this.#usedNumbers++] = 128 + (left % 128)
    this.#numbers[this.#usedNumbers++] = left
  }
}

const mostBytes = 9 * 8

function grown(from: Buffer, used: number, least = 0): Buffer {
  const to = Buffer.allocUnsafe(Math.max(2 * from.length, least))
  from.copy(to, 0, 0, used)
  return to
}

function numberOf(names: Map<string, number>, name: string): number {
  const known = names.get(name)
  if (known !== undefined) return known
  names.set(name, names.size)
  return names.size - 1
}

/** Where the windows are that were packed, and their texts, where those were kept. */
export function unpackWindows(packed: Buffer): { places: Place[]; texts: string[] } {
  const end = packed.indexOf(10) + 1
  const head = JSON.parse(packed.toString('utf8', 0, end)) as Head
  let at = end
  const next = (): number => {
    let [value, scale] = [0, 1]
    for (; packed[at] > 127; scale *= 128) value += scale * (packed[at++] - 128)
    value += scale * packed[at++]
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2
  }
  const texts: string[] = []
  let [document, line, textAt] = [0, 0, end + head.numbers]
  const places = Array.from({ length: head.windows }, (): Place => {
    document += next()
    const [window, from, units, bytes, prompt, file] = [next(), next(), next(), next(), next(), next()]
    line += next()
    const label = next()
    if (head.texts) texts.push(packed.toString('utf8', textAt, (textAt += bytes)))
    const source = `${head.files[file]}:${line}`
    const own = { document, window, from, to: from + units, source, prompt }
    return { ...own, label: label === 0 ? null : head.labels[label - 1] }
  })
  return { places, texts }
}
