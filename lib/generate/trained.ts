import { WarpError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { readEvidence, textRule, traceRecords, type Evidence, type TextRule } from '../trace/index.js'
import { trained, untrained } from '../trace/rows.js'

/** A text that was made, and all of its tokens: those of a prompt too, an end token not. */
export interface WholeText {
  text: string
  ids: readonly number[]
  /** with an end token, not by its length */
  ended: boolean
}

/** What the trace of the token table says of a text. */
export interface TrainedText {
  /**
   * true: every token of it was trained on. false: it holds tokens that were not, in places where training would have
   * moved them, so it was no training text as it stands. null: nothing is certain.
   */
  trained: boolean | null
  /** its tokens that were not trained on, each once; [] where nothing is certain */
  untrained: string[]
  /** tied tables: geometric mean over its tokens of the probability that each was trained; null elsewhere */
  trainedScore: number | null
}

export const unknown: TrainedText = { trained: null, untrained: [], trainedScore: null }

/** The trace of a pair; undefined, and a note, where there is none. */
export async function evidenceOf(
  base: string,
  reference: string,
  run: RunOptions & { threads?: number },
  notes: string[],
): Promise<Evidence | undefined> {
  const { signal, onProgress, threads } = run
  try {
    return await readEvidence(base, reference, { signal, onProgress, threads })
  } catch (error) {
    if (!(error instanceof WarpError) || !/^(TRACE_|PAIR_|NO_SIGNAL|TOKENIZER_|DTYPE_)/.test(error.code)) throw error
    notes.push(`nothing is said of whether tokens were trained on: ${error.message}`)
    return undefined
  }
}

/**
 * Whether each text's tokens were trained on. Certain only where the trace is exact; where the table is also the output
 * layer, texts are graded against tokens that none of them holds.
 */
export async function judgeTrained(
  evidence: Evidence,
  texts: readonly WholeText[],
  run: RunOptions & { threads?: number },
  notes: string[],
): Promise<TrainedText[]> {
  const { tokens, tokenizer, gradable } = evidence
  const none = (reason: string): TrainedText[] => {
    notes.push(`nothing is certain of whether tokens were trained on: ${reason}`)
    return texts.map(() => unknown)
  }
  if (gradable) return graded(evidence, texts, run, none)
  if (tokens.verdict !== 'exact') return none(tokens.reason)
  if (!tokenizer) return none(`${evidence.reference.dir} has no tokenizer that can be read`)
  const rule = textRule(evidence)
  const judged: TrainedText[] = []
  for (const text of texts) {
    run.signal?.throwIfAborted()
    judged.push(await judge(text, tokens.state, rule, tokenizer))
  }
  return judged
}

async function judge(whole: WholeText, state: Uint8Array, rule: TextRule, tokenizer: Tokenizer): Promise<TrainedText> {
  const ids = whole.ids.slice(0, rule.limit)
  const moved = ids.every((id) => state[id] === trained)
  if (moved) return { ...unknown, trained: ids.length > 0 ? true : null }
  const missing = [...new Set(ids.filter((id) => state[id] === untrained))].map((id) => tokenizer.token(id))
  const out = excludes(ids, ids.length < whole.ids.length, state, rule)
  // the model may spell a text by other tokens than training did: it is none of these texts only if both ways say so
  const settled = whole.ended ? whole.text : upToLastWord(whole.text)
  const { ids: read, truncated } = await tokenizer.encode(settled, { maxLength: rule.limit })
  const certain = out && excludes([...read], truncated || settled !== whole.text, state, rule)
  return { trained: certain ? false : null, untrained: certain ? missing : [], trainedScore: null }
}

function excludes(ids: readonly number[], truncated: boolean, state: Uint8Array, rule: TextRule): boolean {
  const places = [...ids.keys()].filter((at) => state[ids[at]] === untrained)
  return places.length > 0 && rule.excludes(places, ids.length, truncated)
}

/** A text that its length ended may end within a word, whose tokens are not those of the whole word. */
const upToLastWord = (text: string): string => text.slice(0, Math.max(0, text.search(/\s+\S*$/)))

async function graded(
  evidence: Evidence,
  texts: readonly WholeText[],
  run: RunOptions & { threads?: number },
  none: (reason: string) => TrainedText[],
): Promise<TrainedText[]> {
  const { signal, onProgress, threads } = run
  const records = texts.map(({ text }, row) => ({ text, domain: 'made', source: 'made', row }))
  try {
    const filled = records.filter(({ text }) => text.trim() !== '')
    const { result, tokens } = await traceRecords(evidence, [filled], { signal, onProgress, threads, calibrate: 20 })
    if (result.verdict !== 'graded') return none(result.reason)
    const probability = new Map(tokens.map(({ id, probability: chance }) => [id, chance ?? 0]))
    return texts.map(({ ids }) => {
      const logs = ids.map((id) => Math.log(Math.max(probability.get(id) ?? 0, 1e-6)))
      const mean = logs.reduce((a, b) => a + b, 0) / Math.max(1, logs.length)
      return { ...unknown, trainedScore: logs.length > 0 ? Math.exp(mean) : null }
    })
  } catch (error) {
    if (error instanceof WarpError && error.code.startsWith('TRACE_')) return none(error.message)
    throw error
  }
}
