'use strict'
// How often the intervals of `recover` hold the true shares, on experts whose mixtures are known.
//   node benchmarks/coverage.cjs BASE DATA OPTIONS EXPERT… > rows.jsonl
//   node benchmarks/coverage.cjs --table rows.jsonl…
// DATA, OPTIONS and EXPERT as for trace.cjs. The probes are drawn from texts that the expert was not trained on, 30 and
// 100 of each domain, twice. A row is a share of a readout: truth, estimate, interval, and the method error in it.
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const lib = join(__dirname, '..', 'dist', 'lib')
const { recover } = require(lib)
const { methodErrorOf } = require(join(lib, 'readouts'))
const { readRecords } = require(join(lib, 'text'))

const { log } = console

async function run(base, expert, records) {
  const truth = JSON.parse(readFileSync(join(expert, 'truth.json'), 'utf8'))
  const held = new Set(truth.heldOut)
  const probes = records.filter(({ row }) => held.has(row))
  for (const perDomain of [30, 100])
    for (const seed of [0, 1]) {
      const { result } = await recover({
        base,
        baseHead: 'zeros',
        reference: expert,
        probes,
        perDomain,
        seed,
        points: 5,
      })
      for (const { readout, mixture, interval } of result.mixtures)
        for (const [d, domain] of truth.domains.entries())
          log(
            JSON.stringify({
              expert: expert.split('/').pop(),
              perDomain,
              seed,
              readout,
              recommended: readout === result.recommended.readout,
              verdict: result.diagnostics.verdict,
              domain,
              truth: truth.mixture[d],
              share: mixture[domain],
              interval: interval[domain],
              methodError: methodErrorOf(readout, truth.domains.length, truth.domains.length),
            }),
          )
    }
}

/** Share of rows that hold, in percent, of each readout and number of probes. */
function table(rows) {
  const groups = new Map()
  for (const row of rows)
    for (const name of [row.readout, ...(row.recommended ? ['the recommended one'] : [])]) {
      const key = `${name} | ${row.perDomain}`
      groups.set(key, [...(groups.get(key) ?? []), row])
    }
  log('| readout | probes of a domain | shares | mean error | half-width | in the interval |')
  log('|---|---|---|---|---|---|')
  for (const [key, some] of [...groups].toSorted()) {
    const mean = (of) => some.reduce((sum, row) => sum + of(row), 0) / some.length
    const error = mean(({ truth, share }) => Math.abs(truth - share))
    const half = mean(({ interval: [low, high] }) => (high - low) / 2)
    const held = mean(({ truth, interval: [low, high] }) => Number(low <= truth && truth <= high))
    log(`| ${key} | ${some.length} | ${error.toFixed(3)} | ${half.toFixed(3)} | ${(100 * held).toFixed(0)} % |`)
  }
}

async function main() {
  const [first, ...rest] = process.argv.slice(2)
  if (first === '--table')
    return table(
      rest.flatMap((file) =>
        readFileSync(file, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      ),
    )
  const [data, options, ...experts] = rest
  const records = []
  for await (const record of readRecords([data], JSON.parse(options))) records.push(record)
  for (const expert of experts) await run(first, expert, records)
}
void main()
