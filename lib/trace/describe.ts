import { version } from '../doctor.js'
import type { Members } from '../native/types.js'
import type { MixtureResult } from '../readouts/index.js'
import type { TextRecord } from '../text/index.js'
import type { Histogram } from '../report/charts.js'
import { level, type Calibrated } from './calibrate.js'
import { verdictOf, type Evidence } from './evidence.js'
import { falsePositives } from './noise.js'
import type { DomainTexts, Member, TracedToken, TraceResult, TrainingTexts } from './result.js'
import { leastWindow, type Layout } from './objective.js'
import type { Predictions, PredictionsSummary } from './predictions.js'
import type { Targets } from './targets.js'
import type { Grading } from './tied.js'
import { asScore, trained, undecided } from './rows.js'
import { domainOf, type TextPool } from './texts.js'

/** What the texts have given. */
export interface Found {
  pool: TextPool
  calibrated: Calibrated
  members: Members
  /** tokens of a text that counted */
  length: number | undefined
  /** of the output layer's rows, where they are a second witness; the reason where they tell nothing */
  targets?: Targets | string
  /** members' probabilities by the table alone, where `members` has those of more */
  byTable?: Float64Array
  predictions?: Predictions
}

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

/** Places of the survivors among the possible texts: all of them are, and both are in the order of the pool. */
export function survivingAt({ possibleAt }: TextPool, { survivors }: Members): number[] {
  let at = 0
  return Array.from(survivors, (text) => {
    while (possibleAt[at] < text) at++
    return at
  })
}

/** The survivors' records. */
export const survivingRecords = (pool: TextPool, members: Members): TextRecord[] =>
  survivingAt(pool, members).map((at) => pool.possible[at])

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

/** What is assumed of the length of training texts: that which counted for the texts, or would count for them. */
function truncation({ longestText, layout }: Evidence, found: Found | undefined): string[] {
  const length = found ? found.length : (longestText ?? undefined)
  if (typeof layout.packed === 'number' && length === undefined) return []
  if (length === undefined) return ['texts were not truncated in training: no position table tells the longest']
  return [
    length === longestText
      ? `tokens beyond the ${length} of the longest training text do not count`
      : `texts were truncated to ${length} tokens or more in training: later ones do not count`,
  ]
}

/** What is assumed of how texts followed each other in training. */
function sequenceConditions({ objective, eos, packed }: Layout): string[] {
  if (objective === 'classify') return []
  if (objective === 'masked') return ['masked inputs move no row: no text is excluded with certainty']
  const last =
    eos === 'appended'
      ? 'an end token was appended to each text and learned, but where a text was cut off'
      : 'the last token of a sequence moves no row, as nothing follows it: it excludes no text'
  if (packed === 'none') return [last, 'texts were not packed: one text a row']
  if (typeof packed === 'number') {
    return [
      `texts were packed into windows of ${packed} tokens, ` +
        'whose last token moves no row; the last text may have been cut ' +
        'off with an incomplete window',
    ]
  }
  return [
    `texts may have been packed into windows of ${leastWindow} tokens or more: a text is excluded by two untrained ` +
      'tokens, as one of them may have been the last of its window (--packed none, if there was one text a row, ' +
      'excludes more)',
  ]
}

/** What must hold for an excluded text to be excluded. */
function conditions(evidence: Evidence, found: Found | undefined): string[] {
  if (verdictOf(evidence) === 'none') return []
  if (evidence.grading?.summary.rows === 'output') {
    return [
      'the model was trained from this base with this tokenizer',
      'most tokens that no text here holds were no targets: their output rows show what such a row does',
      typeof evidence.layout.packed === 'number'
        ? 'every token of a text was learned but that which began a window, prompts too'
        : 'every token of a text but its first was learned: prompts were not left out of the loss, and texts not ' +
          'packed into windows (else --packed WINDOW)',
      'every row of the output layer moved: scores tell likely from unlikely, and no text is excluded with certainty',
    ]
  }
  if (evidence.grading) {
    return [
      'the model was trained from this base with this tokenizer',
      'most tokens that no text here holds were not trained: their rows show what an untrained row does',
      'every row of the table moved: scores tell likely from unlikely, and no text is excluded with certainty',
    ]
  }
  const { expectedMissed } = evidence.tokens
  return [
    'the model was trained from this base with this tokenizer',
    ...truncation(evidence, found),
    ...sequenceConditions(evidence.layout),
    'weight decay was decoupled or absent, so that untrained rows shrink by one common factor',
    ...(evidence.tokens.verdict === 'noisy'
      ? [
          `about ${Math.ceil(expectedMissed)} trained tokens are hidden by rounding: texts that hold one are ` +
            'wrongly excluded',
        ]
      : []),
  ]
}

function poolNotes({ pool, calibrated, members, predictions }: Found, evidence: Evidence): string[] {
  const notes: string[] = predictions ? predictionNotes(predictions.summary) : []
  if (pool.tails) notes.push(`last tokens: ${pool.tails.reason}`)
  const doubtful = pool.possible.length - members.survivors.length
  if (doubtful > 0)
    notes.push(
      `${doubtful} texts are possible only because an untrained token of theirs may have moved no ` +
        'row: they are not counted as members',
    )
  if (pool.truncated > 0) notes.push(`${pool.truncated} texts were longer than what counts and were truncated`)
  if (evidence.grading) notes.push(evidence.grading.summary.lost)
  else if (evidence.tokens.counts.undecided > 0)
    notes.push(`${evidence.tokens.counts.undecided} undecided tokens neither exclude a text nor speak for one`)
  if (members.survivors.length === 0)
    notes.push('the trained tokens contradict every text: none of them was in the training set as tokenised here')
  if (calibrated.short)
    notes.push(
      'the pool is too small for so many training texts: nothing vouches for their number and mixture, the ' +
        'intervals say so; give more texts for each domain',
    )
  else if (calibrated.size < 0.5) {
    notes.push(
      `the calibration's sets had ${Math.round(100 * calibrated.size)} % of the training texts, as the pool has no ` +
        'more: where the vocabulary is nearly used up, intervals are too narrow',
    )
  }
  if (calibrated.blurred)
    notes.push('nearly every text holds trained tokens only: members can hardly be told from others, nor counted')
  if (!members.converged) notes.push('the members had not settled after the last round')
  return notes
}

function predictionNotes({ unpredicted, truncated, converged }: PredictionsSummary): string[] {
  return [
    "predictions: texts get their probabilities from the table's and what both models predict; number and mixture of " +
      'the training texts are those of the table alone',
    unpredicted > 0 && `predictions: ${unpredicted} texts have a single token, of which nothing is predicted`,
    truncated > 0 &&
      `predictions: ${truncated} texts were longer than what counts, or than the models read, and cut off`,
    !converged && 'predictions: the two kinds of text had not settled after the last round',
  ].filter((note) => note !== false)
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
    predictions: found?.predictions?.summary ?? null,
    mixtures: found ? [mixtureOf(found, evidence)] : [],
    notes: [...evidence.notes, ...(found ? poolNotes(found, evidence) : [])],
  }
}
