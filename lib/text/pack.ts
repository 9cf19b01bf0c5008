import { inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { errorAt, placeOf, shorten } from './place.js'
import type { ProbeSet } from './probes.js'
import { type BatchEncoder, encodeAhead } from './tokenizer/index.js'

/** What is needed of a tokenizer. */
export interface ProbeTokenizer extends BatchEncoder {
  /** the largest id it can give */
  maxId?: number
}

export interface PackOptions {
  /** tokens of a text, special tokens included */
  maxLength: number
  /** cut longer texts off; else refuse them */
  truncate: boolean
  /** rows of the embedding table */
  vocabularySize: number
}

/** Token sequences without padding: text i is `ids.subarray(offsets[i], offsets[i + 1])`. */
export interface PackedProbes {
  ids: Uint32Array
  typeIds: Uint8Array
  /** n + 1 */
  offsets: Uint32Array
  /** n: class id */
  label: Int32Array
  /** n: index of the domain */
  domain: Int32Array
  /** n: tokens of each text's prompt, where texts have responses */
  prompts?: Uint32Array
  /** D: texts cut off at `maxLength` */
  truncated: number[]
  /** tokens of the longest text */
  longest: number
}

/** Texts that are tokenised at once, and about how many characters. */
const batchTexts = 1 << 10
const batchCharacters = 1 << 18

/**
 * Turns probes into token ids; lets the event loop turn. Refuses texts that give no tokens but the
 * special ones, ids beyond the embedding table and, unless `truncate`, texts above `maxLength`.
 */
export async function packProbes(
  probes: ProbeSet,
  tokenizer: ProbeTokenizer,
  options: PackOptions,
  control: RunOptions = {},
): Promise<PackedProbes> {
  const { maxLength, truncate, vocabularySize } = options
  const { maxId } = tokenizer
  if (maxId !== undefined && maxId >= vocabularySize) {
    throw inputError(
      'TOKENIZER_ID_RANGE',
      `the tokenizer gives ids up to ${maxId}; the model embeds ${vocabularySize} tokens`,
      { expected: vocabularySize - 1, found: maxId },
      'use the tokenizer.json that belongs to the model',
    )
  }
  const special = (await tokenizer.encodeBatch([''])).ids.length
  const n = probes.texts.length
  const offsets = new Uint32Array(n + 1)
  const truncated = new Array<number>(probes.domains.length).fill(0)
  const tokens = new TokenBuffer()
  let longest = 0
  const textsOf = ({ begin, end }: Span): string[] => probes.texts.slice(begin, end)
  const encoded = encodeAhead(spans(probes.texts), textsOf, tokenizer, truncate ? { maxLength } : {})
  for await (const {
    batch: { begin, end },
    tokens: found,
  } of encoded) {
    control.signal?.throwIfAborted()
    for (let i = begin; i < end; i++) {
      const [from, to] = [found.offsets[i - begin], found.offsets[i - begin + 1]]
      const length = to - from
      if (length <= special) throw noTokens(probes, i)
      if (length > maxLength) throw overlong(probes, i, length, maxLength)
      if (maxId === undefined) checkIds(found.ids.subarray(from, to), vocabularySize, probes, i)
      if (found.truncated[i - begin] === 1) truncated[probes.domain[i]]++
      offsets[i + 1] = tokens.length + to
      longest = Math.max(longest, length)
    }
    tokens.append(found.ids, found.typeIds)
    control.onProgress?.({ phase: 'tokenize', done: end, total: n, unit: 'texts' })
    control.signal?.throwIfAborted()
  }
  const packed = { ...tokens.finish(), offsets, label: probes.label, domain: probes.domain, truncated, longest }
  return probes.prompts ? { ...packed, prompts: await promptTokens(probes, packed, tokenizer, control) } : packed
}

/** The first tokens that each text shares with its prompt. Refuses texts of which no token of the response is left. */
export async function promptTokens(
  probes: Pick<ProbeSet, 'prompts' | 'sources'>,
  { ids, offsets }: Pick<PackedProbes, 'ids' | 'offsets'>,
  tokenizer: BatchEncoder,
  control: RunOptions,
): Promise<Uint32Array> {
  const prompts = probes.prompts!
  const counts = new Uint32Array(prompts.length)
  const textsOf = ({ begin, end }: Span): string[] => prompts.slice(begin, end)
  for await (const { batch, tokens } of encodeAhead(spans(prompts), textsOf, tokenizer, {})) {
    control.signal?.throwIfAborted()
    for (let i = batch.begin; i < batch.end; i++) {
      const prompt = tokens.ids.subarray(tokens.offsets[i - batch.begin], tokens.offsets[i - batch.begin + 1])
      const text = ids.subarray(offsets[i], offsets[i + 1])
      const apart = prompt.findIndex((id, at) => id !== text[at])
      counts[i] = apart < 0 ? prompt.length : apart
      if (counts[i] >= text.length) throw noResponse(probes, i, text.length)
    }
  }
  return counts
}

function noResponse(probes: Pick<ProbeSet, 'sources'>, i: number, length: number): Error {
  return errorAt(
    'PROBES_RESPONSE_EMPTY',
    placeOf(probes.sources[i]),
    `no token of the response is left in the ${length} tokens of the text`,
    'raise --max-length, shorten the prompt, or remove the row',
  )
}

interface Span {
  begin: number
  end: number
}

function* spans(texts: string[]): Generator<Span> {
  for (let begin = 0, end = 0; begin < texts.length; begin = end) {
    for (let size = 0; end < texts.length && end - begin < batchTexts && size < batchCharacters; end++)
      size += texts[end].length
    yield { begin, end }
  }
}

/** Ids and type ids that grow by doubling. */
class TokenBuffer {
  length = 0
  #ids = new Uint32Array(1 << 12)
  #typeIds = new Uint8Array(1 << 12)

  append(ids: Uint32Array, typeIds: Uint8Array): void {
    const needed = this.length + ids.length
    if (needed > this.#ids.length) {
      const capacity = Math.max(needed, 2 * this.#ids.length)
      const [grownIds, grownTypes] = [new Uint32Array(capacity), new Uint8Array(capacity)]
      grownIds.set(this.#ids)
      grownTypes.set(this.#typeIds)
      this.#ids = grownIds
      this.#typeIds = grownTypes
    }
    this.#ids.set(ids, this.length)
    this.#typeIds.set(typeIds, this.length)
    this.length = needed
  }

  finish(): { ids: Uint32Array; typeIds: Uint8Array } {
    return { ids: this.#ids.slice(0, this.length), typeIds: this.#typeIds.slice(0, this.length) }
  }
}

function checkIds(ids: Uint32Array, vocabularySize: number, probes: ProbeSet, i: number): void {
  const beyond = ids.find((id) => id >= vocabularySize)
  if (beyond === undefined) return
  throw errorAt(
    'TOKENIZER_ID_RANGE',
    placeOf(probes.sources[i]),
    `the tokenizer gives the id ${beyond}; the model embeds ${vocabularySize} tokens`,
    'use the tokenizer.json that belongs to the model',
    { expected: vocabularySize - 1, found: beyond },
  )
}

function noTokens(probes: ProbeSet, i: number): Error {
  return errorAt(
    'PROBES_NO_TOKENS',
    placeOf(probes.sources[i]),
    `the text gives no token: ${JSON.stringify(shorten(probes.texts[i]))}`,
    'remove the row',
  )
}

function overlong(probes: ProbeSet, i: number, length: number, maxLength: number): Error {
  return errorAt(
    'PROBES_TEXT_TOO_LONG',
    placeOf(probes.sources[i]),
    `the text has ${length} tokens, more than the ${maxLength} allowed`,
    'raise --max-length, or leave --no-truncate out',
    { expected: maxLength, found: length },
  )
}
