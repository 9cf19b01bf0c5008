'use strict'
// The trace of language models, tied and others, whose training texts are known: pools that hold all, half and none of
// them.
//   node benchmarks/trace-tied.cjs BASE REFERENCE… [--schedule=linear] > results.jsonl
// REFERENCE is a model directory with pool.jsonl (text, domain) and truth.json (`member`: of each line, whether it was
// trained on), as benchmarks/peers/finetune_language.py writes. Needs a build (npm run build).
const { readFileSync } = require('node:fs')
const { join, basename } = require('node:path')
const { area } = require('./scores.cjs')
const lib = join(__dirname, '..', 'dist', 'lib')
const { readEvidence, traceRecords } = require(join(lib, 'trace'))
const { readRecords } = require(join(lib, 'text'))
const { Random } = require(join(lib, 'random'))

const flag = '--schedule='
const [base, ...references] = process.argv.slice(2).filter((word) => !word.startsWith(flag))
const schedule = process.argv.find((word) => word.startsWith(flag))?.slice(flag.length)

const share = (list, test) => list.filter(test).length / list.length

async function tokenFacts(evidence, records, member, tokens) {
  const [trained, occurring] = [new Set(), new Set()]
  for (const { row, text } of records) {
    for (const id of (await evidence.tokenizer.encode(text)).ids) {
      occurring.add(id)
      if (member[row]) trained.add(id)
    }
  }
  const known = tokens.filter(({ id }) => occurring.has(id))
  const [yes, no] = [true, false].map((is) => known.filter(({ id }) => trained.has(id) === is))
  const limit = no.map(({ score }) => score).sort((a, b) => b - a)[Math.floor(0.01 * no.length)]
  return {
    trained: yes.length,
    expected: known.reduce((sum, { probability }) => sum + probability, 0),
    auc: area(
      known.map(({ score }) => score),
      known.map(({ id }) => trained.has(id)),
    ),
    recallAt1: share(yes, ({ score }) => score > limit),
    recall: share(yes, ({ probability }) => probability >= 0.5),
    falsePositives: share(no, ({ probability }) => probability >= 0.5),
  }
}

async function run(reference) {
  const { member } = JSON.parse(readFileSync(join(reference, 'truth.json'), 'utf8'))
  const records = []
  for await (const record of readRecords([join(reference, 'pool.jsonl')], {})) records.push(record)
  const evidence = await readEvidence(base, reference, {}, { schedule })
  const members = records.filter(({ row }) => member[row])
  const shuffled = new Random(7, 'benchmark/half').shuffle([...members])
  for (const [pool, hidden] of [
    ['all', []],
    ['half', shuffled.slice(0, members.length >> 1)],
    ['none', members],
  ]) {
    const gone = new Set(hidden)
    const start = performance.now()
    const found = await traceRecords(evidence, [records.filter((record) => !gone.has(record))], { seed: 0 })
    const seconds = Math.round(performance.now() - start) / 1000
    const { result, tokens, members: ranked } = found
    const [mixture] = result.mixtures
    const domains = Object.keys(mixture.mixture)
    const truth = (domain) => share(members, (record) => record.domain === domain)
    const mean = (f) => domains.reduce((sum, domain) => sum + f(domain), 0) / domains.length
    const within = (domain) =>
      truth(domain) >= mixture.interval[domain][0] && truth(domain) <= mixture.interval[domain][1]
    console.log(
      JSON.stringify({
        reference: basename(reference),
        pool,
        verdict: result.verdict,
        texts: ranked.length,
        trainingTexts: members.length,
        inside: members.length - hidden.length,
        // of states there is nothing to count here
        ...(result.grading && { tokens: await tokenFacts(evidence, records, member, tokens) }),
        estimate: result.trainingTexts.estimate,
        interval: result.trainingTexts.interval,
        insideEstimate: result.trainingTexts.inside,
        insideInterval: result.trainingTexts.insideInterval,
        precision100: share(ranked.slice(0, 100), ({ row }) => member[row]),
        mae: mean((domain) => Math.abs(mixture.mixture[domain] - truth(domain))),
        expectedMae: result.calibration.expectedError,
        covered: mean((domain) => Number(within(domain))),
        shares: domains.map((domain) => [truth(domain), mixture.mixture[domain], ...mixture.interval[domain]]),
        uniform: mean((domain) => Math.abs(1 / domains.length - truth(domain))),
        seconds,
      }),
    )
  }
}

async function main() {
  for (const reference of references) await run(reference)
}
void main()
