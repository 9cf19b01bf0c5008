import { setImmediate as nextTurn } from 'node:timers/promises'
import { inputError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { Handle } from '../native/types.js'
import type { TextRecord } from '../text/index.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { untrained } from './rows.js'

/** What the trained tokens say about one text. */
export interface TracedText {
  record: TextRecord
  domain: string
  /** `excluded`: it holds an untrained token, so it was not in the training set as tokenised */
  status: 'excluded' | 'possible'
  /** untrained tokens, each once, in the order of the text */
  untrained: number[]
  tokens: number
  truncated: boolean
}

/** Where a text of the pool came from. */
export interface PoolText {
  source: string
  row: number
  text: string
  domain: string
}

export interface TextPool {
  handle: Handle
  domains: string[]
  /** D */
  sizes: Uint32Array
  excluded: Uint32Array
  /** texts of the pool by their number in it, those that are possible only */
  possible: Map<number, PoolText>
  truncated: number
}

const batchTexts = 4096
const turnMilliseconds = 20

/** Tokenises texts, sets them against the trained tokens, and puts them into a native pool for the members. */
export class TextTracer {
  readonly pool: TextPool
  readonly #domains = new Map<string, number>()
  #sizes: number[] = []
  #excluded: number[] = []
  #count = 0
  #ids = new Uint32Array(1 << 16)
  #used = 0
  #offsets: number[] = [0]
  #domain: number[] = []
  readonly #seen: Uint32Array

  constructor(
    readonly tokenizer: Tokenizer,
    readonly state: Uint8Array,
    /** tokens beyond it were not trained on and do not count; undefined: no limit is known */
    readonly maxLength: number | undefined,
  ) {
    if (tokenizer.maxId >= state.length) {
      throw inputError('TOKENIZER_ID_RANGE', `the tokenizer gives ids up to ${tokenizer.maxId}; the table has ${state.length} rows`,
        { expected: state.length - 1, found: tokenizer.maxId }, 'use the tokenizer.json that belongs to the model')
    }
    this.pool = {
      handle: callNative(() => addon().openPool(state.length)), domains: [], sizes: new Uint32Array(0), excluded: new Uint32Array(0),
      possible: new Map(), truncated: 0,
    }
    this.#seen = new Uint32Array(state.length)
  }

  /** Traces every text in the order of the input; lets the event loop turn about every 20 ms. */
  async *trace(records: AsyncIterable<TextRecord>, signal?: AbortSignal): AsyncGenerator<TracedText> {
    let turned = performance.now()
    for await (const record of records) {
      yield this.#one(record)
      if (performance.now() - turned < turnMilliseconds) continue
      await nextTurn()
      signal?.throwIfAborted()
      turned = performance.now()
    }
    this.#flush()
    this.pool.domains = [...this.#domains.keys()]
    this.pool.sizes = Uint32Array.from(this.#sizes)
    this.pool.excluded = Uint32Array.from(this.#excluded)
    this.#refuseContradiction()
  }

  #one(record: TextRecord): TracedText {
    const { ids, truncated } = this.tokenizer.encode(record.text, this.maxLength === undefined ? {} : { maxLength: this.maxLength })
    const missing: number[] = []
    const number = ++this.#count
    for (const id of ids) {
      if (this.#seen[id] === number) continue
      this.#seen[id] = number
      if (this.state[id] === untrained) missing.push(id)
    }
    const domain = record.domain ?? record.label ?? 'all'
    const d = this.#domainOf(domain)
    this.#sizes[d]++
    if (truncated) this.pool.truncated++
    const status = missing.length > 0 ? 'excluded' : 'possible'
    if (status === 'excluded') this.#excluded[d]++
    else this.pool.possible.set(number - 1, { source: record.source, row: record.row, text: record.text, domain })
    this.#append(ids, d)
    return { record, domain, status, untrained: missing, tokens: ids.length, truncated }
  }

  #domainOf(domain: string): number {
    const known = this.#domains.get(domain)
    if (known !== undefined) return known
    this.#domains.set(domain, this.#domains.size)
    this.#sizes.push(0)
    this.#excluded.push(0)
    return this.#domains.size - 1
  }

  #append(ids: Uint32Array, domain: number): void {
    if (this.#used + ids.length > this.#ids.length) {
      const larger = new Uint32Array(Math.max(2 * this.#ids.length, this.#used + ids.length))
      larger.set(this.#ids.subarray(0, this.#used))
      this.#ids = larger
    }
    this.#ids.set(ids, this.#used)
    this.#used += ids.length
    this.#offsets.push(this.#used)
    this.#domain.push(domain)
    if (this.#domain.length === batchTexts) this.#flush()
  }

  #flush(): void {
    const texts = { offsets: Uint32Array.from(this.#offsets), ids: this.#ids.slice(0, this.#used), domain: Uint32Array.from(this.#domain) }
    callNative(() => addon().appendToPool(this.pool.handle, texts))
    this.#used = 0
    this.#offsets = [0]
    this.#domain = []
  }

  /** The tokens that stand in every text whatever it says are trained if anything is. */
  #refuseContradiction(): void {
    const always = this.tokenizer.encode('').ids
    const wrong = Array.from(always).find((id) => this.state[id] === untrained)
    if (wrong === undefined) return
    throw inputError('TRACE_TOKENIZER', `every text holds the token ${this.tokenizer.token(wrong)} (${wrong}), which was not trained: the texts are ` +
      'not tokenised as in training', { found: wrong }, 'Use the tokenizer.json that belongs to the model.')
  }
}
