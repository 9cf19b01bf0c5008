'use strict'
// The trace on experts whose training texts are known: pools that hold all, half and none of them.
//   node benchmarks/trace.cjs BASE DATA OPTIONS EXPERT… > results.jsonl
// OPTIONS is JSON for the reader (columns, text, labelMap …). EXPERT is a model directory with truth.json
// (`heldOut`: rows of DATA not trained on), as benchmarks/peers' finetune writes. Needs a build (npm run build).
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const lib = join(__dirname, '..', 'dist', 'lib')
const { readEvidence, traceRecords } = require(join(lib, 'trace'))
const { readRecords } = require(join(lib, 'text'))
const { Random } = require(join(lib, 'random'))

const [base, data, options, ...experts] = process.argv.slice(2)
const reading = JSON.parse(options)

async function run(expert, records) {
  const truth = JSON.parse(readFileSync(join(expert, 'truth.json'), 'utf8'))
  const held = new Set(truth.heldOut)
  const members = records.filter(({ row }) => !held.has(row)).map(({ row }) => row)
  const evidence = await readEvidence(base, expert)
  const trained = records.filter(({ row }) => !held.has(row)).map(({ text }) => text)
  const { ids } = await evidence.tokenizer.encodeBatch(trained, { maxLength: truth.recipe.maxLength })
  const tokens = new Set(ids)
  const found = Array.from(evidence.tokens.state.keys()).filter((id) => evidence.tokens.state[id] === 1)
  const shuffled = new Random(7, 'benchmark/half').shuffle([...members])
  for (const [pool, hidden] of [
    ['all', []],
    ['half', shuffled.slice(0, members.length >> 1)],
    ['none', members],
  ]) {
    const gone = new Set(hidden)
    const start = performance.now()
    const { result, members: ranked } = await traceRecords(evidence, [records.filter(({ row }) => !gone.has(row))], {
      seed: 0,
      votes: true,
      labelMap: reading.labelMap,
    })
    const [mixture, votes, both] = result.mixtures
    const shares = Object.fromEntries(truth.domains.map((domain, d) => [domain, truth.counts[d] / members.length]))
    const top = ranked.slice(0, Math.round(result.trainingTexts.inside))
    const sum = (key) => Object.values(result.texts).reduce((total, texts) => total + texts[key], 0)
    const figures = (one) => ({
      mae: mean((domain) => Math.abs(one.mixture[domain] - shares[domain])),
      covered: mean((domain) =>
        Number(shares[domain] >= one.interval[domain][0] && shares[domain] <= one.interval[domain][1]),
      ),
      halfWidth: mean((domain) => (one.interval[domain][1] - one.interval[domain][0]) / 2),
    })
    const mean = (f) => truth.domains.reduce((total, domain) => total + f(domain), 0) / truth.domains.length
    console.log(
      JSON.stringify({
        expert: expert.split('/').pop(),
        pool,
        verdict: result.verdict,
        texts: sum('pool'),
        trainingTexts: members.length,
        inside: members.length - hidden.length,
        tokens: {
          trained: tokens.size,
          found: found.length,
          falsePositives: found.filter((id) => !tokens.has(id)).length,
          missed: [...tokens].filter((id) => evidence.tokens.state[id] !== 1).length,
        },
        longestText: result.longestText,
        decay: result.decay,
        excludedOfOthers: sum('excluded') / (sum('pool') - (members.length - hidden.length)),
        ...figures(mixture),
        expectedMae: result.calibration.expectedError,
        votes: figures(votes),
        both: { ...figures(both), weight: both.settings.weight },
        uniform: mean((domain) => Math.abs(1 / truth.domains.length - shares[domain])),
        estimate: result.trainingTexts.estimate,
        interval: result.trainingTexts.interval,
        insideEstimate: result.trainingTexts.inside,
        precision: top.length > 0 ? top.filter(({ row }) => !held.has(row)).length / top.length : null,
        strength: result.calibration.strength,
        seconds: Math.round(performance.now() - start) / 1000,
      }),
    )
  }
}

async function main() {
  const records = []
  for await (const record of readRecords([data], reading)) records.push(record)
  for (const expert of experts) await run(expert, records)
}
void main()
