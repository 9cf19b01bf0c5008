import { version } from '../doctor.js'
import type { MixtureResult } from '../readouts/index.js'
import type { Histogram } from '../report/charts.js'
import { level } from './calibrate.js'
import { verdictOf, type Evidence } from './evidence.js'
import { survivingRecords, type Found } from './found.js'
import { falsePositives } from './noise.js'
import type { DomainTexts, Member, TracedToken, TraceResult, TrainingTexts } from './result.js'
import { tellsApart, type Predictions, type PredictionsSummary } from './predictions.js'
import type { Grading } from './tied.js'
import type { Spread } from './vote-model.js'
import { asScore, trained, undecided } from './rows.js'
import { conditions, poolNotes, predictionNotes } from './remarks.js'
import { domainOf } from './texts.js'

const hundredth = (value: number): number => Math.round(value * 100) / 100

/** The vocabulary's spelling of an id, '' where it has none. */
function spelling(evidence: Evidence, id: number): string {
  try {
    return evidence.tokenizer?.token(id) ?? ''
  } catch {
    return ''
  }
}

/** Rows that were trained or cannot be decided, and those of likely targets alone, by id. */
export function listTokens(evidence: Evidence, found?: Found): TracedToken[] {
  const { state, residual, score } = evidence.tokens
  if (verdictOf(evidence) === 'none') return []
  if (evidence.grading) return listGraded(evidence, evidence.grading)
  const target = typeof found?.targets === 'object' ? found.targets.probability : undefined
  const rows = Array.from(state.keys()).filter(
    (id) =>
      state[id] === trained || (state[id] === undecided && !Number.isNaN(score[id])) || (target && target[id] >= 0.5),
  )
  return rows.map((id) => ({
    id,
    token: spelling(evidence, id),
    state: state[id] === trained ? 'trained' : state[id] === undecided ? 'undecided' : 'target',
    residual: residual[id],
    score: score[id],
    ...(target && !Number.isNaN(target[id]) && { target: target[id] }),
  }))
}

/** Every token that has a score, by id. */
function listGraded(evidence: Evidence, { probability, scores, moved, summary }: Grading): TracedToken[] {
  const rows = Array.from(probability.keys()).filter((id) => !Number.isNaN(scores[id]))
  return rows.map((id) => ({
    id,
    token: spelling(evidence, id),
    state: 'graded',
    residual: summary.rows === 'input' ? evidence.tokens.residual[id] : moved[id],
    score: scores[id],
    probability: probability[id],
  }))
}

const bins = 60

/**
 * Scores of all rows, those below the threshold and those above it: logarithms to base ten where rows are decided,
 * scores as they are where they are graded. Undefined where the tables say nothing.
 */
export function histogramOf(evidence: Evidence): Histogram | undefined {
  const { tokens, grading } = evidence
  if (verdictOf(evidence) === 'none') return undefined
  const scores = (grading ? grading.scores : tokens.score.map((score) => Math.log10(Math.max(score, 1e-3)))).map(
    (value) => (Number.isFinite(value) ? value : NaN),
  )
  const threshold = grading ? grading.summary.threshold : Math.log10(asScore(tokens.noise.threshold))
  const known = scores.filter((value) => !Number.isNaN(value))
  const [low, high] = [
    known.reduce((a, b) => Math.min(a, b), threshold),
    known.reduce((a, b) => Math.max(a, b), threshold),
  ]
  const step = (high - low) / bins || 1
  const [below, above] = [new Array<number>(bins).fill(0), new Array<number>(bins).fill(0)]
  for (const value of known) (value > threshold ? above : below)[Math.min(bins - 1, Math.floor((value - low) / step))]++
  return { edges: Array.from({ length: bins + 1 }, (_, i) => low + i * step), below, above, threshold }
}

/** Texts that the members' model counts, the most probable first; equals in the order of the input. */
export function listMembers({ pool, members, predictions, byTable, targets }: Found): Member[] {
  const records = survivingRecords(pool, members)
  const output = typeof targets === 'object' ? targets.evidence : undefined
  const said = records.map((record) => predictions?.of.get(record))
  const probability = members.probability.map((before, i) => said[i]?.probability ?? before)
  const order = Array.from(members.survivors.keys()).sort((a, b) => probability[b] - probability[a] || a - b)
  return order.map((i) => {
    const record = records[i]
    return {
      probability: probability[i],
      ...((output || said[i]) && { byTable: (byTable ?? members.probability)[i] }),
      ...(output && { output: output[i] }),
      ...(said[i] && { predictions: said[i].evidence }),
      domain: domainOf(record),
      source: record.source,
      row: record.row,
      text: record.text,
    }
  })
}

/** All texts by what predictions alone say of them, the most probable first; equals in the order of the input. */
export function listPredicted({ of }: Predictions): Member[] {
  const said = [...of].map(([record, one], at) => ({ record, one, at }))
  said.sort((a, b) => b.one.probability - a.one.probability || a.at - b.at)
  return said.map(({ record, one: { probability, evidence } }) => ({
    probability,
    predictions: evidence,
    domain: domainOf(record),
    source: record.source,
    row: record.row,
    text: record.text,
  }))
}

/**
 * Training texts by domain: how many there are follows from the mixture, how many of them are inside from the members.
 */
function byDomain({ pool, calibrated, members }: Found): Record<string, DomainTexts> {
  const held = members.estimates.subarray(0, pool.domains.length)
  const raw = held.reduce((sum, count) => sum + count, 0)
  const likely = pool.domains.map(() => 0),
    numbers = new Map(pool.domains.map((domain, d) => [domain, d]))
  survivingRecords(pool, members).forEach((record, i) => {
    if (members.probability[i] >= 0.5) likely[numbers.get(domainOf(record))!]++
  })
  return Object.fromEntries(
    pool.domains.map((domain, d) => {
      const texts = calibrated.mixture[d] * calibrated.texts
      const inside = Math.min(texts, raw > 0 ? (held[d] / raw) * calibrated.inside : 0, pool.sizes[d])
      return [
        domain,
        {
          pool: pool.sizes[d],
          excluded: pool.excluded[d],
          excludedShare: pool.excluded[d] / pool.sizes[d],
          likely: likely[d],
          inside: hundredth(inside),
          outside: hundredth(texts - inside),
        },
      ]
    }),
  )
}

function trainingTexts({ calibrated }: Found): TrainingTexts {
  const [low, high] = calibrated.textsInterval
  return {
    estimate: hundredth(calibrated.texts),
    interval: [hundredth(low), high === null ? null : hundredth(high)],
    inside: hundredth(calibrated.inside),
    insideInterval: [hundredth(calibrated.insideInterval[0]), hundredth(calibrated.insideInterval[1])],
    outside: hundredth(calibrated.texts - calibrated.inside),
    level,
  }
}

/** The trace as one of the readouts of `recover`; undefined where the verdict is none or there were no texts. */
export function traceMixture({ mixtures }: TraceResult): MixtureResult | undefined {
  return mixtures[0]
}

/** s in texts */
const strengthOf = ({ pool, calibrated }: Found): number =>
  hundredth((calibrated.estimator.strength * pool.sizes.reduce((sum, size) => sum + size, 0)) / pool.domains.length)

function mixtureOf(found: Found, evidence: Evidence): MixtureResult {
  const { pool, calibrated } = found
  return {
    readout: 'trace',
    description: `the mixture that explains which rows of the ${
      evidence.grading?.summary.rows === 'output' ? 'output layer' : 'embedding table'
    } were trained`,
    settings: {
      strength: strengthOf(found),
      members: calibrated.estimator.inside ? 'inside and outside' : 'outside',
      sets: calibrated.sets,
    },
    mixture: Object.fromEntries(pool.domains.map((domain, d) => [domain, calibrated.mixture[d]])),
    interval: Object.fromEntries(pool.domains.map((domain, d) => [domain, calibrated.interval[d]])),
    level,
    intervalCovers: 'sampling and method',
    intervalIncludes: "the estimator's errors on synthetic training sets drawn from these texts",
    verdict: verdictOf(evidence),
  }
}

/** What the directions of trained rows tell, alone and with the trace. */
function voteMixtures({ pool, votes }: Found, evidence: Evidence): MixtureResult[] {
  if (typeof votes !== 'object') return []
  const { voters, texts, weight } = votes.summary
  const one = (readout: string, description: string, { mixture, half }: Spread, more: MixtureResult['settings']) => ({
    readout,
    description,
    settings: more,
    mixture: Object.fromEntries(pool.domains.map((domain, d) => [domain, mixture[d]])),
    interval: Object.fromEntries(
      pool.domains.map((domain, d): [string, [number, number]] => [
        domain,
        [Math.max(0, mixture[d] - half[d]), Math.min(1, mixture[d] + half[d])],
      ]),
    ),
    level,
    intervalCovers: 'sampling and method' as const,
    intervalIncludes: "how far votes and trace are apart, and votes' errors on eight classifiers",
    verdict: verdictOf(evidence),
  })
  return [
    one('votes', 'the labels that the directions of rare trained rows tell', votes.votes, { voters, texts }),
    one('trace+votes', 'trace and votes by their errors', votes.both, { weight }),
  ]
}

function votesOf(votes: NonNullable<Found['votes']>): NonNullable<TraceResult['votes']> {
  if (typeof votes === 'string') return { verdict: 'none', reason: votes, counts: null }
  const { voters, texts, weight } = votes.summary
  return {
    verdict: 'counted',
    reason:
      `${voters} trained tokens that few texts hold vote by the directions in which their rows moved, which the ` +
      `gradients of ${texts} texts tell; votes have ${(100 * weight).toFixed(0)} % of the mixture of both`,
    counts: votes.summary,
  }
}

/** What the output layer's rows tell beside the input's. */
function outputRows({ output, gradable, grading }: Evidence, found: Found | undefined): TraceResult['outputRows'] {
  const none = (reason: string): TraceResult['outputRows'] => ({ verdict: 'none', reason, scores: null })
  if (output.table === null) return none(output.reason)
  if (gradable === 'output')
    return grading
      ? { verdict: 'graded', reason: `the input rows tell nothing: the answer rests on ${output.table}`, scores: null }
      : none('no token stands out in them')
  if (!found) return none('they tell of the tokens of texts, and there are none')
  if (typeof found.targets !== 'object') return none(found.targets ?? 'they were not looked at')
  const { known, recall, falsePositiveRate, open } = found.targets.summary
  return {
    verdict: 'graded',
    reason:
      `${(100 * recall).toFixed(1)} % of the ${known.trained} tokens of these texts that the input rows call trained ` +
      `look like targets, ${(100 * falsePositiveRate).toFixed(1)} % of the ${known.untrained} others; ` +
      `${open.texts} texts end in, or hold, a token that these rows alone tell of`,
    scores: found.targets.summary,
  }
}

export function describe(
  evidence: Evidence,
  found: Found | undefined,
  alone: PredictionsSummary | undefined,
  { probes, seed }: { probes: string[]; seed: number },
): TraceResult {
  const { tokens, tokenizer, positions, verdict } = { ...evidence, verdict: verdictOf(evidence) }
  const known = verdict !== 'none' && verdict !== 'graded'
  const special = tokenizer
    ? [...tokenizer.specialIds].sort((a, b) => a - b).filter((id) => id < tokens.state.length)
    : []
  return {
    schema: 'warp.trace/1',
    tool: { name: 'warp-recover', version: version() },
    command: 'trace',
    seed,
    inputs: { base: evidence.base.dir, reference: evidence.reference.dir, probes },
    verdict,
    reason: tokens.reason,
    decay: known ? tokens.decay : null,
    weightDecaySum: known ? -Math.log1p(tokens.decay) : null,
    trainedTokens: {
      count: tokens.counts.trained,
      undecided: tokens.counts.undecided,
      rows: tokens.state.length,
      falsePositiveBound: falsePositives,
      expectedMissed: tokens.expectedMissed,
      noise: asScore(tokens.noise.mean),
      threshold: asScore(tokens.noise.threshold),
    },
    longestText: evidence.longestText,
    layout: evidence.layout,
    grading: evidence.grading?.summary ?? null,
    outputRows: outputRows(evidence, found),
    lastTokens: found?.pool.tails ?? null,
    positions: positions && { ...positions, residual: positions.residual.slice(0, positions.trained) },
    tokenTypes: evidence.tokenTypes,
    specialTokens: special.map((id) => ({
      id,
      token: spelling(evidence, id),
      trained: tokens.state[id] === undecided ? null : tokens.state[id] === trained,
    })),
    addedTokens: evidence.added.length,
    frozen: evidence.frozen,
    comparedTensors: evidence.compared,
    conditions: conditions(evidence, found),
    texts: found ? byDomain(found) : null,
    trainingTexts: found ? trainingTexts(found) : null,
    calibration: found
      ? { sets: found.calibrated.sets, strength: strengthOf(found), expectedError: found.calibrated.expectedError }
      : null,
    predictions: found?.predictions?.summary ?? (alone && tellsApart(alone) ? alone : null),
    votes: found?.votes === undefined ? null : votesOf(found.votes),
    mixtures: found ? [mixtureOf(found, evidence), ...voteMixtures(found, evidence)] : [],
    notes: [...evidence.notes, ...(found ? poolNotes(found, evidence) : []), ...(alone ? predictionNotes(alone) : [])],
  }
}
