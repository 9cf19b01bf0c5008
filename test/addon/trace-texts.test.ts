import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addon } from '../../lib/native/load.js'
import { Random } from '../../lib/random.js'
import type { TextRecord } from '../../lib/text/index.js'
import { loadTokenizer, type Tokenizer } from '../../lib/text/tokenizer/index.js'
import type { LocalTokenizer } from '../../lib/text/tokenizer/local.js'
import { TextRule } from '../../lib/trace/objective.js'
import { TextTracer, type TracedText, type TraceTexts } from '../../lib/trace/texts.js'
import { temporaryDirectory } from '../support/models.js'
import { localTokenizer } from '../support/tokenizers.js'
import { tokenizerJson, words } from '../support/trace-models.js'

const vocabulary = words(60)
/** tokens 40 … 58 are untrained, 59 is undecided */
const state = Uint8Array.from(vocabulary, (_, id) => (id < 40 ? 1 : id < 59 ? 0 : 2))
let tokenizer: Tokenizer
/** the same, on this thread */
let own: LocalTokenizer

beforeAll(async () => {
  const file = join(temporaryDirectory(), 'tokenizer.json')
  writeFileSync(file, tokenizerJson(vocabulary, true))
  tokenizer = await loadTokenizer(file)
  own = localTokenizer(file)
})

const seeded = new Random(1, 'texts')
const textOf = (ids: number[]): string => ids.map((id) => vocabulary[id]).join(' ')

/**
 * Texts of 0 to 9 words, a third of them with untrained ones, some of these twice; with a domain, a label, both or
 * neither.
 */
function texts(count: number): TextRecord[] {
  return Array.from({ length: count }, (_, row) => {
    const ids = Array.from({ length: row % 10 }, () => 4 + seeded.below(row % 3 ? 36 : 56))
    const named = { 0: {}, 1: { label: 'a' }, 2: { domain: 'b' }, 3: { label: 'a', domain: 'c' } }[row % 4]
    return { text: textOf([...ids, ...ids.slice(0, 2)]), ...named, source: `file:${row + 1}`, row }
  })
}

async function* cut(records: TextRecord[], size: number): AsyncGenerator<TextRecord[]> {
  for (let at = 0; at < records.length; at += size) yield records.slice(at, at + size)
}

/** What is to be said of a text, by its definition. */
function expected(record: TextRecord, maxLength?: number): TracedText {
  const { ids, truncated } = own.encode(record.text, { maxLength })
  const untrained = [...new Set(ids)].filter((id) => state[id] === 0)
  return {
    record,
    domain: record.domain ?? record.label ?? 'all',
    status: untrained.length > 0 ? 'excluded' : 'possible',
    untrained,
    spared: [],
    tokens: ids.length,
    truncated,
  }
}

async function run(batches: AsyncIterable<TextRecord[]>, options: TraceTexts = {}, maxLength?: number) {
  const tracer = new TextTracer(
    tokenizer,
    state,
    new TextRule(
      { objective: 'classify', from: 'class', eos: 'auto', packed: 'auto', schedule: 'constant' },
      maxLength,
    ),
  )
  try {
    await tracer.trace(batches, options)
    const { survivors } = await addon().findMembers(
      tracer.pool.handle,
      { state, pull: new Float64Array(0), estimators: [{ strength: 100, inside: true }] },
      undefined,
    ).promise
    return { pool: tracer.pool, survivors: Array.from(survivors) }
  } finally {
    tracer.pool.handle.close()
  }
}

// 16 384 texts, or 131 072 tokens, go to the pool at once: once exactly, with one more, and the tokens across several
describe.each([
  [1, 10],
  [257, 1],
  [1000, 300],
  [16_384, 16_384],
  [16_385, 5000],
  [40_000, 40_000],
])('%i texts, %i at once', (count, size) => {
  const records = texts(count)

  test('are told of in their order and counted', async () => {
    const seen: TracedText[] = []
    const { pool, survivors } = await run(cut(records, size), { onText: (text) => void seen.push(text) }, 9)
    const all = records.map((record) => expected(record, 9))
    expect(seen).toEqual(all)
    const possible = all.flatMap(({ status }, i) => (status === 'possible' ? [i] : []))
    expect(pool.possible).toEqual(possible.map((i) => records[i]))
    expect(survivors).toEqual(possible)
    expect(pool.domains).toEqual([...new Set(all.map(({ domain }) => domain))])
    const count = (status?: string) =>
      pool.domains.map(
        (name) => all.filter((text) => text.domain === name && text.status === (status ?? text.status)).length,
      )
    expect(Array.from(pool.sizes)).toEqual(count())
    expect(Array.from(pool.excluded)).toEqual(count('excluded'))
    expect(pool.truncated).toBe(all.filter(({ truncated }) => truncated).length)
  })

  test('give the same pool when nobody listens', async () => {
    const [told, silent] = [await run(cut(records, size), { onText: () => undefined }), await run(cut(records, size))]
    expect({ ...silent.pool, handle: 0 }).toEqual({ ...told.pool, handle: 0 })
    expect(silent.survivors).toEqual(told.survivors)
  })
})

test('no texts give an empty pool', async () => {
  expect((await run(cut([], 1))).pool).toMatchObject({ domains: [], possible: [], truncated: 0 })
})

test('a text of more tokens than go to the pool at once', async () => {
  const record = { text: `${vocabulary[5]} `.repeat(200_000) + vocabulary[41], source: 'file:1', row: 0 }
  const seen: TracedText[] = []
  await run(cut([record, ...texts(3)], 4), { onText: (text) => void seen.push(text) })
  expect(seen[0]).toMatchObject({ tokens: 200_003, status: 'excluded', untrained: [41] })
  expect(seen.length).toBe(4)
})

describe('a callback', () => {
  test('that returns promises is waited for, one text after the other', async () => {
    const records = texts(500),
      order: number[] = []
    let running = 0
    await run(cut(records, 200), {
      onText: async ({ record: { row } }) => {
        expect(++running).toBe(1)
        if (row % 50 === 0) await new Promise(setImmediate)
        order.push(row)
        running--
      },
    })
    expect(order).toEqual(records.map(({ row }) => row))
  })

  test.each([
    [
      'throws',
      (): void => {
        throw new Error('no')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('that %s ends the pass and the reading', async (_, fail) => {
    let closed = false,
      calls = 0
    async function* batches(): AsyncGenerator<TextRecord[]> {
      try {
        yield* cut(texts(300), 300)
      } finally {
        closed = true
      }
    }
    await expect(
      run(batches(), {
        onText: ({ record: { row } }) => {
          calls++
          return row === 7 ? fail() : undefined
        },
      }),
    ).rejects.toThrow('no')
    expect([closed, calls]).toEqual([true, 8])
  })
})

test('an abort is obeyed in the middle of a batch, and timers run meanwhile', async () => {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(new Error('enough')), 1)
  // one batch that never ends by itself: its length is read anew before each text
  const [record] = texts(2).slice(1),
    endless = new Proxy([record], { get: (target, key) => (key === 'length' ? Infinity : Reflect.get(target, 0)) })
  async function* batches(): AsyncGenerator<TextRecord[]> {
    yield endless
  }
  await expect(run(batches(), { signal: controller.signal })).rejects.toThrow('enough')
  clearTimeout(timer)
})

test('a pool that is being filled refuses to be used', async () => {
  const pool = addon().openPool(10)
  const one = {
    offsets: Uint32Array.of(0, 1),
    ids: Uint32Array.of(9),
    domain: Uint32Array.of(0),
    tails: new Uint8Array(0),
  }
  const filling = addon().appendToPool(pool, one).promise
  expect(() => addon().appendToPool(pool, one)).toThrow('still being filled')
  await filling
  await addon().appendToPool(pool, one).promise
  await expect(addon().appendToPool(pool, { ...one, ids: Uint32Array.of(10) }).promise).rejects.toThrow(
    'beyond the vocabulary',
  )
  expect(() => addon().appendToPool(pool, one)).toThrow('could not be')
  pool.close()
})
