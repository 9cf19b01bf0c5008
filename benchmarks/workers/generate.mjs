// One side, one round of the case generate: node generate.mjs MODEL TEXTS TOKENS THREADS → {seconds: of all texts, the
// packing of the weights included, cpu: seconds of processors, bytes: the largest resident set}. No end token: every
// text has all its tokens.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { nativeWeights, networkOf, openModel } = require('../../dist/lib/checkpoint/index.js')
const { addon } = require('../../dist/lib/native/load.js')
const [dir, texts, tokens, threads] = process.argv.slice(2)
const model = await openModel(dir, { objective: 'language' })
const weights = nativeWeights(model)
const count = Number(texts)
const request = {
  path: addon().openPath(weights, weights, { family: 'linear', lambdas: [] }),
  network: networkOf(model, 'language'),
  point: 0,
  ids: new Uint32Array(count).fill(model.config.bos_token_id),
  offsets: Uint32Array.from({ length: count + 1 }, (_, i) => i),
  newTokens: Number(tokens),
  ends: new Uint32Array(0),
  temperature: 1,
  topK: 0,
  topP: 1,
  base: false,
  seed: 0,
  threads: Number(threads),
  memory: 2 ** 31,
}
const before = process.cpuUsage()
const start = performance.now()
const { ids } = await addon().generate(request).promise
const seconds = (performance.now() - start) / 1000
const { user, system } = process.cpuUsage(before)
if (ids.length !== count * request.newTokens) throw new Error('texts of other lengths')
console.log(JSON.stringify({ seconds, cpu: (user + system) / 1e6, bytes: 1024 * process.resourceUsage().maxRSS }))
