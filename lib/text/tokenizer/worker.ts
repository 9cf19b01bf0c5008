// The thread of the tokenizers: see thread.ts.
import { parentPort } from 'node:worker_threads'
import { WarpError } from '../../errors.js'
import { compareTokenizerFiles } from './compare.js'
import { openEngine } from './open.js'
import type { Answer, Asked, Failure } from './thread.js'
import type { Engine } from './types.js'

const engines = new Map<number, Engine>()
const tokensAtOnce = 1 << 11

const say = (answer: Answer, transfer: ArrayBuffer[] = []): void => parentPort!.postMessage(answer, transfer)

/** In pieces: a large vocabulary takes longer to receive than the other thread may stand still. */
function sendTokens(call: number, spellings: Map<number, string>): void {
  const ids = new Uint32Array(tokensAtOnce),
    ends = new Uint32Array(tokensAtOnce)
  let count = 0,
    text = ''
  const send = (): void => {
    say({ call, some: { ids: ids.subarray(0, count), ends: ends.subarray(0, count), text } })
    count = 0
    text = ''
  }
  for (const [id, token] of spellings) {
    text += token
    ids[count] = id
    ends[count++] = text.length
    if (count === tokensAtOnce) send()
  }
  send()
}

async function serve({ call, ...request }: Asked): Promise<void> {
  if ('release' in request) {
    engines.delete(request.release)
  } else if ('open' in request) {
    const { engine, sha256 } = await openEngine(request.open)
    engines.set(call, engine)
    sendTokens(call, engine.spellings())
    const { reader, kind, specialIds } = engine
    say({ call, done: { reader, kind, specialIds: [...specialIds], sha256 } })
  } else if ('compare' in request) {
    say({ call, done: await compareTokenizerFiles(...request.compare) })
  } else {
    const batch = await engines.get(request.engine)!.encodeBatch(request.texts, request.options)
    say(
      { call, done: batch },
      [batch.ids, batch.typeIds, batch.offsets, batch.truncated].map(({ buffer }) => buffer as ArrayBuffer),
    )
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof WarpError) return { kind: error.kind, ...error.toJSON() }
  return {
    kind: 'internal',
    code: 'INTERNAL',
    message: (error as Error).stack ?? String(error),
    details: {},
    hint: 'this is a bug: please report it',
  }
}

parentPort!.on('message', (asked: Asked) => {
  serve(asked).catch((error: unknown) => say({ call: asked.call, failed: failureOf(error) }))
})
