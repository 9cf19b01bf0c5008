import os from 'node:os'
import {
  nativeWeights,
  networkOf,
  openModel,
  openPair,
  whileUnchanged,
  type ModelDirectory,
} from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import { localModels } from '../hub/index.js'
import { objectiveOf } from '../models/families.js'
import type { Network } from '../models/network.js'
import { addon } from '../native/load.js'
import { callNative, runTask } from '../native/task.js'
import type { GenerateRequest, GenerateResult as Generated, Handle } from '../native/types.js'
import { checkOptions } from '../options.js'
import { openPairPath } from '../paths/index.js'
import { loadTokenizer } from '../text/tokenizer/index.js'
import { openDecoder, type Decoder } from './decode.js'
import { checkGenerateOptions, generateKinds, type GenerateOptions, type Sampling } from './options.js'
import { findStarts, specialTokens, type Start } from './starts.js'
import { evidenceOf, judgeTrained, unknown, type TrainedText, type WholeText } from './trained.js'

export { openDecoder, type Decoder } from './decode.js'
export type { GenerateOptions } from './options.js'
export { startKinds, vagueWords } from './starts.js'
export { evidenceOf, judgeTrained, unknown, type TrainedText, type WholeText } from './trained.js'

/** A line of `warp generate`: `recover --probes`, `trace` and `select --corpus` read such lines as they are. */
export interface GeneratedText {
  /** what was made, after the words of a prompt; special tokens left out */
  text: string
  /** what it began with: a prompt, what opens a chat, or '' for the begin token alone */
  prompt: string
  /** the made tokens, an end token included */
  ids: number[]
  /** Σ log p of these tokens under the model they were drawn from: temperature 1, nothing left out */
  logProbability: number
  /** the same under the base; null for one model alone */
  baseLogProbability: number | null
  /** null for one model alone */
  lambda: number | null
  contrast: number
  seed: number
}

/** With what the trace says of it: null throughout for one model alone. */
export type JudgedText = GeneratedText & TrainedText

export interface GenerateResult {
  schema: 'warp.generate/1'
  texts: JudgedText[]
  notes: string[]
}

/** Models opened and checked, starts found: everything before the first token. */
interface Session {
  sampling: Sampling
  request: GenerateRequest
  /** by text */
  starts: Start[]
  decoder: Decoder
  single: boolean
  notes: string[]
  close(): void
}

/**
 * Texts from a language model, from any point of the path between two, or from the amplified difference of two: the
 * bits of a text depend on its start, its number and the seed alone.
 *
 * @throws WarpError (usage) GENERATE_MODELS, START_UNKNOWN, START_CONFLICT, OPTION_RANGE; (input) GENERATE_RANGE,
 *   LANGUAGE_MODEL_MISSING, START_NO_TOKEN, CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_UNSUPPORTED, PROMPT_EMPTY,
 *   PROMPT_TOO_LONG, TOKENIZER_DECODER_UNSUPPORTED, LOGITS_NOT_FINITE; (resource) MEMORY_BUDGET; and all of `openPair`,
 *   of paths and of tokenizers
 */
export async function generate(given: GenerateOptions): Promise<GenerateResult> {
  checkOptions('generate', given, generateKinds, [])
  const sampling = checkGenerateOptions(given)
  const options = await localModels(given)
  const { model, base, reference } = options
  return whileUnchanged(
    [model, base, reference].filter((dir) => dir !== undefined),
    async () => {
      const { made, whole, notes } = await makeTexts(options, sampling)
      const pair = base !== undefined && reference !== undefined
      const evidence = pair ? await evidenceOf(base, reference, options, notes) : undefined
      const judged = evidence ? await judgeTrained(evidence, whole, options, notes) : made.map(() => unknown)
      return { schema: 'warp.generate/1', texts: made.map((text, i) => ({ ...text, ...judged[i] })), notes }
    },
  )
}

/** Texts as the models made them, before any trace; `whole` belongs to `made`. @throws WarpError as `generate` */
export async function makeTexts(
  options: GenerateOptions,
  sampling = checkGenerateOptions(options),
): Promise<{ made: GeneratedText[]; whole: WholeText[]; notes: string[] }> {
  const session = await openSession(options, sampling)
  try {
    const found = await runTask((report) => addon().generate(session.request, report), 'generate', 'tokens', options)
    const made = textsOf(session, found)
    const whole = made.map(({ text, ids }, i) => {
      const { ids: start, shown } = session.starts[i]
      const ended = found.ended[i] === 1
      return { text, ids: [...(shown ? start : []), ...(ended ? ids.slice(0, -1) : ids)], ended }
    })
    return { made, whole, notes: session.notes }
  } finally {
    session.close()
  }
}

/** What `generate` would do. */
export interface GeneratePlan {
  schema: 'warp.generate.plan/1'
  count: number
  /** different starts */
  starts: number
  maxNewTokens: number
  /** texts that are made at the same time */
  atOnce: number
  peakBytes: number
  /** the smallest budget that would do */
  smallestBytes: number
  notes: string[]
}

/** Opens and checks everything as `generate` does, and makes nothing. @throws WarpError as `generate` */
export async function planGenerate(given: GenerateOptions): Promise<GeneratePlan> {
  checkOptions('planGenerate', given, generateKinds, [])
  const sampling = checkGenerateOptions(given)
  const options = await localModels(given)
  const session = await openSession(options, sampling)
  try {
    const plan = await runTask(() => addon().planGenerate(session.request), 'plan', 'tokens', {
      signal: options.signal,
    })
    const { count, maxNewTokens } = sampling
    const starts = new Set(session.starts).size
    return { schema: 'warp.generate.plan/1', count, starts, maxNewTokens, ...plan, notes: session.notes }
  } finally {
    session.close()
  }
}

async function openSession(options: GenerateOptions, sampling: Sampling): Promise<Session> {
  options.signal?.throwIfAborted()
  const models = await openModels(options, sampling)
  try {
    const { model, network, notes } = models
    const tokenizer = await loadTokenizer(model.dir)
    const decoder = await openDecoder(model.dir, tokenizer)
    const special = await specialTokens(model, tokenizer)
    const found = await findStarts(options, model, tokenizer, special, network)
    const starts = Array.from({ length: sampling.count }, (_, i) => found[i % found.length])
    const ends = special.ends.filter((id) => id < network.vocabularySize)
    if (ends.length === 0) notes.push(`${model.dir}: no end token is named: texts end by their length`)
    const request: GenerateRequest = {
      path: models.path,
      network,
      point: models.point,
      ...pack(starts),
      newTokens: sampling.maxNewTokens,
      ends: Uint32Array.from(ends),
      temperature: sampling.temperature,
      topK: sampling.topK,
      topP: sampling.topP,
      ...(sampling.contrast > 0 && { contrast: sampling.contrast, floor: sampling.floor }),
      base: !models.single,
      seed: sampling.seed,
      threads: options.threads ?? os.availableParallelism(),
      memory: options.memory ?? 2 ** 31,
    }
    return { sampling, request, starts, decoder, single: models.single, notes, close: models.close }
  } catch (error) {
    models.close()
    throw error
  }
}

interface Models {
  /** whose tokenizer and special tokens count */
  model: ModelDirectory
  network: Network
  path: Handle
  point: number
  single: boolean
  notes: string[]
  close(): void
}

/** One model is a path from it to itself, at its end. */
async function openModels(options: GenerateOptions, { lambda }: Sampling): Promise<Models> {
  if (options.model !== undefined) {
    const model = await openModel(options.model, { objective: 'language' })
    if (objectiveOf(model.architectureName) !== 'language') throw noLanguageModel(model)
    const handle = nativeWeights(model)
    const path = callNative(() => addon().openPath(handle, handle, { family: 'linear', lambdas: [] }))
    const close = (): void => [path, handle].forEach((open) => open.close())
    return {
      model,
      network: networkOf(model, 'language'),
      path,
      point: 0,
      single: true,
      notes: [...model.notes],
      close,
    }
  }
  const pair = await openPair(options.base!, options.reference!, { objective: 'language' })
  const along = { ...options, lambdas: [lambda], beyond: true, forward: true, prepare: false }
  const path = await openPairPath(pair, { ...along, seed: undefined })
  return {
    model: pair.reference,
    network: networkOf(pair.reference, 'language'),
    path: path.handle,
    point: 0,
    single: false,
    notes: [...path.notes],
    close: path.close,
  }
}

function noLanguageModel({ dir, architectureName, family }: ModelDirectory): Error {
  const expected = family?.classes.language ?? null
  return inputError(
    'LANGUAGE_MODEL_MISSING',
    `${dir}: ${architectureName} is no language model${expected ? `; expected ${expected}` : ''}`,
    { file: dir, found: architectureName, expected },
    'Texts are made by language models.',
  )
}

function pack(starts: readonly Start[]): { ids: Uint32Array; offsets: Uint32Array } {
  const offsets = new Uint32Array(starts.length + 1)
  starts.forEach(({ ids }, i) => (offsets[i + 1] = offsets[i] + ids.length))
  const ids = new Uint32Array(offsets[starts.length])
  starts.forEach((start, i) => ids.set(start.ids, offsets[i]))
  return { ids, offsets }
}

function textsOf({ sampling, starts, decoder, single }: Session, made: Generated): GeneratedText[] {
  const { ids, offsets, logProbability, baseLogProbability } = made
  const sum = (values: Float64Array, i: number): number =>
    values.subarray(offsets[i], offsets[i + 1]).reduce((a, b) => a + b, 0)
  return starts.map((start, i) => {
    const own = ids.subarray(offsets[i], offsets[i + 1])
    return {
      text: decoder.decode(start.shown ? [...start.ids, ...own] : own),
      prompt: start.prompt,
      ids: [...own],
      logProbability: sum(logProbability, i),
      baseLogProbability: single ? null : sum(baseLogProbability, i),
      lambda: single ? null : sampling.lambda,
      contrast: sampling.contrast,
      seed: sampling.seed,
    }
  })
}
