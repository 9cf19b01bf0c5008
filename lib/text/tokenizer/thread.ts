import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { type ErrorDetails, type ErrorKind, resourceError, WarpError } from '../../errors.js'
import type { Difference } from './compare.js'
import type { EncodeOptions, Reader, TokenBatch } from './types.js'

type Request =
  | { open: string }
  | { compare: [string, string] }
  | { engine: number; texts: string[]; options: EncodeOptions }
  | { release: number }
/** `call` is the number of a request; that of an `open` is the engine's from then on. */
export type Asked = Request & { call: number }

export interface Opened {
  reader: Reader
  kind: string
  specialIds: number[]
  sha256: string
}

/** Some of the vocabulary: one string is received faster than many. */
export interface SentTokens {
  ids: Uint32Array
  /** where each token ends in `text` */
  ends: Uint32Array
  text: string
}

export interface Failure {
  kind: ErrorKind
  code: string
  message: string
  details: ErrorDetails
  hint: string
}

export type Answer = { call: number } & (
  | { some: SentTokens }
  | { done: Opened | TokenBatch | Difference | undefined }
  | { failed: Failure }
)

interface Pending {
  resolve: (value: never) => void
  reject: (error: unknown) => void
  onSome?: (some: SentTokens) => void
}

/**
 * One thread for all tokenizers of a process: files of many megabytes are read and texts are encoded there, so that the
 * caller's event loop turns meanwhile and gets ids in whole arrays. It does not keep the process alive but for answers.
 */
export class TokenizerThread {
  readonly #worker = new Worker(path.join(__dirname, 'worker.js'))
  readonly #pending = new Map<number, Pending>()
  readonly #released = new FinalizationRegistry<number>((engine) => this.#post({ release: engine, call: 0 }))
  #calls = 0

  constructor() {
    this.#worker.on('message', (answer: Answer) => this.#hear(answer))
    this.#worker.on('error', (cause) => this.#end(cause))
    this.#worker.on('exit', () => this.#end(undefined))
    this.#worker.unref() // last: a listener of messages takes it back
  }

  static #current: TokenizerThread | undefined

  static get current(): TokenizerThread {
    return (TokenizerThread.#current ??= new TokenizerThread())
  }

  async open(file: string, onSome: (some: SentTokens) => void): Promise<Opened & { engine: number }> {
    const { call, answer } = this.#ask<Opened>({ open: file }, onSome)
    return { ...(await answer), engine: call }
  }

  encode(engine: number, texts: string[], options: EncodeOptions): Promise<TokenBatch> {
    return this.#ask<TokenBatch>({ engine, texts, options }).answer
  }

  compare(base: string, reference: string): Promise<Difference | undefined> {
    return this.#ask<Difference | undefined>({ compare: [base, reference] }).answer
  }

  /** The engine is given up when nobody has `owner` any more. */
  releaseWith(owner: object, engine: number): void {
    this.#released.register(owner, engine)
  }

  #ask<T>(request: Request, onSome?: (some: SentTokens) => void): { call: number; answer: Promise<T> } {
    const call = ++this.#calls
    const answer = new Promise<T>((resolve, reject) => {
      this.#pending.set(call, { resolve, reject, onSome })
    })
    this.#worker.ref()
    this.#post({ ...request, call })
    return { call, answer }
  }

  #post(asked: Asked): void {
    this.#worker.postMessage(asked)
  }

  #hear(answer: Answer): void {
    const pending = this.#pending.get(answer.call)!
    if ('some' in answer) {
      pending.onSome?.(answer.some)
      return
    }
    this.#pending.delete(answer.call)
    if (this.#pending.size === 0) this.#worker.unref()
    if ('done' in answer) {
      pending.resolve(answer.done as never)
      return
    }
    const { kind, code, message, details, hint } = answer.failed
    pending.reject(new WarpError(kind, code, message, details, hint))
  }

  #end(cause: Error | undefined): void {
    if (TokenizerThread.#current === this) TokenizerThread.#current = undefined
    const error = resourceError(
      'TOKENIZER_THREAD',
      `the thread of the tokenizers ended${cause === undefined ? '' : `: ${cause.message}`}`,
      {},
      'it may have had too little memory',
    )
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}
