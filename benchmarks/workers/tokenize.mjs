// One side, one round of the case tokenize: node tokenize.mjs TOKENIZER_JSON TEXTS_JSON → {tokens, cold, warm} (seconds
// of a first pass with empty caches and of a second).
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const { openEngine } = createRequire(import.meta.url)('../../dist/lib/text/tokenizer/open.js')
const [tokenizerFile, textsFile] = process.argv.slice(2)
const { engine } = await openEngine(tokenizerFile)
const texts = JSON.parse(readFileSync(textsFile, 'utf8'))
let tokens
const pass = () => {
  const begin = performance.now()
  tokens = 0
  for (const text of texts) tokens += engine.encode(text).ids.length
  return (performance.now() - begin) / 1000
}
const cold = pass()
const warm = pass()
console.log(JSON.stringify({ tokens, cold, warm }))
