import os from 'node:os'
import { nativeWeights, networkOf, openModel, whileUnchanged, type ModelDirectory } from './checkpoint/index.js'
import { localModels } from './hub/index.js'
import { checkWhole, inputError, usageError } from './errors.js'
import { objectiveOf } from './models/families.js'
import type { Network } from './models/network.js'
import { addon } from './native/load.js'
import { callNative, runTask, type RunOptions } from './native/task.js'
import type { Handle, ScoreRequest } from './native/types.js'
import { targetsOf } from './objectives/index.js'
import { checkOptions, type Kinds, runKinds, textKinds } from './options.js'
import { LabelResolver } from './text/labels.js'
import { promptTokens, readBatches, readLabelMap, type ProbeOptions, type TextRecord } from './text/index.js'
import { type BatchEncoder, encodeAhead, loadTokenizer, type TokenBatch } from './text/tokenizer/index.js'

/** Options of `predict`: the command line's, in camelCase. */
export interface PredictOptions extends RunOptions, Omit<ProbeOptions, 'labelMap'> {
  model: string
  /** files, folders, `-` for JSONL on stdin; a label is not needed */
  texts: string[]
  labelMap?: Record<string, string> | string
  /** in tokens, special ones included; default 256, at most the model's positions */
  maxLength?: number
  /** false: longer texts are refused; default: cut off and counted */
  truncate?: boolean
  threads?: number
  /** bytes for working buffers; default 2 GiB */
  memory?: number
  /** called for every text in their order; what it returns is waited for */
  onText?: (prediction: Prediction) => Promise<void> | void
}

const kinds: Kinds<PredictOptions> = {
  ...runKinds,
  ...textKinds,
  ...{ model: 'text', texts: 'texts', labelMap: 'labelMap', maxLength: 'number', truncate: 'flag' },
  ...{ threads: 'number', memory: 'number', seed: 'number', onText: 'function' },
}

/** What a model says of one text. */
export interface Prediction {
  /** number of the data row over all sources, from 0 */
  row: number
  /** `file:line` */
  source: string
  text: string
  /** in tokens, special ones included; of those that count */
  tokens: number
  truncated: boolean
  /** the text's own label, where it has one */
  label?: string
  /** classifiers: the likeliest label and its probability */
  predicted?: string
  probability?: number
  logits?: number[]
  /** classifiers: −log p of the label, where there is one; language models: Σ −log p of the next tokens */
  loss?: number
  /** language models: tokens whose loss counts: all but the first, or those of the response */
  targets?: number
}

/** Of the texts that have a label. */
export interface LabelRow {
  label: string
  texts: number
  /** texts that were taken for it, rightly or not */
  predicted: number
  correct: number
  /** correct / texts, correct / predicted; null where there are none */
  recall: number | null
  precision: number | null
}

export interface PredictResult {
  schema: 'warp.predict/1'
  model: string
  objective: 'classify' | 'language'
  texts: number
  tokens: number
  truncated: number
  /** texts with a label; language models: all */
  judged: number
  /** null without labels, and of language models */
  accuracy: number | null
  /** of the texts that were judged: mean loss of a text, of a language model of a token; null where there are none */
  loss: number | null
  /** e to the power of that */
  perplexity: number | null
  /** [] without labels, and of language models */
  labels: LabelRow[]
  notes: string[]
}

/** A model that is ready to be asked. */
export interface OpenedModel {
  model: ModelDirectory
  network: Network
  maxLength: number
  labels: string[]
  path: Handle
  close(): void
}

/** Texts of one pass. */
const passTexts = 1024

/**
 * What a model says of texts, streamed: classes and logits of a classifier, losses of a language model.
 * @throws WarpError of models, tokenizers and texts; PREDICT_NO_HEAD, PREDICT_NO_TEXTS, MAX_LENGTH_RANGE
 */
export async function predict(options: PredictOptions): Promise<PredictResult> {
  checkOptions('predict', options, kinds, ['model', 'texts'])
  checkWhole('threads', options.threads, 1, 1024)
  checkWhole('memory', options.memory, 0, Number.MAX_SAFE_INTEGER)
  const { model: dir } = await localModels(options)
  return whileUnchanged([dir], () => predictFrom(dir, options))
}

async function predictFrom(dir: string, options: PredictOptions): Promise<PredictResult> {
  const { signal, onProgress, onText, truncate = true } = options
  const opened = await openForward(dir, options.maxLength)
  const { network, labels, maxLength } = opened
  const labelMap = typeof options.labelMap === 'string' ? await readLabelMap(options.labelMap) : options.labelMap
  const tally = new Tally(labels, network.objective)
  const resolver = labels.length > 0 ? new LabelResolver(labels, labelMap) : undefined
  try {
    const tokenizer = await loadTokenizer(dir)
    const records = regroup(readBatches(options.texts, { ...options, labelMap }, { signal }), passTexts)
    for await (const { batch, tokens } of encodeAhead(records, (all) => all.map(({ text }) => text), tokenizer, {
      maxLength: truncate ? maxLength : undefined,
    })) {
      signal?.throwIfAborted()
      checkTokens(batch, tokens, opened)
      const label = Int32Array.from(batch, ({ label: raw, source }) =>
        raw === undefined || !resolver ? -1 : resolver.resolve(raw, source),
      )
      const prompts = await promptsOf(opened, batch, tokens, tokenizer, options)
      for (const found of await askModel(opened, batch, { ...tokens, prompts }, label, options)) {
        tally.add(found)
        await onText?.(found)
      }
      onProgress?.({ phase: 'predict', done: tally.texts, total: 0, unit: 'texts' })
    }
  } finally {
    opened.close()
  }
  if (tally.texts === 0) throw inputError('PREDICT_NO_TEXTS', 'there is no text', {}, 'give files with texts')
  return { schema: 'warp.predict/1', model: options.model, ...tally.result(maxLength, opened.model.notes) }
}

/** Of a language model's texts, where a response follows their prompts: the tokens of these. */
async function promptsOf(
  { network }: OpenedModel,
  batch: TextRecord[],
  tokens: TokenBatch,
  tokenizer: BatchEncoder,
  { response, signal }: PredictOptions,
): Promise<Uint32Array | undefined> {
  if (network.objective !== 'language' || response === undefined) return undefined
  const [prompts, sources] = [batch.map(({ prompt }) => prompt!), batch.map(({ source }) => source)]
  return promptTokens({ prompts, sources }, tokens, tokenizer, { signal })
}

/** Opens a model alone: a path from it to itself, of which only the base is looked at. */
export async function openForward(dir: string, asked?: number): Promise<OpenedModel> {
  const looked = await openModel(dir)
  const objective = objectiveOf(looked.architectureName)
  if (objective === undefined)
    throw inputError(
      'PREDICT_NO_HEAD',
      `${dir}: ${looked.architectureName} is neither a classifier nor a language model`,
      { file: dir, found: looked.architectureName },
      'Give a fine-tuned classifier, or a language model.',
    )
  const model = objective === 'language' ? await openModel(dir, { objective }) : looked
  const network = networkOf(model, objective)
  const maxLength = chooseLength(asked, network)
  const weights = nativeWeights(model)
  try {
    const path = callNative(() => addon().openPath(weights, weights, { family: 'linear', lambdas: [] }))
    const close = (): void => [path, weights].forEach((handle) => handle.close())
    const labels = objective === 'classify' ? model.architecture.labels : []
    return { model, network, maxLength, labels, path, close }
  } catch (error) {
    weights.close()
    throw error
  }
}

function chooseLength(asked: number | undefined, { maxPositions }: Network): number {
  checkWhole('maxLength', asked, 1, Number.MAX_SAFE_INTEGER)
  if (asked === undefined) return Math.min(256, maxPositions)
  if (asked <= maxPositions) return asked
  throw usageError(
    'MAX_LENGTH_RANGE',
    `max length ${asked} exceeds the model's ${maxPositions} positions`,
    { found: asked, expected: maxPositions },
    `--max-length ${maxPositions}`,
  )
}

/** Batches of `size`, the last one of what is left. */
export async function* regroup<T>(batches: AsyncIterable<T[]>, size: number): AsyncGenerator<T[]> {
  let held: T[] = []
  for await (const batch of batches) {
    held = held.length === 0 ? batch : held.concat(batch)
    let from = 0
    for (; held.length - from >= size; from += size) yield held.slice(from, from + size)
    if (from > 0) held = held.slice(from)
  }
  if (held.length > 0) yield held
}

function checkTokens(batch: TextRecord[], { offsets, ids }: TokenBatch, { maxLength, network }: OpenedModel): void {
  for (let i = 0; i < batch.length; i++) {
    const length = offsets[i + 1] - offsets[i]
    if (length >= 1 && length <= maxLength) continue
    const { source } = batch[i]
    if (length === 0)
      throw inputError('PROBES_NO_TOKENS', `${source}: the text gives no token`, { file: source }, 'remove the row')
    throw inputError(
      'PROBES_TEXT_TOO_LONG',
      `${source}: the text has ${length} tokens, more than the ${maxLength} allowed`,
      { file: source, expected: maxLength, found: length },
      'raise --max-length, or leave --no-truncate out',
    )
  }
  const beyond = ids.find((id) => id >= network.vocabularySize)
  if (beyond !== undefined)
    throw inputError(
      'TOKENIZER_ID_RANGE',
      `the tokenizer gives the id ${beyond}; the model embeds ${network.vocabularySize} tokens`,
      { expected: network.vocabularySize - 1, found: beyond },
      'use the tokenizer.json that belongs to the model',
    )
}

/** What the model says of some texts; a label below 0 is none. */
export async function askModel(
  { path, network, labels }: OpenedModel,
  batch: TextRecord[],
  tokens: TokenBatch & { prompts?: Uint32Array },
  label: Int32Array,
  {
    threads = os.availableParallelism(),
    memory = 2 ** 31,
    signal,
  }: Pick<PredictOptions, 'threads' | 'memory' | 'signal'>,
): Promise<Prediction[]> {
  const { ids, typeIds, offsets, truncated, prompts } = tokens
  const language = network.objective === 'language'
  const request: ScoreRequest = {
    path,
    network,
    ids,
    typeIds,
    offsets,
    ...(language ? { targets: targetsOf(tokens) } : { label: label.map((id) => Math.max(0, id)) }),
    domain: new Int32Array(batch.length),
    domains: 1,
    scope: language ? [] : 'head',
    gradients: false,
    baseOnly: true,
    threads,
    memory,
  }
  const { loss, logits } = await runTask((report) => addon().score(request, report), 'predict', 'tokens', { signal })
  return batch.map(({ text, row, source, label: raw }, i): Prediction => {
    const common = { row, source, text, tokens: offsets[i + 1] - offsets[i], truncated: truncated[i] === 1 }
    if (language) return { ...common, loss: loss[2 * i], targets: common.tokens - Math.max(1, prompts?.[i] ?? 1) }
    const own = Array.from(logits.subarray(2 * i * labels.length, (2 * i + 1) * labels.length))
    const best = own.reduce((at, value, c) => (value > own[at] ? c : at), 0)
    const probability = 1 / own.reduce((sum, value) => sum + Math.exp(value - own[best]), 0)
    const said = { predicted: labels[best], probability, logits: own }
    if (label[i] < 0) return { ...common, ...(raw === undefined ? {} : { label: raw }), ...said }
    return { ...common, label: labels[label[i]], ...said, loss: loss[2 * i] }
  })
}

class Tally {
  texts = 0
  #tokens = 0
  #truncated = 0
  #judged = 0
  #units = 0
  #loss = 0
  readonly #rows: LabelRow[]

  constructor(
    labels: string[],
    readonly objective: 'classify' | 'language',
  ) {
    const row = (label: string): LabelRow => ({
      label,
      texts: 0,
      predicted: 0,
      correct: 0,
      recall: null,
      precision: null,
    })
    this.#rows = labels.map(row)
  }

  add({ tokens, truncated, label, predicted, loss, targets }: Prediction): void {
    this.texts++
    this.#tokens += tokens
    if (truncated) this.#truncated++
    if (loss === undefined) return
    this.#judged++
    this.#loss += loss
    this.#units += targets ?? 1
    const of = (name: string | undefined): LabelRow | undefined => this.#rows.find((row) => row.label === name)
    const [own, said] = [of(label), of(predicted)]
    if (!own || !said) return
    own.texts++
    said.predicted++
    if (own === said) own.correct++
  }

  result(maxLength: number, notes: string[]): Omit<PredictResult, 'schema' | 'model'> {
    const classified = this.objective === 'classify' && this.#judged > 0
    const share = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null)
    const rows = this.#rows.map((row) => ({
      ...row,
      recall: share(row.correct, row.texts),
      precision: share(row.correct, row.predicted),
    }))
    const loss = share(this.#loss, this.#units)
    const cut = this.#truncated > 0 ? [`${this.#truncated} texts were longer than ${maxLength} tokens and cut off`] : []
    return {
      objective: this.objective,
      texts: this.texts,
      tokens: this.#tokens,
      truncated: this.#truncated,
      judged: this.#judged,
      accuracy: classified
        ? share(
            rows.reduce((sum, { correct }) => sum + correct, 0),
            this.#judged,
          )
        : null,
      loss,
      perplexity: loss === null ? null : Math.exp(loss),
      labels: classified ? rows : [],
      notes: [...notes, ...cut],
    }
  }
}
