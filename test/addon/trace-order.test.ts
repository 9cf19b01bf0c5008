// The trace does not depend on the order in which texts, files and domains come, and bears many domains.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../../lib/random.js'
import { trace, type TraceResult } from '../../lib/trace/index.js'
import { temporaryDirectory } from '../support/models.js'
import { trainedPair, words } from '../support/trace-models.js'
import { trainings, vocabulary } from '../support/trace-tables.js'

const [adamw] = trainings()
const spelled = words(vocabulary)
const pair = trainedPair(adamw.name)

interface Row {
  text: string
  domain: string
}

/** Texts of seven words; every third has one that was not trained. */
function rowsOf(domains: number, each: number): Row[] {
  const random = new Random(2, 'rows')
  const trained = adamw.tokens.filter((id) => id > 3)
  const others = spelled.map((_, id) => id).filter((id) => id > 3 && !adamw.tokens.includes(id))
  return Array.from({ length: domains * each }, (_, i) => {
    // a domain has words of its own
    const ids = Array.from({ length: 7 }, () => trained[(random.below(60) + 13 * (i % domains)) % trained.length])
    if (i % 3 === 0) ids[2] = others[random.below(others.length)]
    return { text: ids.map((id) => spelled[id]).join(' '), domain: `domain ${i % domains}` }
  })
}

function fileOf(rows: Row[]): string {
  const file = join(temporaryDirectory(), 'texts.jsonl')
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}

const numbersOf = ({ texts, mixtures, trainingTexts }: TraceResult): object => ({ texts, mixtures, trainingTexts })

test('files the other way round, texts in any order: the same numbers', async () => {
  const rows = rowsOf(4, 60)
  const parts = [rows.slice(0, 100), rows.slice(100)].map(fileOf)
  const { result, members } = await trace({ ...pair, probes: parts, calibrate: 20 })
  expect(result.verdict).toBe('exact')
  const order = new Random(3, 'order').permutation(rows.length)
  const shuffled = fileOf(Array.from(order, (i) => rows[i]))
  for (const probes of [[...parts].reverse(), [shuffled]]) {
    const other = await trace({ ...pair, probes, calibrate: 20 })
    expect(numbersOf(other.result)).toEqual(numbersOf(result))
    expect(other.members.map(({ text, probability }) => [text, probability])).toEqual(
      members.map(({ text, probability }) => [text, probability]),
    )
  }
})

test.each([100, 1000])(
  '%i domains',
  async (domains) => {
    const { result } = await trace({ ...pair, probes: [fileOf(rowsOf(domains, 2))], calibrate: 20 })
    expect(result.verdict).toBe('exact')
    expect(Object.keys(result.texts!)).toHaveLength(domains)
    const shares = Object.values(result.mixtures[0].mixture)
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
  },
  240_000,
)
