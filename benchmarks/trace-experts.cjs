'use strict'
// Makes experts whose training texts are known, for trace.cjs and trace-tied.cjs, by `warp train`.
//   node benchmarks/trace-experts.cjs KIND BASE DATA OPTIONS OUT SEED TEXTS RATE [MORE…]
// OPTIONS is JSON for the reader. KIND "language": TEXTS texts drawn from DATA, one pass in batches of 8, AdamW with a
// decay of .01; OUT also gets pool.jsonl (the texts among 9 000 at most) and truth.json (`member`, of each of its
// lines). KIND "classifier": TEXTS texts in a mixture of the paper's sampler, four passes in batches of 32, at most 256
// tokens; truth.json as benchmarks/trace.cjs reads it. MORE are further options of `warp train`. Needs a build.
const { mkdirSync, rmSync, writeFileSync } = require('node:fs')
const { spawnSync } = require('node:child_process')
const { join } = require('node:path')
const dist = join(__dirname, '..', 'dist')
const { realisedCounts, sampleMixtures } = require(join(dist, 'lib', 'lab', 'mixtures'))
const { readRecords } = require(join(dist, 'lib', 'text'))
const { Random } = require(join(dist, 'lib', 'random'))

const [kind, base, data, options, out, seedText, textsText, rate, ...more] = process.argv.slice(2)
const seed = Number(seedText),
  texts = Number(textsText),
  candidates = 9000

const lines = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

function train(rows, recipe) {
  mkdirSync(`${out}.texts`, { recursive: true })
  const file = join(`${out}.texts`, 'training.jsonl')
  writeFileSync(file, lines(rows))
  const arguments_ = ['train', '--base', base, '--data', file, '-o', out, '--learning-rate', rate, '--seed', seedText]
  const { status } = spawnSync(process.execPath, [join(dist, 'bin', 'warp.js'), ...arguments_, ...recipe, ...more], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  rmSync(`${out}.texts`, { recursive: true })
  if (status !== 0) process.exit(status ?? 1)
}

function language(records, random) {
  const order = random.shuffle([...records]),
    row = ({ text, domain, label }) => ({ text, domain: domain ?? label })
  train(order.slice(0, texts).map(row), ['--epochs', '1', '--batch', '8', '--weight-decay', '0.01'])
  const pool = random.shuffle(order.slice(0, candidates).map((record, i) => ({ record, member: i < texts })))
  writeFileSync(join(out, 'pool.jsonl'), lines(pool.map(({ record }) => row(record))))
  writeFileSync(join(out, 'truth.json'), JSON.stringify({ member: pool.map(({ member }) => member) }))
}

function classifier(records, random) {
  const domains = [...new Set(records.map(({ label }) => label))].sort()
  const [mixture] = sampleMixtures({ sampler: 'paper', domains: domains.length, trials: 1, seed })
  const counts = realisedCounts(mixture, texts),
    order = random.shuffle([...records]),
    left = [...counts]
  const chosen = new Set(order.filter(({ label }) => left[domains.indexOf(label)]-- > 0))
  train(
    records.filter((record) => chosen.has(record)).map(({ text, label }) => ({ text, label })),
    ['--labels', domains.join(), '--epochs', '4', '--batch', '32', '--max-length', '256', '--weight-decay', '0.01'],
  )
  const heldOut = records.filter((record) => !chosen.has(record)).map(({ row }) => row)
  writeFileSync(
    join(out, 'truth.json'),
    JSON.stringify({ domains, counts, mixture, recipe: { texts, lr: Number(rate), seed, maxLength: 256 }, heldOut }),
  )
}

async function main() {
  const records = []
  for await (const record of readRecords([data], JSON.parse(options))) records.push(record)
  const random = new Random(seed, 'benchmark/trace-experts')
  if (kind === 'language') language(records, random)
  else classifier(records, random)
}
void main()
