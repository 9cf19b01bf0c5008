import type { Bpe } from './bpe.js'
import type { IdBuffer } from './id-buffer.js'
import { gpt2, type Scanner } from './split-patterns.js'
import { lazySet } from './unicode.js'
import { numeric } from './unicode-tables.js'

/** What may precede the byte-level step: digits cut off, or the pieces of one known regular expression. */
export type SplitStep = { type: 'digits'; individual: boolean } | { type: 'pattern'; scan: Scanner }

export interface ByteLevelOptions {
  steps: readonly SplitStep[]
  addPrefixSpace: boolean
  useRegex: boolean
}

const isNumeric = lazySet(numeric)

/** The pre-tokenizer of byte-level models, feeding its pieces to the model as they are found. */
export class ByteLevel {
  constructor(
    private readonly options: ByteLevelOptions,
    private readonly model: Bpe,
  ) {}

  encode(text: string, out: IdBuffer): void {
    this.step(0, text, 0, text.length, out)
  }

  private step(index: number, text: string, begin: number, end: number, out: IdBuffer): void {
    if (out.full) return
    const step = this.options.steps[index]
    if (step === undefined) this.last(text, begin, end, out)
    else if (step.type === 'digits') this.digits(index, step.individual, text, begin, end, out)
    else {
      for (let at = begin; at < end && !out.full; ) {
        const stop = step.scan(text, at, end)
        this.step(index + 1, text, at, stop, out)
        at = stop
      }
    }
  }

  private digits(index: number, individual: boolean, text: string, begin: number, end: number, out: IdBuffer): void {
    let piece = begin
    let inDigits = false
    for (let at = begin; at < end; ) {
      const c = text.codePointAt(at) as number
      const digit = isNumeric(c)
      if (at > piece && (digit !== inDigits || (digit && individual))) {
        this.step(index + 1, text, piece, at, out)
        if (out.full) return
        piece = at
      }
      inDigits = digit
      at += c > 0xffff ? 2 : 1
    }
    if (piece < end) this.step(index + 1, text, piece, end, out)
  }

  private last(text: string, begin: number, end: number, out: IdBuffer): void {
    const { addPrefixSpace, useRegex } = this.options
    if (addPrefixSpace && text.charCodeAt(begin) !== 0x20) {
      text = ' ' + text.slice(begin, end)
      begin = 0
      end = text.length
    }
    if (!useRegex) this.model.encodePiece(text, begin, end, out)
    else {
      for (let at = begin; at < end && !out.full; ) {
        const stop = gpt2(text, at, end)
        this.model.encodePiece(text, at, stop, out)
        at = stop
      }
    }
  }
}
