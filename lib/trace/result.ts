import type { MixtureResult } from '../readouts/index.js'
import type { Layout, TailEvidence } from './objective.js'
import type { Verdict } from './rows.js'
import type { PredictionsSummary } from './predictions.js'
import type { TargetsSummary } from './targets.js'
import type { GradingSummary } from './tied.js'
import type { VotesSummary } from './votes.js'

/** `warp trace --json`, schema `warp.trace/1`. Counts of texts are estimates unless they count the pool. */
export interface TraceResult {
  schema: 'warp.trace/1'
  tool: { name: 'warp-recover'; version: string }
  command: 'trace'
  seed: number
  inputs: { base: string; reference: string; probes: string[] }
  verdict: Verdict
  reason: string
  /** α: an untrained row of the reference is (1 + α) times the base's; null with verdict none */
  decay: number | null
  /** Σ learning rate · weight decay over the steps, −ln(1 + α) */
  weightDecaySum: number | null
  trainedTokens: {
    count: number
    undecided: number
    rows: number
    /** untrained rows among them, in expectation at most */
    falsePositiveBound: number
    /** trained rows that were missed, as far as the others tell */
    expectedMissed: number
    /** score of an untrained row, and the score above which a row counts as trained; 1 is the stored rounding alone */
    noise: number
    threshold: number
  }
  /** tokens of the longest training text, special tokens included; null where no position table tells */
  longestText: number | null
  /** what the model was trained for, and how texts followed each other: as the class and the options say */
  layout: Layout
  /** what the scores of a tied table, or of an output layer, rest on; null with any other verdict than graded */
  grading: GradingSummary | null
  /**
   * a second witness beside the exact input rows of an untied language model: its output rows, by which tokens that
   * nothing followed are likely targets or not; `scores` null where they are no second witness
   */
  outputRows: { verdict: 'graded' | 'none'; reason: string; scores: TargetsSummary | null }
  /** what the texts say of the last tokens of training texts; null where the options say it, or it does not matter */
  lastTokens: TailEvidence | null
  /** ‖θ* − (1 + α) θ₀‖ of the trained position rows */
  positions: { trained: number; rows: number; residual: number[] } | null
  tokenTypes: boolean[]
  specialTokens: { id: number; token: string; trained: boolean | null }[]
  /** tokens of the reference's vocabulary that the base's lacks: not compared */
  addedTokens: number
  /** tensors that did not move beyond the stored rounding, of so many that both models have */
  frozen: string[]
  comparedTensors: number
  /** under which the exclusions hold */
  conditions: string[]
  /** by domain; null without texts or with verdict none */
  texts: Record<string, DomainTexts> | null
  trainingTexts: TrainingTexts | null
  calibration: { sets: number; strength: number; expectedError: number } | null
  /** what predictions add about single texts; null where they were not asked for, or the table says nothing */
  predictions: PredictionsSummary | null
  /**
   * the labels that trained rows tell by their directions, which `mixtures` has as `votes`, and as `trace+votes` with
   * the trace's; null where they were not asked for
   */
  votes: { verdict: 'counted' | 'none'; reason: string; counts: VotesSummary | null } | null
  /** the trace's first */
  mixtures: MixtureResult[]
  notes: string[]
}

export interface DomainTexts {
  pool: number
  excluded: number
  /** excluded / pool */
  excludedShare: number
  /** texts that were trained on with a probability of a half at least */
  likely: number
  /** training texts inside the pool and outside it */
  inside: number
  outside: number
}

export interface TrainingTexts {
  estimate: number
  /** high is null where the pool is too small to bound it */
  interval: [low: number, high: number | null]
  inside: number
  insideInterval: [low: number, high: number]
  outside: number
  level: number
}

/** A text that may have been trained on. */
export interface Member {
  probability: number
  /** where more than the input table was asked: the probability by that table alone */
  byTable?: number
  /** the logarithms of the likelihood ratios that the output rows of an untied model and the predictions add */
  output?: number
  predictions?: number
  domain: string
  source: string
  row: number
  text: string
}

/** A row of the embedding table that was trained, or may have been. */
export interface TracedToken {
  id: number
  token: string
  /**
   * `graded`: nothing is certain, see `probability`; `target`: nothing followed it in training, or it did not occur,
   * see `target`
   */
  state: 'trained' | 'undecided' | 'graded' | 'target'
  residual: number
  score: number
  /** of being trained, of a graded token */
  probability?: number
  /** of having been a target, by the output rows of an untied model; of tokens that some text holds */
  target?: number
}
