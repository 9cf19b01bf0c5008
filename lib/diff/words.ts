import { z } from 'zod'
import { WarpError } from '../errors.js'
import { escapeHtml } from '../report/escape.js'
import { list, section } from '../report/page.js'
import { printableName } from '../printable.js'
import { table, words as text } from '../report/tables.js'
import { byteChars } from '../text/tokenizer/byte-alphabet.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { readEvidence, type Evidence } from '../trace/index.js'
import { expectation, probabilityOf, type Expectation } from './expectation.js'
import { judgeTokens, type JudgedTokens } from './judged-tokens.js'
import { readNeutral, tokenise, type NeutralTokens } from './neutral.js'
import { labelTokens, type TokenLabel } from './word-labels.js'
import { NotApplicable, spelled, type DiffPair, type Part, type PartOptions, type Tables } from './part.js'

const share = z.number().min(0).max(1)
const count = z.int().min(0)

const labelled = {
  /** classifiers: whose direction it moved in; null where labels are not told */
  label: z.string().nullable(),
  /** how much nearer that direction is than the next label's: a difference of cosines */
  margin: z.number().nullable(),
}

export const wordsSchema = z.object({
  /** of the trace of the token table; graded: the table is also the output layer, nothing is certain */
  verdict: z.enum(['exact', 'noisy', 'graded']),
  reason: z.string(),
  trained: count,
  undecided: count,
  rows: count,
  /** of those called trained, expected at most to be none; graded: expected of untrained ones to be called trained */
  falsePositiveBound: z.number(),
  /** what counted as ordinary language */
  neutral: z.string(),
  /** tokens of ordinary language that would touch as many different ones */
  textTokens: z.number().nullable(),
  /** whether labels are told, by the directions in which rows moved, and from what; or why not */
  labels: z.object({ applies: z.boolean(), reason: z.string() }),
  /** those with a probability of .9 or more before the others, of both the least expected first */
  words: z.array(
    z.object({
      word: z.string(),
      ...labelled,
      tokens: z.array(z.string()),
      ids: z.array(count),
      /** that the word itself was there: its tokens were trained, other words are as in ordinary language */
      probability: share,
      /** that so much ordinary language holds it */
      chance: share,
      /** how far its tokens moved (graded: their scores), the median trained token being 1: the least of them */
      size: z.number(),
    }),
  ),
  tokens: z.array(
    z.object({
      id: count,
      token: z.string(),
      ...labelled,
      /** that it was trained on: 1 but for graded ones */
      probability: share,
      chance: share,
      size: z.number(),
    }),
  ),
})
export type WordsResult = z.infer<typeof wordsSchema>

const mostWords = 200
const mostTokens = 1000

/** Trained tokens that ordinary language would not lead one to expect, put together to words; no forward pass. */
export const words: Part<WordsResult> = {
  name: 'words',
  about: 'words that were trained on and that ordinary language would not lead one to expect',
  schema: wordsSchema,
  run: runWords,
  lines,
  page,
  tables,
}

async function runWords(pair: DiffPair, options: PartOptions, notes: string[]): Promise<WordsResult> {
  const evidence = await evidenceOf(pair, options)
  const { tokens: table, tokenizer } = evidence
  if (table.verdict === 'none' && !evidence.gradable) {
    throw new NotApplicable('DIFF_NO_TOKENS', `the token table tells nothing: ${table.reason}`)
  }
  if (!tokenizer) {
    throw new NotApplicable('DIFF_NO_TOKENIZER', `${pair.reference.dir}: no tokenizer.json, so tokens have no spelling`)
  }
  const neutral = await readNeutral(options)
  const general = await tokenise(neutral, tokenizer, table.state.length, options.signal)
  const judged = await judgeTokens(evidence, general, options)
  const expected = expectation(judged.state, general, tokenizer.specialIds)
  if (expected.tokens === null) {
    notes.push('words: more tokens were trained than ordinary language of any length would touch; chances are 1')
  }
  const tokens = findTokens(expected, tokenizer, judged)
  const found = findWords(expected, general, tokenizer, judged)
  const labels = await labelTokens(evidence, [...tokens, ...found].flatMap(idsOf), options)
  const labelOf = (one: Named): TokenLabel | typeof unlabelled => labels.of(idsOf(one)) ?? unlabelled
  return {
    verdict: judged.verdict,
    reason: judged.reason,
    trained: judged.state.filter((one) => one === 1).length,
    undecided: judged.state.filter((one) => one === 2).length,
    rows: judged.state.length,
    falsePositiveBound: judged.falsePositives,
    neutral: neutral.source,
    textTokens: expected.tokens,
    labels: { applies: labels.applies, reason: labels.reason },
    words: found.map((one) => ({ ...one, ...labelOf(one) })),
    tokens: tokens.map((one) => ({ ...one, ...labelOf(one) })),
  }
}

type Named = { id: number } | { ids: number[] }
const idsOf = (one: Named): number[] => ('ids' in one ? one.ids : [one.id])
const unlabelled = { label: null, margin: null }
type Unlabelled<T> = Omit<T, 'label' | 'margin'>

/** What the trace refuses is no error here: the other parts may still have something to say. */
async function evidenceOf({ base, reference }: DiffPair, options: PartOptions): Promise<Evidence> {
  const { signal, onProgress, threads } = options
  try {
    return await readEvidence(base.dir, reference.dir, { signal, onProgress, threads })
  } catch (error) {
    const known = error instanceof WarpError && /^(TRACE_|PAIR_|NO_SIGNAL|TOKENIZER_)/.test(error.code)
    if (known) throw new NotApplicable(error.code, error.message)
    throw error
  }
}

function findTokens(
  { candidates, chance }: Expectation,
  tokenizer: Tokenizer,
  { sizes, probability }: JudgedTokens,
): Unlabelled<WordsResult['tokens'][number]>[] {
  return [...candidates]
    .sort((a, b) => surprise(chance(b), sizes[b]) - surprise(chance(a), sizes[a]) || a - b)
    .slice(0, mostTokens)
    .map((id) => ({
      id,
      token: tokenizer.token(id),
      probability: probability(id),
      chance: chance(id),
      size: sizes[id],
    }))
}

/** How little a token is expected, weighed with how far it moved: what moved far was trained on often. */
const surprise = (chance: number, size: number): number => -Math.log(Math.max(chance, 1e-12)) * size

/** Whether a word is among those that come first. */
const sure = ({ probability }: { probability: number }): number => Number(probability >= 0.9)

function findWords(
  expected: Expectation,
  general: NeutralTokens,
  tokenizer: Tokenizer,
  judged: JudgedTokens,
): Unlabelled<WordsResult['words'][number]>[] {
  const found = new Map<string, Unlabelled<WordsResult['words'][number]> & { rank: number }>()
  const add = (word: string, ids: readonly number[], times: number): void => {
    const chance = expected.wordChance(times)
    const size = ids.reduce((least, id) => Math.min(least, judged.sizes[id]), Infinity)
    const all = ids.reduce((product, id) => product * judged.probability(id), 1) // that each was trained on
    const probability = all * probabilityOf(expected, ids, times)
    const entry = { word, tokens: ids.map((id) => tokenizer.token(id)), ids: [...ids], probability, chance, size }
    const rank = surprise(chance, size)
    if (!found.has(word) || found.get(word)!.rank < rank) found.set(word, { ...entry, rank })
  }
  for (const id of expected.candidates) {
    const word = wholeWord(tokenizer, id)
    if (word !== undefined) add(word, [id], general.whole.get(id) ?? 0)
  }
  for (const { word, ids, count: times } of general.compound) {
    if (ids.every((id) => expected.trained(id))) add(word, Array.from(ids), times)
  }
  return [...found.values()]
    .filter(({ probability }) => probability >= 0.5)
    .sort((a, b) => sure(b) - sure(a) || b.rank - a.rank || (a.word < b.word ? -1 : 1))
    .slice(0, mostWords)
    .map(({ rank: _, ...entry }) => entry)
}

/** The word that a token is when it stands alone: letters or digits that open a word; undefined for pieces, signs. */
export function wholeWord(tokenizer: Tokenizer, id: number): string | undefined {
  const token = tokenizer.token(id)
  if (tokenizer.kind === 'wordpiece') return /^[\p{L}\p{N}]{2,}$/u.test(token) ? token : undefined
  const bytes = Array.from(token, (character) => byteChars.indexOf(character))
  if (bytes.includes(-1)) return undefined
  const text = Buffer.from(bytes).toString('utf8')
  return /^ [\p{L}\p{N}\p{M}]{2,}$/u.test(text) ? text.slice(1) : undefined
}

/** How many tokens were trained on, and on what grounds. */
function tally({ verdict, trained, undecided, rows, reason }: WordsResult): string {
  const doubtful = undecided > 0 ? `, ${undecided} undecided` : ''
  const were = verdict === 'graded' ? 'were trained on with a probability of 90 % or more' : 'were trained on'
  return `${trained} of ${rows} tokens ${were}${doubtful}: ${reason}`
}

function lines(result: WordsResult): string[] {
  const { words: found, neutral, textTokens } = result
  const length = textTokens === null ? '' : `, ${Math.round(textTokens)} tokens of which would touch as many`
  return [
    `words: ${tally(result)}`,
    `  against ${neutral}${length}`,
    ...found
      .slice(0, 20)
      .map(
        (w) =>
          `  ${w.word.padEnd(20)} ${percent(w.probability)} sure, by chance ${percent(w.chance)}` +
          (w.label === null ? '' : `, with ${printableName(w.label)}`),
      ),
    ...byLabel(result, 8).map(([label, own]) => `  surest of ${printableName(label)}: ${own.join(', ')}`),
  ]
}

const percent = (value: number): string => `${+(100 * value).toPrecision(3)} %`

/** Of each label the words that are nearest to it, as far as their directions tell labels apart. */
function byLabel({ words: found }: WordsResult, most: number): [label: string, words: string[]][] {
  const own = new Map<string, string[]>()
  for (const { word, label } of [...found].sort((a, b) => b.margin! - a.margin!)) {
    if (label === null) continue
    if (!own.has(label)) own.set(label, [])
    if (own.get(label)!.length < most) own.get(label)!.push(word)
  }
  return [...own].sort(([a], [b]) => (a < b ? -1 : 1))
}

function page(result: WordsResult): string {
  const { verdict, neutral, textTokens, labels, words: found, tokens } = result
  const expected = textTokens === null ? [] : [`about ${Math.round(textTokens)} tokens of it would touch as many`]
  return [
    section('Words', `<p>${escapeHtml(tally(result))}.</p>`),
    list([
      `against ${neutral}`,
      ...expected,
      ...(verdict === 'graded' ? [graded] : []),
      labels.applies ? `labels: ${labels.reason}; ${sureness}` : `no labels: ${labels.reason}`,
    ]),
    table(
      ['word', 'was there', 'by chance', 'moved', ...(labels.applies ? ['label'] : [])],
      found
        .slice(0, 60)
        .map((w) => [
          `${escapeHtml(w.word)}${w.tokens.length > 1 ? `<small>${escapeHtml(spelled(w.tokens))}</small>` : ''}`,
          percent(w.probability),
          percent(w.chance),
          w.size.toPrecision(2),
          ...(w.label === null ? [] : [text(escapeHtml(w.label))]),
        ]),
      {
        caption:
          'That the word was in the training texts, that so much ordinary language holds it, and how far its tokens ' +
          'moved (the median trained one: 1)',
      },
    ),
    ...(labels.applies
      ? [
          table(
            ['label', 'words'],
            byLabel(result, 20).map(([label, own]) => [text(escapeHtml(label)), text(escapeHtml(own.join(' ')))]),
            { caption: 'Of each label the words that are told most surely' },
          ),
        ]
      : []),
    '<h3>Tokens</h3>',
    `<p>${tokens
      .slice(0, 200)
      .map(({ token }) => `<code>${escapeHtml(spelled([token]))}</code>`)
      .join(' ')}</p>`,
  ].join('\n')
}

const sureness =
  'of eight classifiers whose texts are known (four labels, ten) 78 to 86 and 67 to 73 % of the tokens of one text ' +
  'got its label, 85 to 97 % of those of several texts of one label, 94 to 100 % of the half with the larger margins'

const graded =
  'probabilities are those of two kinds of scores that were fitted: of fourteen models whose texts are known, 88 to ' +
  '99 % of the tokens from 90 % on had been trained on'

function tables({ words: found, tokens }: WordsResult): Tables {
  return {
    'words.csv': [
      ['word', 'label', 'margin', 'probability', 'chance', 'size', 'tokens'],
      ...found.map((w) => [w.word, w.label, w.margin, w.probability, w.chance, w.size, w.tokens.join(' ')]),
    ],
    'tokens.csv': [
      ['id', 'token', 'label', 'margin', 'probability', 'chance', 'size'],
      ...tokens.map((t) => [t.id, t.token, t.label, t.margin, t.probability, t.chance, t.size]),
    ],
  }
}
