import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError } from '../errors.js'
import { byteChars } from '../text/tokenizer/byte-alphabet.js'
import type { Tokenizer } from '../text/tokenizer/index.js'

/** Token ids back to text; special tokens leave nothing behind. */
export interface Decoder {
  decode(ids: Iterable<number>): string
}

/** What one token adds: bytes of UTF-8. */
type Bytes = (token: string) => Uint8Array

const utf8 = new TextEncoder()

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
      'Texts are made with byte-level tokenizers (GPT-2, Llama 3, Qwen) and those of SentencePiece (Llama 2, Gemma).',
    )
  if (stages.length === 0) throw refuse('null')
  const other = stages.find(({ type, pattern, content }) => {
    if (!known.includes(type)) return true
    return type === 'Replace' && !(pattern?.String === '▁' && content === ' ')
  })
  if (other) throw refuse(other.type)
  const has = (type: string): boolean => stages.some((stage) => stage.type === type)
  const bytes: Bytes = has('ByteLevel') ? byteLevel() : sentencePiece(has('ByteFallback'))
  const strip = has('ByteLevel') ? 0 : has('Metaspace') ? 1 : (stages.find(({ type }) => type === 'Strip')?.start ?? 0)
  return { decode: (ids) => decode(ids, tokenizer, bytes, strip) }
}

function decode(ids: Iterable<number>, tokenizer: Tokenizer, bytes: Bytes, strip: number): string {
  const parts: Uint8Array[] = []
  for (const id of ids) if (!tokenizer.specialIds.has(id)) parts.push(bytes(spelling(id, tokenizer)))
  // ignoreBOM: a byte order mark is a character of the text
  let text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(parts))
  for (let i = 0; i < strip && text.startsWith(' '); i++) text = text.slice(1)
  return text
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
function byteLevel(): Bytes {
  const byteOf = new Map(byteChars.map((character, byte) => [character, byte]))
  return (token) => {
    const bytes = Array.from(token, (character) => byteOf.get(character))
    return bytes.includes(undefined) ? utf8.encode(token) : Uint8Array.from(bytes as number[])
  }
}

function sentencePiece(fallback: boolean): Bytes {
  return (token) => {
    const byte = fallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null
    return byte ? Uint8Array.of(Number.parseInt(byte[1], 16)) : utf8.encode(token.replaceAll('▁', ' '))
  }
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
