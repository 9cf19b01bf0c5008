// Tokenization of AG News on one thread, one text at a time, against Python's `tokenizers`: texts per second and
// ratios.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { median, models, need, python, root, round, run, shared } from '../common.mjs'

export default async function ({ rounds }) {
  const data = path.join(shared, 'data/ag_news_test.csv')
  const tokenizers = ['minilm-l6', 'smollm2-135m'].map((name) => [name, path.join(models, name, 'tokenizer.json')])
  need(data, ...tokenizers.map(([, file]) => file), path.join(root, 'dist/lib/index.js'))
  const { parse } = createRequire(import.meta.url)('csv-parse/sync')
  const texts = parse(fs.readFileSync(data)).map(([, title, text]) => `${title} ${text}`)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  const file = path.join(folder, 'texts.json')
  fs.writeFileSync(file, JSON.stringify(texts))
  const figures = { texts: texts.length }
  for (const [name, tokenizer] of tokenizers) figures[name] = compare(tokenizer, file, texts.length, rounds)
  fs.rmSync(folder, { recursive: true })
  return figures
}

function compare(tokenizer, file, texts, rounds) {
  const sides = { warp: [], python: [] }
  for (let i = 0; i < rounds; i++) {
    sides.warp.push(
      JSON.parse(run(process.execPath, [path.join(root, 'benchmarks/workers/tokenize.mjs'), tokenizer, file]).stdout),
    )
    sides.python.push(
      JSON.parse(run(python, [path.join(root, 'benchmarks/peers/tokenize.py'), tokenizer, file]).stdout),
    )
    if (sides.warp[i].tokens !== sides.python[i].tokens) throw new Error('the two sides made different tokens')
  }
  const rate = (side, pass) => Math.round(texts / median(sides[side].map((one) => one[pass])))
  const ratio = (pass) => round(median(sides.warp.map((one, i) => sides.python[i][pass] / one[pass])))
  return {
    tokens: sides.warp[0].tokens,
    textsPerSecond: {
      warp: { cold: rate('warp', 'cold'), warm: rate('warp', 'warm') },
      python: { cold: rate('python', 'cold'), warm: rate('python', 'warm') },
    },
    ratios: { cold: ratio('cold'), warm: ratio('warm') },
  }
}
