import type { ModelDirectory } from '../checkpoint/index.js'
import { inputError, usageError } from '../errors.js'
import { fillsIn, predictsNext } from '../models/objectives.js'
import { schedules, type Schedule } from './components.js'

/**
 * What a model was trained for, as far as it decides which tokens of a text move rows. `classify`: all of them do.
 * `language`: those do that something follows. `masked`: those do that were not hidden.
 */
export type Objective = 'classify' | 'language' | 'masked'

/** What is known of the training; what is not said otherwise is about language models only. */
export interface LayoutOptions {
  /** default: by the class in config.json */
  objective?: 'classify' | 'language'
  /** whether an end token followed each text and was learned, so that the last token moved too; default auto */
  eos?: 'appended' | 'none' | 'auto'
  /** texts one after the other in windows of so many tokens; none: one text a row; default auto: may be either */
  packed?: number | 'none' | 'auto'
  /** how the learning rate fell, by which texts are counted where every row of the table moved; default constant */
  schedule?: Schedule
}

export interface Layout {
  objective: Objective
  /** what the objective is known from */
  from: 'option' | 'class' | 'family' | 'default'
  eos: 'appended' | 'none' | 'auto'
  packed: number | 'none' | 'auto'
  schedule: Schedule
}

const classifiers =
  /For(SequenceClassification|TokenClassification|MultipleChoice|QuestionAnswering|NextSentencePrediction)$/
const masked = /For(MaskedLM|PreTraining)$/
const language = /(ForCausalLM|LMHeadModel|DoubleHeadsModel|ForConditionalGeneration)$/

function known({ architectureName, architecture: { modelType } }: ModelDirectory): {
  objective: Objective
  from: Layout['from']
} {
  const name = architectureName
  if (classifiers.test(name)) return { objective: 'classify', from: 'class' }
  if (masked.test(name) && !predictsNext(modelType)) return { objective: 'masked', from: 'class' }
  if (language.test(name)) return { objective: 'language', from: 'class' }
  if (predictsNext(modelType)) return { objective: 'language', from: 'family' }
  return { objective: 'classify', from: 'default' }
}

/**
 * What the model's class and the options say of the layout of training texts.
 * @throws WarpError (input) TRACE_OBJECTIVE, TRACE_LAYOUT; (usage) TRACE_SCHEDULE
 */
export function layoutOf(reference: ModelDirectory, options: LayoutOptions): Layout {
  const { architectureName, architecture, dir } = reference
  let { objective, from } = known(reference)
  const asked = options.objective
  if (asked && (asked === 'classify') !== (objective === 'classify')) {
    if (from === 'class') {
      throw inputError(
        'TRACE_OBJECTIVE',
        `${dir}: --objective ${asked}, but ${architectureName} was trained to ` +
          (objective === 'classify' ? 'classify' : 'model language'),
        { file: dir, found: asked, expected: objective === 'classify' ? 'classify' : 'language' },
        'Leave --objective out: the class says it.',
      )
    }
    objective = asked === 'classify' ? 'classify' : fillsIn(architecture.modelType) ? 'masked' : 'language'
    from = 'option'
  }
  const { eos = 'auto', packed = 'auto', schedule = 'constant' } = options
  if (!Object.hasOwn(schedules, schedule)) {
    throw usageError(
      'TRACE_SCHEDULE',
      `there is no schedule ${JSON.stringify(schedule)}`,
      { found: schedule, expected: Object.keys(schedules) },
      'constant, linear or cosine',
    )
  }
  if (objective === 'language') return { objective, from, eos, packed, schedule }
  if (eos !== 'auto' || typeof packed === 'number') {
    throw inputError(
      'TRACE_LAYOUT',
      `${dir}: --eos and --packed are about causal language models; ${architectureName || architecture.modelType} ` +
        `is none (objective ${objective})`,
      { file: dir, found: objective, expected: 'language' },
      'Leave them out, or say --objective language if the class does not.',
    )
  }
  return { objective, from, eos, packed, schedule }
}

/** Windows that texts were packed into have at least so many tokens, where nothing says how many. */
export const leastWindow = 16

/** Which tokens of a text may have moved no row though the text was trained on. */
export class TextRule {
  constructor(
    readonly layout: Layout,
    /** tokens of a text that count; one as long may have been longer */
    readonly limit: number | undefined,
    /** whether only targets move rows: the first token of a text is none */
    readonly sparesFirst = false,
  ) {}

  /** Whether the last of so many tokens may have been the last of its sequence. */
  sparesLast(tokens: number, truncated: boolean): boolean {
    const { objective, eos, packed } = this.layout
    if (objective !== 'language' || typeof packed === 'number') return false
    return eos !== 'appended' || truncated || (this.limit !== undefined && tokens >= this.limit)
  }

  /** Of the places of an excluded text's untrained tokens, those that tell: the last of a sequence does not. */
  telling(places: readonly number[], tokens: number, truncated: boolean): readonly number[] {
    const alone = this.layout.packed === 'none' && this.sparesLast(tokens, truncated)
    return alone && places.at(-1) === tokens - 1 ? places.slice(0, -1) : places
  }

  /** Whether a trained text of so many tokens cannot have untrained ones at these places (ascending, at least one). */
  excludes(places: readonly number[], tokens: number, truncated: boolean): boolean {
    const { objective, packed } = this.layout
    if (objective === 'classify') return true
    if (objective === 'masked') return false
    if (packed === 'none') return places[0] < tokens - 1 || !this.sparesLast(tokens, truncated)
    const apart = places.reduce((divisor, place) => gcd(divisor, place - places[0]), 0)
    return typeof packed === 'number' ? apart % packed !== 0 : apart !== 0 && apart < leastWindow
  }
}

function gcd(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b]
  return a
}

/** What the pool says about the last tokens of training texts. */
export interface TailEvidence {
  /** they moved rows (something followed them), they did not, or nothing tells */
  tails: 'moved' | 'still' | 'unknown'
  reason: string
}

/** Standard deviations between the two expectations, for the evidence to count. */
const clear = 4

/**
 * Whether last tokens look as trained as other tokens of the same frequency in texts whose other tokens are all
 * trained (they moved rows), or only as trained as any token of the same frequency.
 * @param counts as `tailCounts` of the addon gives them
 */
export function judgeTails(counts: Float64Array): TailEvidence {
  const bins = counts.length / 6
  const [tailTrained, tailUntrained, innerTrained, innerUntrained, tokenTrained, tokenUntrained] = Array.from(
    { length: 6 },
    (_, i) => counts.subarray(i * bins, (i + 1) * bins),
  )
  let seen = 0,
    untrained = 0,
    moved = 0,
    still = 0,
    variance = 0
  for (let bin = 0; bin < bins; bin++) {
    const tails = tailTrained[bin] + tailUntrained[bin],
      others = innerTrained[bin] + innerUntrained[bin]
    const tokens = tokenTrained[bin] + tokenUntrained[bin]
    if (tails === 0 || others === 0) continue
    const asOthers = innerUntrained[bin] / others,
      asAny = tokenUntrained[bin] / tokens
    seen += tails
    untrained += tailUntrained[bin]
    moved += tails * asOthers
    still += tails * asAny
    variance += Math.max(tails * asOthers * (1 - asOthers) * (1 + tails / others), tails * asAny * (1 - asAny))
  }
  const facts =
    `of ${seen} texts whose other tokens are all trained ${untrained} end in an untrained one; ` +
    `${moved.toFixed(0)} would if last tokens moved rows as others do, ${still.toFixed(0)} if they did not`
  if (!(still - moved > clear * Math.sqrt(variance)) || seen === 0)
    return { tails: 'unknown', reason: `${facts}: nothing can be told` }
  const tails = untrained < (moved + still) / 2 ? 'moved' : 'still'
  return {
    tails,
    reason: `${facts}: so ${tails === 'moved' ? 'something was learned after them' : 'nothing was learned after them'}`,
  }
}
