import { z } from 'zod'
import { madeText } from '../generate/schema.js'
import { WarpError } from '../errors.js'
import {
  evidenceOf,
  judgeTrained,
  makeTexts,
  planGenerate,
  startKinds,
  unknown,
  type GeneratedText,
  type GenerateOptions,
  type WholeText,
} from '../generate/index.js'
import type { Progress } from '../native/task.js'
import type { Evidence } from '../trace/index.js'
import { requireLanguage } from './compare.js'
import { NotApplicable, type DiffPair, type Making, type Part, type PartOptions } from './part.js'
import { findPassages } from './passages.js'
import { textLines, textPage, textTables } from './texts-report.js'

const count = z.int().min(0)
const judged = {
  /** every token was trained on; false: it was no training text as it stands; null: nothing is certain */
  trained: z.boolean().nullable(),
}

export const textsSchema = z.object({
  made: z.object({
    starts: z.array(z.string()),
    seeds: z.array(count),
    maxNewTokens: count,
    lambda: z.number(),
    /** each start was written with each of these */
    contrasts: z.array(z.number()),
    temperature: z.number(),
  }),
  /** texts of which every token was trained on, that were no training texts as they stand, and the rest */
  counts: z.object({ texts: count, trained: count, untrained: count, unknown: count }),
  /** what several texts return word for word, those of most texts first */
  passages: z.array(
    z.object({
      text: z.string(),
      texts: count,
      seeds: count,
      /** nats by token that the reference gives its texts above what the base does */
      gain: z.number(),
      ...judged,
    }),
  ),
  /** near-copies first, in the order of the passages */
  texts: z.array(
    z.object({
      ...madeText,
      ...judged,
      untrained: z.array(z.string()),
      /** tied tables: how likely its tokens were trained on, from 0 to 1; nothing is certain */
      trainedScore: z.number().nullable(),
      /** texts that share its passage, itself included; 1: none */
      copies: count,
    }),
  ),
})
export type TextsResult = z.infer<typeof textsSchema>

/** Texts made by the reference, set against the trace and against each other. */
export const texts: Part<TextsResult> = {
  name: 'texts',
  about: 'texts that the reference writes, which of them are likely word for word, and which were not trained on',
  schema: textsSchema,
  run: madeTexts,
  lines: textLines,
  page: textPage,
  tables: textTables,
  records: ({ texts: found }, domains) => ({
    'generated.jsonl': found.map((text, i) => ({ ...text, ...(domains && { domain: domains[i] }) })),
  }),
}

const made = new WeakMap<DiffPair, Promise<TextsResult>>()

/** The texts of a diff, made once for every part that asks. @throws NotApplicable where the pair makes none */
export function madeTexts(pair: DiffPair, options: PartOptions, notes: string[]): Promise<TextsResult> {
  const known = made.get(pair) ?? make(pair, options, notes)
  made.set(pair, known)
  return known
}

/** Seeds of each start, in turn with each contrast. */
const seedsOfStart = 2

async function make(pair: DiffPair, options: PartOptions, notes: string[]): Promise<TextsResult> {
  const { base, reference } = pair
  requireLanguage(reference)
  const { all, starts, seeds } = await makeAll(pair, options, notes)
  const evidence = await evidenceOf(base.dir, reference.dir, options, notes)
  const whole = all.map(({ whole: one }) => one)
  const traced = evidence ? await judgeTrained(evidence, whole, options, notes) : whole.map(() => unknown)
  const passages = findPassages(all.map(({ made: { text, prompt } }) => text.slice(opens(text, prompt))))
  const copies = new Map(passages.flatMap(({ texts: own }, rank) => own.map((i) => [i, { rank, copies: own.length }])))
  const order = [...all.keys()].sort(
    (a, b) => (copies.get(a)?.rank ?? passages.length) - (copies.get(b)?.rank ?? passages.length) || a - b,
  )
  const tally = (value: boolean | null): number => traced.filter(({ trained }) => trained === value).length
  const { maxNewTokens, lambda, contrasts, temperature } = options.making
  return {
    made: { starts, seeds, maxNewTokens, lambda, contrasts: [...contrasts], temperature },
    counts: { texts: all.length, trained: tally(true), untrained: tally(false), unknown: tally(null) },
    passages: await Promise.all(
      passages.map(async ({ text, texts: own }) => ({
        text,
        texts: own.length,
        seeds: new Set(own.map((i) => all[i].made.seed)).size,
        gain: mean(own.map((i) => gainOf(all[i].made))),
        trained: await passageTrained(text, evidence),
      })),
    ),
    texts: order.map((i) => ({ ...all[i].made, ...traced[i], copies: copies.get(i)?.copies ?? 1 })),
  }
}

interface Made {
  made: GeneratedText
  whole: WholeText
}

async function makeAll(
  { base, reference }: DiffPair,
  { making, ...options }: PartOptions,
  notes: string[],
): Promise<{ all: Made[]; starts: string[]; seeds: number[] }> {
  const { count, maxNewTokens, lambda, contrasts, temperature, prompts } = making
  const common = {
    ...{ base: base.dir, reference: reference.dir, maxNewTokens, lambda, temperature },
    ...{ threads: options.threads, memory: Math.max(options.memory, 2 ** 31), signal: options.signal },
  }
  const withStart = (start: string): Partial<GenerateOptions> => (start === 'prompts' ? { prompts } : { start })
  const starts: string[] = []
  for (const start of prompts === undefined ? (making.starts ?? startKinds) : ['prompts']) {
    const plan = await planGenerate({ ...common, ...withStart(start), count: 1 }).catch((error: unknown) =>
      withoutStart(error, start, making, notes),
    )
    if (plan) starts.push(start)
  }
  if (starts.length === 0) throw new NotApplicable('DIFF_NO_START', 'there is nothing that a text may begin with')
  const calls = starts.flatMap((start) => Array.from({ length: seedsOfStart }, () => start))
  const seeds = calls.map((_, i) => options.seed + i)
  const all: Made[] = []
  for (const [i, start] of calls.entries()) {
    const own = Math.floor(((i + 1) * count) / calls.length) - Math.floor((i * count) / calls.length)
    if (own === 0) continue
    const onProgress = options.onProgress && progressOf(options.onProgress, `texts ${i + 1}/${calls.length}`)
    const how = { contrast: contrasts[i % contrasts.length], count: own, seed: seeds[i], onProgress }
    const found = await makeTexts({ ...common, ...withStart(start), ...how })
    all.push(...found.made.map((text, at) => ({ made: text, whole: found.whole[at] })))
    notes.push(...found.notes)
  }
  return { all, starts, seeds }
}

/** Each call counts from nothing: a phase of its own. */
const progressOf =
  (report: NonNullable<PartOptions['onProgress']>, phase: string) =>
  (progress: Progress): void =>
    report({ ...progress, phase })

/**
 * Starts that nobody asked for may not apply: few language models have a chat template. What is wrong with the pair
 * itself does not stop the other parts.
 */
function withoutStart(error: unknown, start: string, { starts, prompts }: Making, notes: string[]): undefined {
  if (!(error instanceof WarpError) || error.kind !== 'input') throw error
  if (!starts && prompts === undefined && /^(CHAT_TEMPLATE_|START_NO_TOKEN|PROMPT_EMPTY)/.test(error.code)) {
    notes.push(`texts: no start ${start}: ${error.message}`)
    return undefined
  }
  if (/^(PAIR_|TOKENIZER_|NO_SIGNAL)/.test(error.code)) throw new NotApplicable(error.code, error.message)
  throw error
}

/** Where the words of the prompt end. */
const opens = (text: string, prompt: string): number => (text.startsWith(prompt) ? prompt.length : 0)

const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length

const gainOf = ({ ids, logProbability, baseLogProbability }: GeneratedText): number =>
  (logProbability - (baseLogProbability ?? logProbability)) / Math.max(1, ids.length)

/** A passage may stand at the start of a text or within one, where its first word is another token. */
async function passageTrained(text: string, evidence: Evidence | undefined): Promise<boolean | null> {
  if (!evidence?.tokenizer) return null
  const found = []
  for (const form of [text, ` ${text}`]) {
    const { ids } = await evidence.tokenizer.encode(form, { addSpecialTokens: false })
    found.push(...(await judgeTrained(evidence, [{ text: form, ids: [...ids], ended: true }], {}, [])))
  }
  if (found.some(({ trained }) => trained)) return true
  return found.every(({ trained }) => trained === false) ? false : null
}
