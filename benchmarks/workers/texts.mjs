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
const { IdBuffer } = require('../../dist/lib/text/tokenizer/index.js')
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
  longestText: maxLength,
} = evidence
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

async function pass(source, onText) {
  const tracer = new TextTracer(tokenizer, state, new TextRule(evidence.layout, maxLength))
  await tracer.trace(source, { onText })
  tracer.pool.handle.close()
}

const ids = new IdBuffer()
const sides = {
  encode: () => {
    for (const { text } of records) tokenizer.encode(text, { maxLength })
  },
  encodeInto: () => {
    for (const { text } of records) {
      ids.clear()
      tokenizer.encodeInto(text, ids, { maxLength })
    }
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
    ofEncode: { trace: ratio('encode', 'trace'), callback: ratio('encode', 'callback') },
    ofEncodeInto: { trace: ratio('encodeInto', 'trace'), callback: ratio('encodeInto', 'callback') },
    readingOfPass: ratio('read', 'readAndTrace'),
    stalls,
  }),
)
