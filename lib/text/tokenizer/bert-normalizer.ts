import {
  combiningClassMap,
  decomposeHangul,
  decompositionMap,
  flagsOf,
  isHangulSyllable,
  lowerCaseMap,
} from './unicode.js'
import { UnitBuffer } from './unit-buffer.js'
import * as tables from './unicode-tables.js'

/** The `BertNormalizer` of tokenizer.json; `stripAccents: null` means "when lower-casing". */
export interface BertOptions {
  cleanText: boolean
  handleChineseChars: boolean
  stripAccents: boolean | null
  lowercase: boolean
}

const removed = 1
const blanked = 2
const ideograph = 4
const mark = 8

/** Cleans, isolates ideographs, strips accents and lower-cases, in this order and per code point, as Rust does. */
export class BertNormalizer {
  private readonly flags = flagsOf([tables.removed, tables.blanked, tables.ideographs, tables.marks])
  private readonly lower = lowerCaseMap()
  private readonly decompositions = decompositionMap()
  private readonly classes = combiningClassMap()
  private readonly strip: boolean
  /** non-starters waiting for their canonical order, as (class, code point) */
  private readonly waiting: [number, number][] = []
  private readonly out = new UnitBuffer()

  constructor(private readonly options: BertOptions) {
    this.strip = options.stripAccents ?? options.lowercase
  }

  /** A text may be normalised in pieces when it is cut beside ASCII: nothing here looks across a starter. */
  normalize(text: string): string {
    const { cleanText, handleChineseChars } = this.options
    for (let i = 0; i < text.length; i++) {
      let c = text.codePointAt(i) as number
      if (c > 0xffff) i++
      const flags = this.flags[c]
      if (cleanText) {
        if (flags & removed) continue
        if (flags & blanked) c = 0x20
      }
      const alone = handleChineseChars && flags & ideograph
      if (alone) this.put(0x20)
      this.put(c)
      if (alone) this.put(0x20)
    }
    this.flush()
    return this.out.take()
  }

  private put(c: number): void {
    if (!this.strip || c < 0x80) {
      if (this.waiting.length > 0) this.flush()
      this.emit(c)
      return
    }
    const parts = isHangulSyllable(c) ? decomposeHangul(c) : this.decompositions.get(c)
    if (parts === undefined) this.arrange(c)
    else for (const part of parts) this.arrange(part)
  }

  /** Canonical ordering: marks wait until the next starter and come out sorted by class, stably. */
  private arrange(c: number): void {
    const rank = this.classes.get(c)
    if (rank !== undefined) {
      this.waiting.push([rank, c])
      return
    }
    if (this.waiting.length > 0) this.flush()
    this.emit(c)
  }

  private flush(): void {
    this.waiting.sort((a, b) => a[0] - b[0])
    for (const [, c] of this.waiting) this.emit(c)
    this.waiting.length = 0
  }

  private emit(c: number): void {
    if (this.strip && this.flags[c] & mark) return
    const lowered = this.options.lowercase ? this.lower.get(c) : undefined
    if (lowered === undefined) this.out.push(c)
    else for (const part of lowered) this.out.push(part)
  }
}
