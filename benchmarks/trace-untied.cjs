'use strict'
// What the output rows of untied language models add to their input rows, which are exact (results/trace.md).
//   node benchmarks/trace-untied.cjs BASE REFERENCE… > results.jsonl
// REFERENCE is a model directory with pool.jsonl and truth.json (`member`, of each of its lines), as trace-experts.cjs
// leaves it. Each is traced as it is, and with the input rows hidden (as if they had been frozen). Needs a build.
const { readFileSync } = require('node:fs')
const { join, basename } = require('node:path')
const { area, recall } = require('./scores.cjs')
const lib = join(__dirname, '..', 'dist', 'lib')
const { readEvidence, traceRecords } = require(join(lib, 'trace'))
const { readRecords } = require(join(lib, 'text'))

const [base, ...references] = process.argv.slice(2)

/** Of texts of the pool, by their probabilities: 0 for those that are no members by the table. */
function textFacts(all, member) {
  const called = member.filter((_, i) => all[i] >= 0.5)
  return {
    auc: area(all, member),
    at100: recall(all, member, 0.01),
    called: called.length,
    right: called.filter(Boolean).length,
    squaredError: all.reduce((sum, p, i) => sum + (p - Number(member[i])) ** 2, 0) / all.length,
  }
}

function scoresOf(members, member, name) {
  const all = new Array(member.length).fill(0)
  for (const one of members) all[one.row] = one[name]
  return textFacts(all, member)
}

async function run(reference) {
  const { member } = JSON.parse(readFileSync(join(reference, 'truth.json'), 'utf8'))
  const records = []
  for await (const record of readRecords([join(reference, 'pool.jsonl')], {})) records.push(record)
  const evidence = await readEvidence(base, reference)
  const occurring = new Set(),
    targets = new Set()
  for (const { row, text } of records) {
    const { ids } = await evidence.tokenizer.encode(text)
    ids.forEach((id, at) => {
      occurring.add(id)
      if (member[row] && at > 0) targets.add(id)
    })
  }
  const { state } = evidence.tokens
  const lastOnly = [...targets].filter((id) => state[id] === 0)
  const start = performance.now()
  const seen = await traceRecords(evidence, [records], { seed: 0 })
  const seconds = Math.round(performance.now() - start) / 1000
  const found = seen.tokens.filter((one) => one.state === 'target').map(({ id }) => id)
  console.log(
    JSON.stringify({
      reference: basename(reference),
      verdict: seen.result.verdict,
      outputRows: seen.result.outputRows,
      lastTokens: seen.result.lastTokens?.tails,
      lastOnly: lastOnly.length,
      found: { tokens: found.length, right: found.filter((id) => targets.has(id)).length },
      table: scoresOf(seen.members, member, 'byTable'),
      both: scoresOf(seen.members, member, 'probability'),
      estimate: seen.result.trainingTexts.estimate,
      seconds,
    }),
  )
  const hidden = {
    ...evidence,
    gradable: 'output',
    tokens: { ...evidence.tokens, verdict: 'none', cause: 'frozen', state: state.map(() => 2) },
  }
  const { result, tokens, members } = await traceRecords(hidden, [records], { seed: 0 })
  const known = tokens.filter(({ id }) => occurring.has(id))
  const is = known.map(({ id }) => targets.has(id))
  console.log(
    JSON.stringify({
      reference: basename(reference),
      inputRows: 'hidden',
      verdict: result.verdict,
      tokens: {
        targets: targets.size,
        expected: result.grading.expected,
        auc: area(
          known.map(({ score }) => score),
          is,
        ),
        at100: recall(
          known.map(({ score }) => score),
          is,
          0.01,
        ),
        falsePositiveRate: result.grading.falsePositiveRate,
      },
      texts: scoresOf(members, member, 'probability'),
      members: member.filter(Boolean).length,
      trainingTexts: result.trainingTexts,
    }),
  )
}

async function main() {
  for (const reference of references) await run(reference)
}
void main()
