// A second witness of a classifier's mixture: the direction in which a trained row moved tells the label of its texts.
import { WarpError } from '../errors.js'
import { Random } from '../random.js'
import { whyTooMany } from '../readouts/limits.js'
import { LabelResolver } from '../text/labels.js'
import type { TextRecord } from '../text/index.js'
import type { BatchEncoder } from '../text/tokenizer/index.js'
import { sortInTurns, Turns } from '../turns.js'
import { labelDirections, otherRows, rowCosines } from './directions.js'
import { verdictOf, type Evidence } from './evidence.js'
import type { Found } from './found.js'
import { trained } from './rows.js'
import { domainOf } from './texts.js'
import type { TraceRun } from './trace-run.js'
import { combineVotes, countVotes, mostTexts, rareTokens, type Spread } from './vote-model.js'

export interface VotesSummary {
  /** trained tokens that few texts hold: they vote */
  voters: number
  /** texts that hold such a token, at most */
  mostTexts: number
  /** texts whose gradients gave the labels' directions, and where on the path between the models */
  texts: number
  lambda: number
  /** votes of each domain */
  votes: Record<string, number>
  /** of the votes in the mixture of both */
  weight: number
}

export interface Votes {
  summary: VotesSummary
  votes: Spread
  both: Spread
}

/** Between the models the labels are told apart better than at either end (benchmarks/results/trace.md). */
const lambda = 0.4
/** Texts of a label that are passed forward and back, and texts that may hold a token whose gradient counts. */
const textsOfLabel = 200,
  mostHolding = 100,
  leastPart = 20
/** Voters for each domain, at least. */
const leastVoters = 10

/** What votes ask of a run. */
export interface VoteOptions {
  labelMap?: Record<string, string>
  seed: number
  encoder: BatchEncoder
}

/**
 * The mixture by votes, and together with the trace's; or why they do not apply here.
 * @throws WarpError MEMORY_BUDGET, LOSS_NOT_FINITE, the signal's reason
 */
export async function castVotes(
  evidence: Evidence,
  found: Found,
  records: readonly TextRecord[],
  options: VoteOptions,
  run: TraceRun,
): Promise<Votes | string> {
  const why = whyNot(evidence, found)
  if (why !== undefined) return why
  const turns = new Turns(run.signal)
  const classes = await classesOf(evidence, found.pool.domains, records, options, turns)
  if (typeof classes === 'string') return classes
  const texts = await tokensOf(options.encoder, records, { maxLength: found.length }, turns)
  const number = new Map(found.pool.domains.map((name, d) => [name, d]))
  const domains = Uint32Array.from(records, (record) => number.get(domainOf(record))!)
  const { state } = evidence.tokens
  const rare = await rareTokens(texts, domains, state.length, turns)
  const voters = Uint32Array.from(Array.from(rare.ids.keys()).filter((at) => state[rare.ids[at]] === trained))
  const D = found.pool.domains.length
  if (voters.length < leastVoters * D)
    return `${voters.length} trained tokens stand in 1 to ${mostTexts} of the texts; ${leastVoters * D} are needed`
  const chosen = await chooseTexts(records, domains, D, options.seed, turns)
  const most = Math.min(mostHolding, Math.ceil(texts.length / leastPart))
  const labels = chosen.map((numbers, d) => ({ label: classes[d], texts: numbers.map((i) => records[i].text) }))
  const asked = { labels, lambda, maxLength: found.length, rare: (id: number) => rare.holders[id] <= most }
  const directions = await labelDirections(evidence, asked, run)
  if (typeof directions === 'string') return directions
  const rows = voters.map((at) => rare.ids[at])
  const cosines = await rowCosines(evidence, rows, directions, run)
  const { mixture, votes } = await countVotes({ rare, voters, cosines, sizes: found.pool.sizes }, turns)
  const { mixture: trace, interval } = found.calibrated
  const half = Float64Array.from(interval, ([low, high], d) => Math.max(trace[d] - low, high - trace[d]))
  const { weight, ...spreads } = combineVotes({ mixture: trace, half }, mixture)
  return {
    ...spreads,
    summary: {
      voters: voters.length,
      mostTexts,
      texts: chosen.reduce((sum, list) => sum + list.length, 0),
      lambda,
      votes: Object.fromEntries(found.pool.domains.map((name, d) => [name, Math.round(100 * votes[d]) / 100])),
      weight,
    },
  }
}

function whyNot(evidence: Evidence, { pool }: Pick<Found, 'pool'>): string | undefined {
  const { layout } = evidence
  if (layout.objective !== 'classify')
    return `directions tell labels, and the model was trained for something else (objective ${layout.objective})`
  const verdict = verdictOf(evidence)
  if (verdict !== 'exact' && verdict !== 'noisy') return `which rows were trained must be known (verdict ${verdict})`
  const rows = otherRows(evidence)
  if (rows !== undefined) return rows
  if (pool.domains.length < 2) return 'the texts are of one domain'
  return whyTooMany(pool.domains) ?? undefined
}

/** The label of each domain: all texts of a domain have one, no two domains the same. */
async function classesOf(
  { reference }: Evidence,
  domains: readonly string[],
  records: readonly TextRecord[],
  { labelMap }: VoteOptions,
  turns: Turns,
): Promise<Uint32Array | string> {
  const resolver = new LabelResolver(reference.architecture.labels, labelMap)
  const found = new Map<string, number>()
  for (const record of records) {
    if (turns.due) await turns.take()
    const domain = domainOf(record)
    let label: number
    try {
      label = resolver.resolve(record.label ?? domain, record.source)
    } catch (error) {
      if (error instanceof WarpError) return `directions tell labels: ${error.message}`
      throw error
    }
    const before = found.get(domain)
    if (before !== undefined && before !== label) return `domain ${domain} has texts of several labels`
    found.set(domain, label)
  }
  if (new Set(found.values()).size < found.size) return 'several domains have the same label'
  return Uint32Array.from(domains, (domain) => found.get(domain)!)
}

async function tokensOf(
  encoder: BatchEncoder,
  records: readonly TextRecord[],
  limit: { maxLength?: number },
  turns: Turns,
): Promise<Uint32Array[]> {
  const texts: Uint32Array[] = []
  for (let first = 0; first < records.length; first += 1024) {
    const some = records.slice(first, first + 1024)
    const { ids, offsets } = await encoder.encodeBatch(
      some.map(({ text }) => text),
      limit,
    )
    some.forEach((_, i) => texts.push(ids.slice(offsets[i], offsets[i + 1])))
    if (turns.due) await turns.take()
  }
  return texts
}

/** Numbers of some texts of each domain, whatever the order of the texts. */
async function chooseTexts(
  records: readonly TextRecord[],
  domains: Uint32Array,
  D: number,
  seed: number,
  turns: Turns,
): Promise<number[][]> {
  const own = Array.from({ length: D }, (): number[] => [])
  for (const [i, { text }] of records.entries()) {
    if (text !== '') own[domains[i]].push(i)
    if (turns.due) await turns.take()
  }
  const chosen: number[][] = []
  for (const numbers of own) {
    const sorted = await sortInTurns(numbers, (i) => records[i].text, turns)
    chosen.push(new Random(seed, 'trace/votes').shuffle(sorted).slice(0, textsOfLabel))
  }
  return chosen
}
