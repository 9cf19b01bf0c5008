// node predictions.mjs MODEL TEXTS THREADS ROUNDS → {turns: [{compare, pass, cpu: {compare, pass}}] in seconds, tokens,
// peakBytes}
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { nativeWeights, networkOf, openModel } = require('../../dist/lib/checkpoint/index.js')
const { neutralTexts } = require('../../dist/lib/diff/neutral-texts.js')
const { addon } = require('../../dist/lib/native/load.js')
const { loadTokenizer } = require('../../dist/lib/text/tokenizer/index.js')
const [dir, count, threads, rounds] = process.argv.slice(2)
const model = await openModel(dir, { objective: 'language' })
const weights = nativeWeights(model)
const tokenizer = await loadTokenizer(dir)
const texts = Array.from({ length: Number(count) }, (_, i) => neutralTexts[i % neutralTexts.length])
const { ids, offsets } = await tokenizer.encodeBatch(texts, {})
const targets = Uint32Array.from(ids, (_, i) => ids[i + 1] ?? 0xffffffff)
for (const end of offsets.subarray(1)) targets[end - 1] = 0xffffffff
const request = {
  path: addon().openPath(weights, weights, { family: 'linear', lambdas: [] }),
  network: networkOf(model, 'language'),
  ids,
  offsets,
  targets,
  threads: Number(threads),
  memory: 2 ** 30,
}
const scoring = {
  typeIds: new Uint8Array(0),
  domain: new Int32Array(texts.length),
  domains: 1,
  scope: [],
  gradients: false,
}
const time = async (work) => {
  const before = process.cpuUsage()
  const start = performance.now()
  const result = await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(before)
  return { seconds, cpu: (user + system) / 1e6, result }
}
const turns = []
let peakBytes = 0
for (let i = 0; i < Number(rounds); i++) {
  const compare = await time(() => addon().compare({ ...request, top: 20, positions: 5 }).promise)
  const score = await time(() => addon().score({ ...request, ...scoring }).promise)
  peakBytes = compare.result.peakBytes
  const cpu = { compare: compare.cpu, pass: score.cpu / 2 }
  turns.push({ compare: compare.seconds, pass: score.seconds / 2, cpu })
}
console.log(JSON.stringify({ turns, tokens: ids.length, peakBytes }))
