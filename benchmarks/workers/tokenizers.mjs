// One side, one round of the case tokenizers: node tokenizers.mjs own|tokenizers TOKENIZER_JSON DATA READER_OPTIONS →
// milliseconds of opening, of a first and of later passes of the trace over DATA from its file, of tokenising the texts
// in memory; longest stalls of the event loop in milliseconds.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { median } from '../common.mjs'

const require = createRequire(import.meta.url)
const { TextTracer } = require('../../dist/lib/trace/texts.js')
const { readBatches } = require('../../dist/lib/text/index.js')
const { loadTokenizer } = require('../../dist/lib/text/tokenizer/index.js')
const [reader, file, data, options] = process.argv.slice(2)

/**
 * The same tokenizer in a form that this package's own code leaves to the other: a pre-tokenizer in a sequence of
 * one.
 */
function foreign() {
  const parts = JSON.parse(fs.readFileSync(file, 'utf8'))
  if (parts.normalizer) parts.normalizer = { type: 'Sequence', normalizers: [parts.normalizer] }
  else parts.normalizer = { type: 'Sequence', normalizers: [] }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  process.on('exit', () => fs.rmSync(folder, { recursive: true }))
  const other = path.join(folder, 'tokenizer.json')
  fs.writeFileSync(other, JSON.stringify(parts))
  return other
}

const delays = monitorEventLoopDelay({ resolution: 1 })
async function timed(body) {
  await new Promise((resolve) => setTimeout(resolve, 20))
  delays.reset()
  delays.enable()
  const start = performance.now()
  const used = process.cpuUsage()
  const result = await body()
  const time = performance.now() - start
  const { user, system } = process.cpuUsage(used)
  await new Promise((resolve) => setTimeout(resolve, 5))
  delays.disable()
  return { result, time, cpu: (user + system) / 1000, stall: delays.max / 1e6 }
}

const used = reader === 'own' ? file : foreign()
const opening = await timed(() => loadTokenizer(used))
const tokenizer = opening.result
if (tokenizer.reader !== reader) throw new Error(`${used} is read by ${tokenizer.reader}`)
const state = new Uint8Array(tokenizer.vocabSize).fill(1),
  maxLength = 256
const pass = async () => {
  const tracer = new TextTracer(tokenizer, state, maxLength)
  await tracer.trace(readBatches([data], JSON.parse(options)))
  tracer.pool.handle.close()
}
const passes = []
for (let i = 0; i < 5; i++) passes.push(await timed(pass))
const texts = []
for await (const batch of readBatches([data], JSON.parse(options))) for (const { text } of batch) texts.push(text)
let tokens = 0
const alone = await timed(async () => {
  for (let at = 0; at < texts.length; at += 1024)
    tokens += (await tokenizer.encodeBatch(texts.slice(at, at + 1024), { maxLength })).ids.length
})
console.log(
  JSON.stringify({
    texts: texts.length,
    tokens,
    open: opening.time,
    openStall: opening.stall,
    first: passes[0].time,
    later: median(passes.slice(1).map(({ time }) => time)),
    laterCpu: median(passes.slice(1).map(({ cpu }) => cpu)),
    alone: alone.time,
    aloneCpu: alone.cpu,
    stall: Math.max(...passes.map(({ stall }) => stall)),
  }),
)
