'use strict'
// The trace on many training sets drawn from labelled texts, without training a model: the tokens of such a set are
// what a float32 table gives away (results/trace.md).
//   node benchmarks/trace-draws.cjs BASE EXPERT DATA OPTIONS CASE… > results.jsonl
// EXPERT is any model fine-tuned from BASE with trained embeddings: a classifier, or a language model with an output
// layer of its own, of whose texts all tokens but the last are trained. OPTIONS is JSON for the reader. A CASE is JSON:
// {"name", "draws", "texts", "inside", "pool"}: texts of a training set, share of them that the pool holds (default 0),
// further texts of each domain in the pool (default: all there are). Needs a build (npm run build).
const { join } = require('node:path')
const lib = join(__dirname, '..', 'dist', 'lib')
const { readEvidence, traceRecords } = require(join(lib, 'trace'))
const { sampleMixtures } = require(join(lib, 'lab'))
const { readRecords } = require(join(lib, 'text'))
const { Random } = require(join(lib, 'random'))

const [base, expert, data, options, ...cases] = process.argv.slice(2)
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
const within = (value, [low, high]) => Number(value >= low && (high === null || value <= high))

/** A training set of the mixture, the pool beside it, and what a table would give away of it. */
function draw(evidence, byDomain, mixture, { texts, inside = 0, pool = Infinity }, seed) {
  const random = new Random(seed, 'benchmark/draws')
  const state = new Uint8Array(evidence.tokens.state.length)
  const records = [],
    counts = []
  byDomain.forEach((list, d) => {
    const order = random.shuffle([...list]),
      count = Math.round(mixture[d] * texts),
      kept = Math.round(inside * count)
    counts.push(count)
    order.slice(0, count).forEach(({ ids }) =>
      ids.slice(0, evidence.layout.objective === 'language' ? -1 : undefined).forEach((id) => {
        state[id] = 1
      }),
    )
    records.push(...order.slice(count - kept, count + Math.min(pool, order.length)))
  })
  records.sort((a, b) => a.row - b.row)
  return { records, counts, evidence: { ...evidence, longestText: null, tokens: { ...evidence.tokens, state } } }
}

async function judge(drawn, domains, inside, seed) {
  const {
    result: {
      mixtures: [{ mixture, interval }],
      trainingTexts,
      calibration,
    },
  } = await traceRecords(drawn.evidence, [drawn.records], { seed, outputRows: false })
  const total = drawn.counts.reduce((sum, count) => sum + count, 0)
  const held = drawn.counts.reduce((sum, count) => sum + Math.round(inside * count), 0)
  const shares = drawn.counts.map((count) => count / total)
  return {
    mae: mean(domains.map((domain, d) => Math.abs(mixture[domain] - shares[d]))),
    expected: calibration.expectedError,
    covered: mean(domains.map((domain, d) => within(shares[d], interval[domain]))),
    halfWidth: mean(domains.map((domain) => (interval[domain][1] - interval[domain][0]) / 2)),
    ratio: trainingTexts.estimate / total,
    sizeCovered: within(total, trainingTexts.interval),
    insideError: (trainingTexts.inside - held) / total,
    insideCovered: within(held, trainingTexts.insideInterval),
    short: Number(trainingTexts.interval[1] === null),
  }
}

async function main() {
  const evidence = await readEvidence(base, expert)
  const records = []
  for await (const record of readRecords([data], JSON.parse(options))) {
    const { ids } = await evidence.tokenizer.encode(record.text, {
      maxLength: evidence.reference.architecture.maxPositions,
    })
    records.push({ ...record, ids })
  }
  const domains = [...new Set(records.map(({ label }) => label))].sort()
  const byDomain = domains.map((domain) => records.filter(({ label }) => label === domain))
  for (const one of cases.map((text) => JSON.parse(text))) {
    const room = byDomain.map((list) => list.length - Math.min(one.pool ?? 0, list.length))
    const fits = (mixture) => mixture.every((share, d) => share * one.texts <= room[d])
    const mixtures = sampleMixtures({
      sampler: 'paper',
      domains: domains.length,
      trials: 50 * one.draws,
      seed: 0,
    })
      .filter(fits)
      .slice(0, one.draws)
    const found = []
    for (const [seed, mixture] of mixtures.entries())
      found.push(await judge(draw(evidence, byDomain, mixture, one, seed), domains, one.inside ?? 0, seed))
    const figures = Object.keys(found[0]).map((key) => [key, mean(found.map((one) => one[key]))])
    const deviation = Math.sqrt(mean(found.map(({ mae }) => mae ** 2)) - mean(found.map(({ mae }) => mae)) ** 2)
    console.log(
      JSON.stringify({
        ...one,
        draws: found.length,
        ...Object.fromEntries(figures),
        maeError: deviation / Math.sqrt(found.length),
      }),
    )
  }
}
void main()
