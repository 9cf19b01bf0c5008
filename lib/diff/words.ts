import { z } from 'zod'
import { WarpError } from '../errors.js'
import { escapeHtml } from '../report/escape.js'
import { list, section } from '../report/page.js'
import { table } from '../report/tables.js'
import { byteChars } from '../text/tokenizer/byte-alphabet.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { readEvidence, type Evidence } from '../trace/index.js'
import { falsePositives } from '../trace/noise.js'
import { expectation, probabilityOf, type Expectation } from './expectation.js'
import { readNeutral, tokenise, type NeutralTokens } from './neutral.js'
import { NotApplicable, type DiffPair, type Part, type PartOptions, type Table } from './part.js'

const share = z.number().min(0).max(1)
const count = z.int().min(0)

export const wordsSchema = z.object({
  /** of the trace of the token table */
  verdict: z.enum(['exact', 'noisy']),
  reason: z.string(),
  trained: count,
  undecided: count,
  rows: count,
  /** of those called trained, expected at most to be none */
  falsePositiveBound: z.number(),
  /** what counted as ordinary language */
  neutral: z.string(),
  /** tokens of ordinary language that would touch as many different ones */
  textTokens: z.number().nullable(),
  /** the least expected first */
  words: z.array(
    z.object({
      word: z.string(),
      tokens: z.array(z.string()),
      ids: z.array(count),
      /** that the word itself was there: its tokens were trained, other words are as in ordinary language */
      probability: share,
      /** that so much ordinary language holds it */
      chance: share,
      /** how far its tokens moved, the median trained token being 1: the least of them */
      size: z.number(),
    }),
  ),
  tokens: z.array(z.object({ id: count, token: z.string(), chance: share, size: z.number() })),
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
  const { tokens: judged, tokenizer } = evidence
  const { verdict } = judged
  if (verdict === 'none') throw new NotApplicable('DIFF_NO_TOKENS', `the token table tells nothing: ${judged.reason}`)
  if (!tokenizer) {
    throw new NotApplicable('DIFF_NO_TOKENIZER', `${pair.reference.dir}: no tokenizer.json, so tokens have no spelling`)
  }
  const neutral = await readNeutral(options)
  const general = await tokenise(neutral, tokenizer, judged.state.length, options.signal)
  const expected = expectation(judged.state, general, tokenizer.specialIds)
  if (expected.tokens === null) {
    notes.push('words: more tokens were trained than ordinary language of any length would touch; chances are 1')
  }
  const sizes = sizesOf(evidence)
  return {
    verdict,
    reason: judged.reason,
    trained: judged.counts.trained,
    undecided: judged.counts.undecided,
    rows: judged.state.length,
    falsePositiveBound: falsePositives,
    neutral: neutral.source,
    textTokens: expected.tokens,
    words: findWords(expected, general, tokenizer, sizes),
    tokens: findTokens(expected, tokenizer, sizes),
  }
}

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

/** How far each row moved, the median trained one being 1. */
function sizesOf({ tokens: { state, residual } }: Evidence): Float64Array {
  const moved = residual.filter((_, v) => state[v] === 1).sort()
  const middle = moved[Math.floor(moved.length / 2)] || 1
  return residual.map((size) => (Number.isFinite(size) ? size / middle : 0))
}

function findTokens(
  { candidates, chance }: Expectation,
  tokenizer: Tokenizer,
  sizes: Float64Array,
): WordsResult['tokens'] {
  return [...candidates]
    .sort((a, b) => surprise(chance(b), sizes[b]) - surprise(chance(a), sizes[a]) || a - b)
    .slice(0, mostTokens)
    .map((id) => ({ id, token: tokenizer.token(id), chance: chance(id), size: sizes[id] }))
}

/** How little a token is expected, weighed with how far it moved: what moved far was trained on often. */
const surprise = (chance: number, size: number): number => -Math.log(Math.max(chance, 1e-12)) * size

function findWords(
  expected: Expectation,
  general: NeutralTokens,
  tokenizer: Tokenizer,
  sizes: Float64Array,
): WordsResult['words'] {
  const found = new Map<string, WordsResult['words'][number] & { rank: number }>()
  const add = (word: string, ids: readonly number[], times: number): void => {
    const chance = expected.wordChance(times)
    const size = ids.reduce((least, id) => Math.min(least, sizes[id]), Infinity)
    const probability = probabilityOf(expected, ids, times)
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
    .sort((a, b) => b.rank - a.rank || (a.word < b.word ? -1 : 1))
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

function lines(result: WordsResult): string[] {
  const { trained, undecided, rows, words: found, neutral, textTokens } = result
  const doubtful = undecided > 0 ? `, ${undecided} undecided` : ''
  const length = textTokens === null ? '' : `, ${Math.round(textTokens)} tokens of which would touch as many`
  return [
    `words: ${trained} of ${rows} tokens were trained${doubtful} (${result.reason})`,
    `  against ${neutral}${length}`,
    ...found
      .slice(0, 20)
      .map((w) => `  ${w.word.padEnd(20)} ${percent(w.probability)} sure, by chance ${percent(w.chance)}`),
  ]
}

const percent = (value: number): string => `${+(100 * value).toPrecision(3)} %`

function page({ trained, rows, reason, neutral, textTokens, words: found, tokens }: WordsResult): string {
  const expected = textTokens === null ? [] : [`about ${Math.round(textTokens)} tokens of it would touch as many`]
  return [
    section('Words', `<p>${trained} of ${rows} tokens were trained on: ${escapeHtml(reason)}.</p>`),
    list([`against ${neutral}`, ...expected]),
    table(
      ['word', 'was there', 'by chance', 'moved'],
      found
        .slice(0, 60)
        .map((w) => [
          `${escapeHtml(w.word)}${w.tokens.length > 1 ? `<small>${escapeHtml(w.tokens.join(' '))}</small>` : ''}`,
          percent(w.probability),
          percent(w.chance),
          w.size.toPrecision(2),
        ]),
      {
        caption:
          'That the word was in the training texts, that so much ordinary language holds it, and how far its tokens ' +
          'moved (the median trained one: 1)',
      },
    ),
    '<h3>Tokens</h3>',
    `<p>${tokens
      .slice(0, 200)
      .map(({ token }) => `<code>${escapeHtml(token)}</code>`)
      .join(' ')}</p>`,
  ].join('\n')
}

function tables({ words: found, tokens }: WordsResult): Record<string, Table> {
  return {
    'words.csv': [
      ['word', 'probability', 'chance', 'size', 'tokens'],
      ...found.map((w) => [w.word, w.probability, w.chance, w.size, w.tokens.join(' ')]),
    ],
    'tokens.csv': [
      ['id', 'token', 'chance', 'size'],
      ...tokens.map(({ id, token, chance, size }) => [id, token, chance, size]),
    ],
  }
}
