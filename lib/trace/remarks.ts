// What a result of the trace holds under, and what else there is to say of it.
import { verdictOf, type Evidence } from './evidence.js'
import type { Found } from './found.js'
import { leastWindow, type Layout } from './objective.js'
import { tellsApart, type PredictionsSummary } from './predictions.js'

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
export function conditions(evidence: Evidence, found: Found | undefined): string[] {
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

export function poolNotes({ pool, calibrated, members, predictions }: Found, evidence: Evidence): string[] {
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

export function predictionNotes(summary: PredictionsSummary): string[] {
  const { unpredicted, truncated, converged, alone, expected } = summary
  const gain = alone && `2 Δ log likelihood ${alone.gain.toFixed(1)}, of ${alone.needed.toFixed(1)} needed`
  return [
    !alone
      ? "predictions: texts get their probabilities from the table's and what both models predict; number and " +
        'mixture of the training texts are those of the table alone'
      : tellsApart(summary)
        ? `predictions alone: two kinds of text explain their sums better than one (${gain}); about ` +
          `${expected.toFixed(0)} of these texts were trained on, and ` +
          `${(100 * alone.falsePositiveRate).toFixed(1)} % of the others look so, if the texts of each domain are ` +
          'of one kind; nothing is said of training texts elsewhere'
        : `predictions alone tell nothing: one kind of text explains their sums as well as two (${gain})`,
    unpredicted > 0 && `predictions: ${unpredicted} texts have a single token, of which nothing is predicted`,
    truncated > 0 &&
      `predictions: ${truncated} texts were longer than what counts, or than the models read, and cut off`,
    !converged && 'predictions: the two kinds of text had not settled after the last round',
  ].filter((note) => note !== false)
}
