import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError } from '../errors.js'
import { byteChars } from '../text/tokenizer/byte-alphabet.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { stat } from '../stat.js'

/** Token ids back to text; special tokens leave nothing behind. */
export interface Decoder {
  decode(ids: Iterable<number>): string
}

const utf8 = new TextEncoder()
// ignoreBOM: a byte order mark is a character of the text
const readBytes = (bytes: Uint8Array, fatal = false): string =>
  new TextDecoder('utf-8', { ignoreBOM: true, fatal }).decode(bytes)

/**
 * The decoder that `tokenizer.json` names: `ByteLevel` (GPT-2, Llama 3, Qwen …), or the sequence of SentencePiece's
 * kind (`▁` for spaces, `<0xE2>` for bytes). Text that is cut within a character ends in U+FFFD, as in Python.
 * @throws WarpError (input) TOKENIZER_DECODER_UNSUPPORTED
 */
export async function openDecoder(path: string, tokenizer: Tokenizer): Promise<Decoder> {
  const file = (await stat(path)).isDirectory() ? join(path, 'tokenizer.json') : path
  const stages = stagesOf(decoderOf(await readFile(file, 'utf8')))
  const refuse = (what: string): Error =>
    inputError(
      'TOKENIZER_DECODER_UNSUPPORTED',
      `${file}: its decoder ${what} is not known`,
      { file, found: what, expected: [...known, 'Sequence'] },
      'Texts are made with byte-level tokenizers and those of SentencePiece.',
    )
  if (stages.length === 0) throw refuse('null')
  const other = stages.find(({ type, pattern, content }) => {
    if (!known.includes(type)) return true
    return type === 'Replace' && !(pattern?.String === '▁' && content === ' ')
  })
  if (other) throw refuse(other.type)
  const has = (type: string): boolean => stages.some((stage) => stage.type === type)
  const strip = has('Metaspace') ? 1 : (stages.find(({ type }) => type === 'Strip')?.start ?? 0)
  const joined = has('ByteLevel') ? joinBytes() : (tokens: string[]) => joinPieces(tokens, has('ByteFallback'), strip)
  return {
    decode: (ids) => {
      const tokens: string[] = []
      for (const id of ids) if (!tokenizer.specialIds.has(id)) tokens.push(spelling(id, tokenizer))
      return joined(tokens)
    },
  }
}

/** Nothing for an id that no token has: tables of embeddings may have more rows. */
function spelling(id: number, tokenizer: Tokenizer): string {
  try {
    return tokenizer.token(id)
  } catch (error) {
    if ((error as { code?: string }).code === 'TOKENIZER_UNKNOWN_ID') return ''
    throw error
  }
}

/** Characters stand for bytes; a token with any other character (an added one) is the text itself. */
function joinBytes(): (tokens: string[]) => string {
  const byteOf = new Map(byteChars.map((character, byte) => [character, byte]))
  return (tokens) =>
    readBytes(
      Buffer.concat(
        tokens.map((token) => {
          const bytes = Array.from(token, (character) => byteOf.get(character))
          return bytes.includes(undefined) ? utf8.encode(token) : Uint8Array.from(bytes as number[])
        }),
      ),
    )
}

/** `▁` is a space; bytes in a row that are no text are a U+FFFD each. */
function joinPieces(tokens: string[], fallback: boolean, strip: number): string {
  let text = ''
  let bytes: number[] = []
  const flush = (): void => {
    try {
      text += readBytes(Uint8Array.from(bytes), true)
    } catch {
      text += '\ufffd'.repeat(bytes.length)
    }
    bytes = []
  }
  for (const token of tokens) {
    const byte = fallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null
    if (byte) bytes.push(Number.parseInt(byte[1], 16))
    else {
      flush()
      text += token.replaceAll('▁', ' ')
    }
  }
  flush()
  for (let i = 0; i < strip && text.startsWith(' '); i++) text = text.slice(1)
  return text
}

const known = ['ByteLevel', 'ByteFallback', 'Fuse', 'Replace', 'Strip', 'Metaspace']

interface Stage {
  type: string
  decoders?: Stage[]
  pattern?: { String?: string }
  content?: string
  start?: number
}

const stagesOf = (decoder: Stage | null): Stage[] =>
  decoder === null ? [] : decoder.type === 'Sequence' ? (decoder.decoders ?? []).flatMap(stagesOf) : [decoder]

/**
 * The field `decoder` of tokenizer.json, without parsing the vocabulary beside it, which may have millions of entries.
 * A token that is spelled like the field has a number behind it, not an object.
 */
export function decoderOf(json: string): Stage | null {
  const field = /"decoder"\s*:\s*(?=\{|null)/g
  if (!field.exec(json)) return null
  const begin = field.lastIndex
  if (json.startsWith('null', begin)) return null
  let depth = 0
  for (let at = begin; at < json.length; at++) {
    const character = json[at]
    if (character === '"') while (json[++at] !== '"') at += Number(json[at] === '\\')
    if (character === '{') depth++
    if (character === '}' && --depth === 0) return JSON.parse(json.slice(begin, at + 1)) as Stage
  }
  return null
}
