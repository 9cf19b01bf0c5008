'use strict'
// What a language model's table, its predictions and both say of which texts it was trained on.
//   node benchmarks/trace-predictions.cjs BASE OTHERS EXPERT… > results.jsonl
// EXPERT is a model directory with pool.jsonl and truth.json (`member`, of each of its lines), as trace-experts.cjs
// leaves it, or DIRECTORY=POOL=TRUTH. Of the texts that are no members the first OTHERS are taken. Needs a build.
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { area, recall } = require('./scores.cjs')
const { trace } = require(join(__dirname, '..', 'dist', 'lib', 'trace'))

const [base, others, ...experts] = process.argv.slice(2)

const figures = (scores, member) => ({
  auc: area(scores, member),
  at1000: recall(scores, member, 0.001),
  at100: recall(scores, member, 0.01),
})

async function run(spec) {
  const [dir, poolFile = join(dir, 'pool.jsonl'), truthFile = join(dir, 'truth.json')] = spec.split('=')
  const truth = JSON.parse(readFileSync(truthFile, 'utf8')).member
  const all = readFileSync(poolFile, 'utf8').trim().split('\n').map(JSON.parse)
  let left = Number(others)
  const chosen = [...all.keys()].filter((i) => truth[i] || left-- > 0)
  const member = chosen.map((i) => truth[i])
  const start = performance.now()
  const { result, members } = await trace({
    base,
    reference: dir,
    probes: chosen.map((i) => ({ text: all[i].text, label: all[i].domain })),
    predictions: true,
  })
  const table = new Array(chosen.length).fill(0),
    both = [...table],
    evidence = [...table]
  for (const one of members) {
    table[one.row] = one.byTable
    both[one.row] = one.probability
    evidence[one.row] = one.predictions
  }
  const called = (scores) => {
    const own = member.filter((_, i) => scores[i] >= 0.5)
    return { called: own.length, right: own.filter(Boolean).length }
  }
  const total = (scores) => scores.reduce((sum, value) => sum + value, 0)
  console.log(
    JSON.stringify({
      expert: dir.split('/').slice(-2).join('/'),
      verdict: result.verdict,
      texts: chosen.length,
      members: member.filter(Boolean).length,
      tokens: result.predictions.tokens,
      table: { ...figures(table, member), ...called(table), expected: total(table) },
      predictions: figures(evidence, member),
      both: { ...figures(both, member), ...called(both), expected: total(both) },
      statistics: result.predictions.statistics,
      seconds: Math.round((performance.now() - start) / 1000),
    }),
  )
}

async function main() {
  for (const expert of experts) await run(expert)
}
void main()
