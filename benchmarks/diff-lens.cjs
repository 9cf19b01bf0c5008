'use strict'
// The lens of `warp diff` on classifiers whose training texts are known, which it reads through the embedding table.
//   node benchmarks/diff-lens.cjs BASE DATA OPTIONS EXPERT… [-- STRANGER…] > results.jsonl
// OPTIONS is JSON for the reader (columns, text …) of DATA. EXPERT is a model directory with truth.json (`heldOut`:
// rows of DATA not trained on), as for trace.cjs. By layer, over the second to last positions: of the 20 tokens that
// the mean change of activations leads towards, and of those that it leads away from, how many stand at least twice as
// often in the training texts as in general text (away: and how many stand there at all). STRANGERS were trained on
// other data: the same of what their lens leads away from, judged by the expert's texts, which it should not name.
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const lib = join(__dirname, '..', 'dist', 'lib')
const { diff } = require(lib)
const { readRecords } = require(join(lib, 'text'))
const { shareOf, tokenJudge } = require('./diff-study/judge.cjs')

const [base, data, options, ...directories] = process.argv.slice(2)
const split = directories.includes('--') ? directories.indexOf('--') : directories.length
const [experts, strangers] = [directories.slice(0, split), directories.slice(split + 1)]

async function lensOf(reference) {
  const { result } = await diff({ base, reference, only: ['lens'] })
  return result.lens.places
}

const tokensOf = (places, layer, field) =>
  places.filter((place) => place.layer === layer && place.position > 1).flatMap((place) => place[field])

async function main() {
  const records = []
  for await (const record of readRecords([data], JSON.parse(options))) records.push(record)
  const strange = await Promise.all(strangers.map(lensOf))
  for (const expert of experts) {
    const { heldOut } = JSON.parse(readFileSync(join(expert, 'truth.json'), 'utf8'))
    const held = new Set(heldOut)
    const own = records.filter(({ row }) => !held.has(row)).map(({ text }) => text)
    const { frequent, stands } = await tokenJudge(own, expert)
    const start = performance.now()
    const places = await lensOf(expert)
    const seconds = (performance.now() - start) / 1000
    const layers = Math.max(...places.map(({ layer }) => layer))
    const byLayer = Array.from({ length: layers }, (_, i) => {
      const away = tokensOf(places, i + 1, 'away')
      return {
        towards: shareOf(tokensOf(places, i + 1, 'tokens'), frequent),
        away: shareOf(away, frequent),
        awayStands: shareOf(away, stands),
        awayStrangers: shareOf(
          strange.flatMap((all) => tokensOf(all, i + 1, 'away')),
          frequent,
        ),
        most: away.slice(0, 8).map(({ token }) => token),
      }
    })
    console.log(JSON.stringify({ expert: expert.split('/').pop(), seconds, byLayer }))
  }
}

main()
