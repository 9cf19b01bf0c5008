// This package's own tokenizers against the npm package `tokenizers`, on the same files and the same texts of AG News
// and CLINC: the trace's pass over texts from the file (first and later passes), the tokenizer alone, opening, longest
// stalls of the event loop; `tokenizers` with one thread and with all. Each side is a fresh process in each round.
// Processor time (Cpu) is there for machines that do other work meanwhile. --files=A,B: other tokenizer.json files than
// those of MiniLM and SmolLM2 (own must read them too).
import path from 'node:path'
import { median, models, need, root, round, run, shared } from '../common.mjs'

const sets = {
  ag: ['ag_news_test.csv', { columns: ['label', 'title', 'description'], text: ['title', 'description'] }],
  clinc: ['clinc_domains.jsonl', {}],
}
const sides = {
  own: ['own', {}],
  'tokenizers, 1 thread': ['tokenizers', { RAYON_NUM_THREADS: '1' }],
  'tokenizers, all threads': ['tokenizers', {}],
}
const worker = path.join(root, 'benchmarks/workers/tokenizers.mjs')

export default async function ({ rounds, files }) {
  const tokenizers = files
    ? files.split(',')
    : ['minilm-l6', 'smollm2-135m'].map((name) => path.join(models, name, 'tokenizer.json'))
  need(
    path.join(root, 'dist/lib/index.js'),
    ...tokenizers,
    ...Object.values(sets).map(([file]) => path.join(shared, 'data', file)),
  )
  const figures = {}
  for (const file of tokenizers) {
    for (const [name, [data, options]] of Object.entries(sets)) {
      const found = Object.fromEntries(Object.keys(sides).map((side) => [side, []]))
      for (let i = 0; i < rounds; i++) {
        for (const [side, [reader, env]] of Object.entries(sides)) {
          found[side].push(
            JSON.parse(
              run(
                process.execPath,
                [worker, reader, file, path.join(shared, 'data', data), JSON.stringify(options)],
                env,
              ).stdout,
            ),
          )
        }
      }
      const all = Object.values(found).flat()
      if (new Set(all.map(({ tokens }) => tokens)).size > 1)
        throw new Error(`${file}, ${name}: the two made different tokens`)
      figures[`${path.basename(path.dirname(file))}, ${name}`] = summary(found)
    }
  }
  return figures
}

/** Medians of milliseconds; texts a second of the passes; by how much own is faster than the other with all threads. */
function summary(found) {
  const middle = (side, key) => median(found[side].map((one) => one[key]))
  const [{ texts, tokens }] = found.own
  const of = (side) => ({
    milliseconds: Object.fromEntries(
      ['open', 'first', 'later', 'laterCpu', 'alone', 'aloneCpu', 'stall', 'openStall'].map((key) => [
        key,
        round(middle(side, key)),
      ]),
    ),
    textsPerSecond: {
      first: Math.round((texts / middle(side, 'first')) * 1000),
      later: Math.round((texts / middle(side, 'later')) * 1000),
      alone: Math.round((texts / middle(side, 'alone')) * 1000),
    },
  })
  const faster = (key) => round(median(found.own.map((one, i) => found['tokenizers, all threads'][i][key] / one[key])))
  return {
    texts,
    tokens,
    ...Object.fromEntries(Object.keys(found).map((side) => [side, of(side)])),
    ownFaster: Object.fromEntries(['first', 'later', 'laterCpu', 'alone', 'aloneCpu'].map((key) => [key, faster(key)])),
  }
}
