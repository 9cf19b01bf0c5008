// One side, one round of the case language: node language.mjs MODEL TEXTS_JSONL THREADS → {tokens, and seconds of a
// point of the path: forward (with losses), scores (with derivatives through all layers), gradients (of domains, all
// layers)}. The path leads from the model to one whose layers are zero.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const require = createRequire(import.meta.url)
const { nativeWeights, networkOf, openModel } = require('../../dist/lib/checkpoint/index.js')
const { requiredTensors } = require('../../dist/lib/models/facts.js')
const { targetsOf } = require('../../dist/lib/objectives/index.js')
const { addon } = require('../../dist/lib/native/load.js')
const { loadTokenizer } = require('../../dist/lib/text/tokenizer/index.js')
const [dir, file, threads] = process.argv.slice(2)
const model = await openModel(dir, { objective: 'language' })
const network = networkOf(model, 'language')
const tensors = requiredTensors(network).filter(({ group }) => typeof group === 'number')
const weights = nativeWeights(model)
// so that every tensor of the scope moves
const moved = nativeWeights(
  model,
  tensors.map(({ name, shape }) => ({ name, dtype: 'F32', shape: [...shape], fill: 'zeros' })),
)
const tokenizer = await loadTokenizer(dir)
const texts = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line).text)
const packed = await tokenizer.encodeBatch(texts, {})
const count = texts.length
const shared = {
  network,
  ids: packed.ids,
  offsets: packed.offsets,
  typeIds: new Uint8Array(0),
  threads: Number(threads),
}
const targets = targetsOf(packed)
const time = async (work) => {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}
const score = (lambdas, scope) => {
  const path = addon().openPath(weights, moved, { family: 'linear', lambdas })
  const of = { targets, domain: new Int32Array(count), domains: 1, scope, gradients: false, memory: 2 ** 31 }
  return time(() => addon().score({ path, ...shared, ...of }).promise)
}
/** Seconds that a point more takes. */
const perPoint = async (scope) => {
  const one = await score([0.01], scope)
  return ((await score([0.01, 0.02, 0.03], scope)) - one) / 2
}
await score([], [])
const forward = await perPoint([])
const scores = await perPoint(tensors.map(({ name }) => name))
const path = addon().openPath(weights, moved, { family: 'linear', lambdas: [0.01] })
const names = tensors.map(({ name }) => name)
const elements = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
const block = Uint32Array.from({ length: count }, (_, i) => i % 4)
const asked = { targets, block, domains: 1, blocks: 4, point: 0, scope: names, rate: 2.4e6 / elements, seed: 0 }
const gradients = await time(() => addon().domainGradients({ path, ...shared, ...asked, memory: 2 ** 32 }).promise)
console.log(JSON.stringify({ tokens: packed.ids.length, forward, scores, gradients }))
