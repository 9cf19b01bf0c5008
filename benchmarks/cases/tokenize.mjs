// Tokenization speed on one thread, one text at a time, against the Python package `tokenizers`:
//   node benchmarks/cases/tokenize.mjs --model DIRECTORY --csv ag_news_test.csv [--rounds 5] [--python python3]
// Each round runs a fresh process of either side, one after the other. Prints one JSON object: texts per second (median
// over the rounds) of a first pass with empty caches and of a second pass, and the ratios within the rounds.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const require = createRequire(import.meta.url)
const self = fileURLToPath(import.meta.url)
const peer = join(self, '../../peers/tokenize.py')

/** One side, one round: what the peer prints. */
async function measure(tokenizerFile, textsFile) {
  const { loadTokenizer } = require('../../dist/lib/text/tokenizer/index.js')
  const tokenizer = await loadTokenizer(tokenizerFile)
  const texts = JSON.parse(readFileSync(textsFile, 'utf8'))
  const pass = () => {
    const begin = performance.now()
    let tokens = 0
    for (const text of texts) tokens += tokenizer.encode(text).ids.length
    return [(performance.now() - begin) / 1000, tokens]
  }
  const [cold, tokens] = pass()
  const [warm] = pass()
  return { tokens, cold, warm }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

function compare({ model, csv, rounds, python }) {
  const folder = mkdtempSync(join(tmpdir(), 'warp-bench-'))
  try {
    const { parse } = require('csv-parse/sync')
    const texts = parse(readFileSync(csv)).map(([, title, text]) => `${title} ${text}`)
    const textsFile = join(folder, 'texts.json')
    const tokenizerFile = join(model, 'tokenizer.json')
    writeFileSync(textsFile, JSON.stringify(texts))
    const run = (command, ...args) =>
      JSON.parse(execFileSync(command, [...args, tokenizerFile, textsFile], { encoding: 'utf8' }))
    const ours = []
    const theirs = []
    for (let round = 0; round < rounds; round++) {
      ours.push(run(process.execPath, self, '--once'))
      theirs.push(run(python, peer))
      if (ours[round].tokens !== theirs[round].tokens) throw new Error('the two sides made different tokens')
    }
    const rate = (side, pass) => Math.round(texts.length / median(side.map((round) => round[pass])))
    const ratio = (pass, ofOurs) => +median(ours.map((round, i) => theirs[i][pass] / round[ofOurs])).toFixed(1)
    return {
      case: 'tokenize', model: basename(model), texts: texts.length, tokens: ours[0].tokens, rounds,
      node: process.version, tokenizers: theirs[0].version,
      textsPerSecond: {
        warp: { cold: rate(ours, 'cold'), warm: rate(ours, 'warm') },
        python: { cold: rate(theirs, 'cold'), warm: rate(theirs, 'warm'), batchFast: rate(theirs, 'batch') },
      },
      ratio: { cold: ratio('cold', 'cold'), warm: ratio('warm', 'warm'), warmAgainstBatchFast: ratio('batch', 'warm') },
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    once: { type: 'boolean', default: false },
    model: { type: 'string' },
    csv: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    python: { type: 'string', default: 'python3' },
  },
})
const result = values.once ? await measure(...positionals) : compare({ ...values, rounds: Number(values.rounds) })
console.log(JSON.stringify(result))
