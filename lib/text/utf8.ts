import { isUtf8 } from 'node:buffer'
import { errorAt } from './place.js'

const hint = 'save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 FILE)'

/** Bytes of the sequence that a lead byte begins; 0 for a byte that begins none. */
function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1
  if (lead >= 0xc2 && lead <= 0xdf) return 2
  if (lead >= 0xe0 && lead <= 0xef) return 3
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0
}

/** Bytes at the end that begin a character whose rest may follow: 0 to 3. */
function incompleteTail(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]
    if (byte >= 0xc0) return sequenceLength(byte) > back ? back : 0
    if (byte < 0x80) return 0
  }
  return 0
}

/** Position of the first byte that does not belong to a character. */
function firstInvalid(bytes: Buffer): number {
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at])
    if (length === 0 || !isUtf8(bytes.subarray(at, at + length))) return at
    at += length
  }
  return bytes.length
}

/**
 * Passes bytes on in pieces that end between characters, without a byte order mark; refuses what is not UTF-8 with
 * its byte offset in the file.
 */
export class Utf8Gate {
  #rest: Buffer = Buffer.alloc(0)
  #offset = 0

  constructor(readonly file: string) {}

  push(chunk: Buffer): Buffer {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const complete = bytes.subarray(0, bytes.length - incompleteTail(bytes))
    if (!isUtf8(complete)) throw this.#error(this.#offset + firstInvalid(complete))
    this.#rest = bytes.subarray(complete.length)
    const marked = this.#offset === 0 && complete[0] === 0xef && complete[1] === 0xbb && complete[2] === 0xbf
    this.#offset += complete.length
    return marked ? complete.subarray(3) : complete
  }

  end(): void {
    if (this.#rest.length > 0) throw this.#error(this.#offset)
  }

  #error(offset: number): Error {
    return errorAt('PROBES_UTF8', { file: this.file, offset }, 'this is not UTF-8, as every text must be', hint)
  }
}
