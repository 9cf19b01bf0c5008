// node texts.mjs BASE EXPERT DATA READER_OPTIONS ROUNDS → medians in milliseconds, ratios of the tokenizer's time to
// the pass's by round, longest stalls in milliseconds. The records are those of DATA four times over.
import { createRequire } from 'node:module'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { median, round } from '../common.mjs'

const require = createRequire(import.meta.url)
const { readEvidence } = require('../../dist/lib/trace/index.js')
const { TextRule } = require('../../dist/lib/trace/objective.js')
const { TextTracer } = require('../../dist/lib/trace/texts.js')
const { readBatches } = require('../../dist/lib/text/index.js')
const { encodeAhead } = require('../../dist/lib/text/tokenizer/index.js')
const { openEngine } = require('../../dist/lib/text/tokenizer/open.js')
const [base, expert, data, options, rounds] = process.argv.slice(2)
const reader = JSON.parse(options)

const delays = monitorEventLoopDelay({ resolution: 1 })
async function stall(body) {
  await new Promise((resolve) => setTimeout(resolve, 20))
  delays.reset()
  delays.enable()
  const result = await body()
  await new Promise((resolve) => setTimeout(resolve, 5))
  delays.disable()
  return [result, round(delays.max / 1e6)]
}

const [evidence, opening] = await stall(() => readEvidence(base, expert))
const {
  tokenizer,
  tokens: { state },
} = evidence
const maxLength = evidence.longestText ?? undefined
const batches = await all(fromFile())
const records = batches.flat()

async function all(iterable) {
  const items = []
  for await (const item of iterable) items.push(item)
  return items
}

async function* fromFile() {
  for (let i = 0; i < 4; i++) yield* readBatches([data], reader)
}

const textsOf = (batch) => batch.map(({ text }) => text)

async function pass(source, onText) {
  const tracer = new TextTracer(tokenizer, state, new TextRule(evidence.layout, maxLength))
  await tracer.trace(source, { onText })
  tracer.pool.handle.close()
}

const { engine } = await openEngine(base)
const sides = {
  engine: () => {
    for (const batch of batches) engine.encodeBatch(textsOf(batch), { maxLength })
  },
  thread: async () => {
    for await (const one of encodeAhead(batches, textsOf, tokenizer, { maxLength })) void one
  },
  trace: () => pass(batches),
  callback: () => pass(batches, ({ status }) => void status),
  read: async () => {
    for await (const one of fromFile()) void one
  },
  readAndTrace: () => pass(fromFile()),
}
const times = Object.fromEntries(Object.keys(sides).map((name) => [name, []]))
for (let i = -2; i < Number(rounds); i++) {
  for (const [name, side] of Object.entries(sides)) {
    const start = performance.now()
    await side()
    if (i >= 0) times[name].push(performance.now() - start)
  }
}
const ratio = (of, to) => round(median(times[of].map((time, i) => time / times[to][i])))
const stalls = { opening }
for (const name of ['trace', 'callback', 'read', 'readAndTrace']) stalls[name] = (await stall(sides[name]))[1]
console.log(
  JSON.stringify({
    texts: records.length,
    milliseconds: Object.fromEntries(Object.entries(times).map(([name, list]) => [name, round(median(list))])),
    ofEngine: { trace: ratio('engine', 'trace'), callback: ratio('engine', 'callback') },
    ofThread: { trace: ratio('thread', 'trace'), callback: ratio('thread', 'callback') },
    readingOfPass: ratio('read', 'readAndTrace'),
    stalls,
  }),
)
