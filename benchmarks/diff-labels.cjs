'use strict'
// Labels of words in `warp diff`, against classifiers whose training texts are known.
//   node benchmarks/diff-labels.cjs BASE DATA OPTIONS EXPERT… > results.jsonl
// OPTIONS is JSON for the reader (columns, text, labelMap …). EXPERT is a model directory with truth.json
// (`heldOut`: rows of DATA not trained on), as for trace.cjs. Of the tokens that `diff` lists: how many got the label
// of their training texts, of those in one text, in several of one label, and of the half of both with the larger
// margins.
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const lib = join(__dirname, '..', 'dist', 'lib')
const { diff, loadTokenizer } = require(lib)
const { readRecords } = require(join(lib, 'text'))
const { LabelResolver } = require(join(lib, 'text/labels'))

const [base, data, options, ...experts] = process.argv.slice(2)

async function run(expert, records) {
  const truth = JSON.parse(readFileSync(join(expert, 'truth.json'), 'utf8'))
  const { id2label } = JSON.parse(readFileSync(join(expert, 'config.json'), 'utf8'))
  const resolver = new LabelResolver(Object.values(id2label), JSON.parse(options).labelMap)
  const held = new Set(truth.heldOut)
  const training = records.filter(({ row }) => !held.has(row))
  const tokenizer = await loadTokenizer(expert)
  const texts = training.map(({ text }) => text)
  const { ids, offsets } = await tokenizer.encodeBatch(texts, { maxLength: truth.recipe.maxLength })
  const labels = new Map()
  training.forEach(({ label, source }, i) => {
    const name = Object.values(id2label)[resolver.resolve(label, source)]
    for (const id of new Set(ids.subarray(offsets[i], offsets[i + 1]))) {
      if (!labels.has(id)) labels.set(id, [])
      labels.get(id).push(name)
    }
  })
  const start = performance.now()
  const { result } = await diff({ base, reference: expert, only: ['words'] })
  const seconds = (performance.now() - start) / 1000
  const listed = result.words.tokens.flatMap(({ id, label, margin }) => {
    const own = labels.get(id) ?? []
    return new Set(own).size === 1 ? [{ right: label === own[0], margin, texts: own.length }] : []
  })
  const part = (some) => ({ tokens: some.length, right: some.filter(({ right }) => right).length / some.length })
  const sure = [...listed].sort((a, b) => b.margin - a.margin).slice(0, listed.length >> 1)
  const one = listed.filter(({ texts: n }) => n === 1)
  const several = listed.filter(({ texts: n }) => n > 1)
  const found = { listed: result.words.tokens.length, one: part(one), several: part(several), sure: part(sure) }
  console.log(
    JSON.stringify({ expert: expert.split('/').pop(), labels: result.words.labels.reason, ...found, seconds }),
  )
}

async function main() {
  const records = []
  for await (const record of readRecords([data], JSON.parse(options))) records.push(record)
  for (const expert of experts) await run(expert, records)
}

main()
