// A second witness of a classifier's mixture: the direction in which a trained row moved tells the label of its texts.
import { nativeWeights, networkOf, openPair } from '../checkpoint/index.js'
import { WarpError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative, runTask } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { Random } from '../random.js'
import { whyTooMany } from '../readouts/limits.js'
import { LabelResolver } from '../text/labels.js'
import type { TextRecord } from '../text/index.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { sortInTurns, Turns } from '../turns.js'
import { verdictOf, type Evidence } from './evidence.js'
import type { Found } from './found.js'
import { trained } from './rows.js'
import { domainOf } from './texts.js'
import { threadsOf, type TraceRun } from './trace-run.js'
import { combineVotes, countVotes, mostTexts, rareTokens, type RareTokens, type Spread } from './vote-model.js'

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
const memory = 2 ** 31
const noGroup = 2 ** 32 - 1

/** What votes ask of a run. */
export interface VoteOptions {
  labelMap?: Record<string, string>
  seed: number
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
  const tokenizer = evidence.tokenizer!
  const limit = { maxLength: found.length }
  const texts = await tokensOf(tokenizer, records, limit, turns)
  const number = new Map(found.pool.domains.map((name, d) => [name, d]))
  const domains = Uint32Array.from(records, (record) => number.get(domainOf(record))!)
  const { state } = evidence.tokens
  const rare = await rareTokens(texts, domains, state.length, turns)
  const voters = Uint32Array.from(Array.from(rare.ids.keys()).filter((at) => state[rare.ids[at]] === trained))
  const D = found.pool.domains.length
  if (voters.length < leastVoters * D)
    return `${voters.length} trained tokens stand in 1 to ${mostTexts} of the texts; ${leastVoters * D} are needed`
  const chosen = await chooseTexts(records, domains, D, options.seed, turns)
  const directions = await labelDirections(evidence, { tokenizer, records, texts, chosen, classes, limit }, run)
  if (typeof directions === 'string') return directions
  const cosines = await cosinesOf(evidence, rare, voters, directions, run)
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
  const { layout, base, reference } = evidence
  if (layout.objective !== 'classify')
    return `directions tell labels, and the model was trained for something else (objective ${layout.objective})`
  const verdict = verdictOf(evidence)
  if (verdict !== 'exact' && verdict !== 'noisy') return `which rows were trained must be known (verdict ${verdict})`
  const rows = [base, reference].map((model) => model.tensors.get(model.inputEmbedding)!.shape[0])
  if (rows[0] !== rows[1]) return `the tables have ${rows[0]} and ${rows[1]} rows`
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
  tokenizer: Tokenizer,
  records: readonly TextRecord[],
  limit: { maxLength?: number },
  turns: Turns,
): Promise<Uint32Array[]> {
  const texts: Uint32Array[] = []
  for (let first = 0; first < records.length; first += 1024) {
    const some = records.slice(first, first + 1024)
    const { ids, offsets } = await tokenizer.encodeBatch(
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

interface Chosen {
  tokenizer: Tokenizer
  records: readonly TextRecord[]
  /** tokens of each */
  texts: readonly Uint32Array[]
  chosen: readonly number[][]
  classes: Uint32Array
  limit: { maxLength?: number }
}

/**
 * D × H: the mean over a label's rarer tokens of −∂loss/∂row of unit length, less the mean over labels; each of them by
 * one pass forward and back. A reason where the models cannot be computed.
 */
async function labelDirections(evidence: Evidence, of: Chosen, run: TraceRun): Promise<Float32Array | string> {
  const handles: Handle[] = []
  try {
    const pair = await openPair(evidence.base.dir, evidence.reference.dir, { objective: 'classify', baseHead: 'zeros' })
    const network = networkOf(pair.reference, 'classify')
    handles.push(nativeWeights(pair.base, pair.generated), nativeWeights(pair.reference))
    const path = callNative(() => addon().openPath(handles[0], handles[1], { family: 'linear', lambdas: [lambda] }))
    handles.push(path)
    const counts = await holding(of.texts, evidence.tokens.state.length, new Turns(run.signal))
    const most = Math.min(mostHolding, Math.ceil(of.texts.length / leastPart))
    const D = of.chosen.length
    const means: Float64Array[] = []
    for (const [d, numbers] of of.chosen.entries()) {
      const batch = await of.tokenizer.encodeBatch(
        numbers.map((i) => of.records[i].text),
        { maxLength: Math.min(of.limit.maxLength ?? network.maxPositions, network.maxPositions) },
      )
      const groups = new Map<number, number>()
      const group = Uint32Array.from(batch.ids, (id) => {
        if (counts[id] > most) return noGroup
        if (!groups.has(id)) groups.set(id, groups.size)
        return groups.get(id)!
      })
      const request = {
        ...{ path, network, ids: batch.ids, typeIds: batch.typeIds, offsets: batch.offsets },
        ...{ label: new Int32Array(numbers.length).fill(of.classes[d]), group, groups: groups.size, point: 0 },
        ...{ threads: threadsOf(run), memory },
      }
      const sums = await runTask((report) => addon().tokenGradients(request, report), 'directions', 'texts', {
        signal: run.signal,
      })
      means.push(meanDirection(sums, groups.size))
      run.onProgress?.({ phase: 'directions', done: d + 1, total: D, unit: 'labels' })
    }
    const H = Math.max(...means.map(({ length }) => length))
    const middle = Float64Array.from({ length: H }, (_, j) => means.reduce((sum, mean) => sum + (mean[j] ?? 0) / D, 0))
    return Float32Array.from({ length: D * H }, (_, at) => (means[Math.floor(at / H)][at % H] ?? 0) - middle[at % H])
  } catch (error) {
    if (error instanceof WarpError && error.kind === 'input') return `no gradients: ${error.message}`
    throw error
  } finally {
    for (const handle of handles) handle.close()
  }
}

/** By token, the texts that hold it. */
async function holding(texts: readonly Uint32Array[], vocabulary: number, turns: Turns): Promise<Uint32Array> {
  const counts = new Uint32Array(vocabulary)
  for (const ids of texts) {
    for (const id of new Set(ids)) counts[id]++
    if (turns.due) await turns.take()
  }
  return counts
}

/** Of unit length, against the gradients; [] where there are none. */
function meanDirection(sums: Float32Array, groups: number): Float64Array {
  const H = groups > 0 ? sums.length / groups : 0
  const mean = new Float64Array(H)
  const unit = (row: ArrayLike<number>, from: number, add: (j: number, value: number) => void): void => {
    let norm2 = 0
    for (let j = 0; j < H; j++) norm2 += row[from + j] ** 2
    for (let j = 0; j < H && norm2 > 0; j++) add(j, row[from + j] / Math.sqrt(norm2))
  }
  for (let group = 0; group < groups; group++)
    unit(sums, group * H, (j, value) => {
      mean[j] -= value
    })
  unit(Float64Array.from(mean), 0, (j, value) => {
    mean[j] = value
  })
  return mean
}

async function cosinesOf(
  { base, reference, tokens }: Evidence,
  rare: RareTokens,
  voters: Uint32Array,
  directions: Float32Array,
  run: TraceRun,
): Promise<Float64Array> {
  const handles = [nativeWeights(base), nativeWeights(reference)]
  try {
    const request = {
      name: reference.inputEmbedding,
      rows: voters.map((at) => rare.ids[at]),
      ...{ alpha: tokens.decay, directions, threads: threadsOf(run) },
    }
    return await runTask((report) => addon().rowDirections(handles[0], handles[1], request, report), 'votes', 'rows', {
      signal: run.signal,
    })
  } finally {
    for (const handle of handles) handle.close()
  }
}
