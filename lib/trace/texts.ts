import { inputError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative, runTask } from '../native/task.js'
import type { Handle } from '../native/types.js'
import type { TextRecord } from '../text/index.js'
import { type BatchEncoder, encodeAhead, IdBuffer, type TokenBatch, type Tokenizer } from '../text/tokenizer/index.js'
import { judgeTails, type TailEvidence, type TextRule } from './objective.js'
import { undecided, untrained } from './rows.js'

/** What the trained tokens say about one text. */
export interface TracedText {
  record: TextRecord
  domain: string
  /** `excluded`: it holds an untrained token, so it was not in the training set as tokenised */
  status: 'excluded' | 'possible'
  /** of an excluded text: untrained tokens, each once, in the order of the text; the last token only where it tells */
  untrained: number[]
  /** untrained tokens of a possible text: each may have stood where nothing was learned after it */
  spared: number[]
  tokens: number
  truncated: boolean
}

export interface TextPool {
  handle: Handle
  domains: string[]
  /** D */
  sizes: Uint32Array
  excluded: Uint32Array
  /** texts that are possible, and their numbers in the pool, ascending */
  possible: TextRecord[]
  possibleAt: number[]
  /**
   * of each of them, where it was asked for: its tokens that were targets if the text was trained on and whose rows
   * leave that open, which are undecided ones anywhere but at the beginning, and the last where it may have moved none
   */
  open: (readonly number[])[]
  /** tokens: 1 where some text holds it after its first token, so that it may have been a target; with `open` */
  later: Uint8Array
  /** what the texts say about the last tokens of training texts; undefined where that was known */
  tails?: TailEvidence
  truncated: number
}

/** Texts as they are read, or that have been read already. */
export type TextBatches = AsyncIterable<readonly TextRecord[]> | Iterable<readonly TextRecord[]>

export interface TraceTexts {
  /** fills `TextPool.open` */
  open?: boolean
  /** called with every text in the order of the input; a promise is waited for */
  onText?: (text: TracedText, spelling: (id: number) => string) => void | Promise<void>
  signal?: AbortSignal
}

/** What goes to the native pool at once: so many texts, or about so many tokens. */
const batchTexts = 1 << 14,
  batchTokens = 1 << 17
/** What goes to the tokenizer at once: so many texts, or about so many characters. The event loop turns in between. */
const turnTexts = 1 << 10,
  turnCharacters = 1 << 16

const none: readonly number[] = [],
  noTails = new Uint8Array(0)

/** The domain of a text: its own, else its label. */
export const domainOf = ({ domain, label }: TextRecord): string => domain ?? label ?? 'all'

interface Turn {
  records: readonly TextRecord[]
  begin: number
  end: number
}

async function* turns(batches: TextBatches): AsyncGenerator<Turn> {
  for await (const records of batches) {
    for (let begin = 0, end = 0; begin < records.length; begin = end) {
      for (let size = 0; end < records.length && end - begin < turnTexts && size < turnCharacters; end++)
        size += records[end].text.length
      yield { records, begin, end }
    }
  }
}

const textsOf = ({ records, begin, end }: Turn): string[] =>
  Array.from({ length: end - begin }, (_, i) => records[begin + i].text)

/** Tokenises texts, sets them against the trained tokens, and puts them into a native pool for the members. */
export class TextTracer {
  readonly pool: TextPool
  readonly #numbers = new Map<string, number>()
  #sizes: number[] = []
  #excluded: number[] = []
  /** of the last text */
  #domain: string | undefined
  #number = 0
  /** what the pool does not have yet: the tokens of `#texts` texts, where each of them ends, its domain */
  readonly #ids = new IdBuffer()
  readonly #offsets = new Uint32Array(batchTexts + 1)
  readonly #domains = new Uint32Array(batchTexts)
  #texts = 0
  /** of these texts: 1 where the last token may have moved no row */
  readonly #tails = new Uint8Array(batchTexts)
  #anyTails = false
  #open = false
  /** texts so far */
  #read = 0
  #appended = Promise.resolve()
  /** by token: the last text that it was told of as untrained, from 1 on */
  readonly #seen: Uint32Array
  #count = 0
  readonly #limit: { maxLength?: number }

  constructor(
    readonly tokenizer: Tokenizer,
    readonly state: Uint8Array,
    /** tokens beyond its limit were not trained on and do not count */
    readonly rule: TextRule,
    /** where tokens of the texts are there already */
    readonly encoder: BatchEncoder = tokenizer,
  ) {
    if (tokenizer.maxId >= state.length) {
      throw inputError(
        'TOKENIZER_ID_RANGE',
        `the tokenizer gives ids up to ${tokenizer.maxId}; the table has ${state.length} rows`,
        { expected: state.length - 1, found: tokenizer.maxId },
        'use the tokenizer.json that belongs to the model',
      )
    }
    this.pool = {
      handle: callNative(() => addon().openPool(state.length)),
      domains: [],
      sizes: new Uint32Array(0),
      excluded: new Uint32Array(0),
      possible: [],
      possibleAt: [],
      open: [],
      later: new Uint8Array(state.length),
      truncated: 0,
    }
    this.#seen = new Uint32Array(state.length)
    this.#limit = { maxLength: rule.limit }
  }

  /** Traces every text in the order of the input; lets the event loop turn. */
  async trace(batches: TextBatches, { onText, signal, open = false }: TraceTexts = {}): Promise<void> {
    this.#open = open
    const spelling = (id: number): string => this.tokenizer.token(id)
    for await (const { batch, tokens } of encodeAhead(turns(batches), textsOf, this.encoder, this.#limit)) {
      signal?.throwIfAborted()
      for (let next = batch.begin; next < batch.end; ) {
        const told: TracedText[] = []
        next = this.#some(batch, tokens, next, onText && told)
        for (const text of told) {
          const waiting = onText!(text, spelling)
          if (waiting) await waiting
        }
        if (this.#full()) await this.#flush()
      }
    }
    await this.#flush()
    await this.#appended
    this.pool.domains = [...this.#numbers.keys()]
    this.pool.sizes = Uint32Array.from(this.#sizes)
    this.pool.excluded = Uint32Array.from(this.#excluded)
    await this.#refuseContradiction()
    await this.#settleTails()
  }

  /** Whether last tokens count for the members, where the options leave it open: as the texts say. */
  async #settleTails(): Promise<void> {
    const {
      layout: { objective, eos },
    } = this.rule
    if (objective !== 'language' || eos !== 'auto' || !this.#anyTails) return
    const counts = await callNative(() => addon().tailCounts(this.pool.handle, { state: this.state })).promise
    this.pool.tails = judgeTails(counts)
    callNative(() => addon().countTails(this.pool.handle, this.pool.tails!.tails === 'moved'))
  }

  #full(): boolean {
    return this.#texts === batchTexts || this.#ids.length >= batchTokens
  }

  /**
   * Adds texts from `next` on until the pool wants them; where it stopped. `told` gets what there is to tell of
   * them.
   */
  #some(
    { records, begin: first, end }: Turn,
    tokens: TokenBatch,
    next: number,
    told: TracedText[] | undefined,
  ): number {
    const { state, pool } = this
    const ids = this.#ids
    for (; next < end && !this.#full(); next++) {
      const record = records[next],
        begin = ids.length,
        at = next - first,
        truncated = tokens.truncated[at] === 1
      const size = tokens.offsets[at + 1] - tokens.offsets[at],
        spared = Number(this.rule.sparesFirst && size > 0)
      ids.pushRange(tokens.ids, tokens.offsets[at] + spared, size - spared)
      if (this.#open) for (let i = begin + 1; i < ids.length; i++) pool.later[ids.data[i]] = 1
      if (truncated) pool.truncated++
      const { data, length } = ids
      let from = begin
      while (from < length && state[data[from]] !== untrained) from++
      const count = size,
        places = from < length ? this.#places(begin, from) : none
      const d = this.#numberOf(domainOf(record)),
        possible = from === length || !this.rule.excludes(places, count, truncated)
      this.#sizes[d]++
      if (possible) {
        pool.possible.push(record)
        pool.possibleAt.push(this.#read)
        if (this.#open) pool.open.push(this.#openTokens(begin, this.rule.sparesLast(count, truncated)))
      } else this.#excluded[d]++
      if (told) {
        const missing = this.#distinct(possible ? places : this.rule.telling(places, count, truncated), begin)
        told.push({
          record,
          domain: this.#domain!,
          status: possible ? 'possible' : 'excluded',
          untrained: possible ? [] : missing,
          spared: possible ? missing : [],
          tokens: count,
          truncated,
        })
      }
      this.#read++
      const tail = this.rule.sparesLast(count, truncated)
      this.#anyTails ||= tail
      this.#tails[this.#texts] = Number(tail)
      this.#domains[this.#texts++] = d
      this.#offsets[this.#texts] = length
    }
    return next
  }

  /** Where the text that begins at `begin` has untrained tokens, the first of them at `at`. */
  #places(begin: number, at: number): number[] {
    const places: number[] = [],
      { state } = this,
      { data, length } = this.#ids
    for (; at < length; at++) if (state[data[at]] === untrained) places.push(at - begin)
    return places
  }

  /** The tokens of the text that begins at `begin` which its rows leave open, each once. */
  #openTokens(begin: number, sparesLast: boolean): readonly number[] {
    const { data, length } = this.#ids
    const places: number[] = []
    for (let at = begin + 1; at < length; at++) {
      const state = this.state[data[at]]
      if (state === undecided || (state === untrained && at === length - 1 && sparesLast)) places.push(at - begin)
    }
    return places.length > 0 ? this.#distinct(places, begin) : none
  }

  /** The tokens at these places, each once. */
  #distinct(places: readonly number[], begin: number): number[] {
    const tokens: number[] = [],
      number = ++this.#count
    for (const place of places) {
      const id = this.#ids.data[begin + place]
      if (this.#seen[id] === number) continue
      this.#seen[id] = number
      tokens.push(id)
    }
    return tokens
  }

  #numberOf(domain: string): number {
    if (domain === this.#domain) return this.#number
    let number = this.#numbers.get(domain)
    if (number === undefined) {
      number = this.#numbers.size
      this.#numbers.set(domain, number)
      this.#sizes.push(0)
      this.#excluded.push(0)
    }
    this.#domain = domain
    return (this.#number = number)
  }

  /**
   * Gives the pool what it does not have yet, to be put in order on another thread while the next texts are
   * tokenised.
   */
  async #flush(): Promise<void> {
    await this.#appended
    const texts = {
      offsets: this.#offsets.subarray(0, this.#texts + 1),
      ids: this.#ids.data.subarray(0, this.#ids.length),
      domain: this.#domains.subarray(0, this.#texts),
      tails: this.#anyTails ? this.#tails.subarray(0, this.#texts) : noTails,
    }
    this.#appended = runTask(() => addon().appendToPool(this.pool.handle, texts), 'pool', 'texts')
    this.#appended.catch(() => undefined) // it is waited for later, or never after another error
    this.#ids.clear()
    this.#texts = 0
  }

  /**
   * The tokens that stand in every text whatever it says are trained if anything is; of a language model those that
   * begin it.
   */
  async #refuseContradiction(): Promise<void> {
    const { tokenizer } = this,
      empty = (await tokenizer.encode('')).ids
    const full = this.rule.layout.objective === 'classify' ? empty : (await tokenizer.encode('a')).ids
    const always = Array.from(empty).slice(0, full === empty ? undefined : commonStart(empty, full))
    const wrong = always.find((id) => this.state[id] === untrained)
    if (wrong === undefined) return
    throw inputError(
      'TRACE_TOKENIZER',
      `every text holds the token ${this.tokenizer.token(wrong)} (${wrong}), which was not trained: the texts are ` +
        'not tokenised as in training',
      { found: wrong },
      'Use the tokenizer.json that belongs to the model.',
    )
  }
}

function commonStart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let i = 0
  while (i < Math.min(a.length, b.length) && a[i] === b[i]) i++
  return i
}
