import { nativeWeights, networkOf, openPair, type ModelDirectory, type PairOptions } from '../checkpoint/index.js'
import { WarpError } from '../errors.js'
import { openDecoder } from '../generate/decode.js'
import { readByTable } from '../models/facts.js'
import { objectiveOf } from '../models/families.js'
import type { Network } from '../models/network.js'
import { addon } from '../native/load.js'
import { callNative, runTask } from '../native/task.js'
import { noTarget, type CompareRequest, type CompareResult } from '../native/types.js'
import { readRecords } from '../text/index.js'
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/index.js'
import { neutralTexts } from './neutral-texts.js'
import { NotApplicable, type DiffPair, type PartOptions } from './part.js'

/** Tokens that are looked at in each position. */
export const topTokens = 20
/** First positions of a text that the lens looks at. */
export const lensPositions = 5
const mostTexts = 200
const mostTokens = 128

/** Both models on neutral texts. */
export interface Comparison {
  result: CompareResult
  /** packed tokens of the texts */
  ids: Uint32Array
  offsets: Uint32Array
  layers: number
  /** tokens of the vocabulary */
  vocabulary: number
  /** what was read, for the result */
  neutral: string
  spell(id: number): string
}

const compared = new WeakMap<DiffPair, Promise<Comparison>>()

/**
 * One pass of both models for every part that asks. It takes 1 GiB of memory where `memory`, which is for one tensor's
 * difference, is less.
 * @throws NotApplicable where the pair is not of two language models that can be computed
 */
export function compareOnNeutral(pair: DiffPair, options: PartOptions): Promise<Comparison> {
  const known = compared.get(pair) ?? openLanguage(pair).then((opened) => compare(pair, opened, options))
  compared.set(pair, known)
  return known
}

/** @throws NotApplicable */
export function requireLanguage({ dir, architectureName }: ModelDirectory): void {
  if (objectiveOf(architectureName) === 'language') return
  throw new NotApplicable(
    'DIFF_NO_LANGUAGE_MODEL',
    `${dir}: ${architectureName || 'the reference'} is no language model that can be computed`,
  )
}

/**
 * Layers of any two models that can be computed, read through the reference's table of tokens: nothing of the result
 * but the lens.
 * @throws NotApplicable where they cannot be computed, or have other shapes
 */
export async function compareLayers(pair: DiffPair, options: PartOptions): Promise<Comparison> {
  const opened = await openComputed(pair, { baseHead: 'zeros', headless: true }, ({ blueprint }) =>
    readByTable(blueprint!),
  )
  return compare(pair, opened, options)
}

/** The pair as language models. @throws NotApplicable */
async function openLanguage(pair: DiffPair): Promise<Opened> {
  requireLanguage(pair.reference)
  return openComputed(pair, { objective: 'language' }, (reference) => networkOf(reference, 'language'))
}

type Opened = Awaited<ReturnType<typeof openComputed>>

/** The pair as models that can be computed, its tokenizer and its network. @throws NotApplicable */
async function openComputed(
  { base, reference }: DiffPair,
  how: PairOptions,
  networkFrom: (reference: ModelDirectory) => Network,
) {
  const models = await openPair(base.dir, reference.dir, how).catch((error: unknown) => {
    if (error instanceof WarpError && error.kind === 'input') throw new NotApplicable(error.code, error.message)
    throw error
  })
  const tokenizer = await loadTokenizer(reference.dir).catch((error: unknown) => {
    if (!(error instanceof WarpError) || !error.code.startsWith('TOKENIZER_')) throw error
    throw new NotApplicable('DIFF_NO_TOKENIZER', error.message)
  })
  const network = networkFrom(models.reference)
  const run = async (
    request: Omit<CompareRequest, 'path' | 'network' | 'threads' | 'memory'>,
    phase: string,
    { threads, memory, signal, onProgress }: PartOptions,
  ): Promise<CompareResult> => {
    const handles = [nativeWeights(models.base), nativeWeights(models.reference)]
    try {
      const path = callNative(() => addon().openPath(handles[0], handles[1], { family: 'linear', lambdas: [] }))
      handles.push(path)
      const whole = { path, network, ...request, threads, memory: Math.max(memory, 2 ** 30) }
      return await runTask((report) => addon().compare(whole, report), phase, 'tokens', { signal, onProgress })
    } finally {
      for (const handle of handles) handle.close()
    }
  }
  return { tokenizer, network, run, predicts: how.objective === 'language' }
}

async function compare(
  pair: DiffPair,
  { tokenizer, network, run, predicts }: Opened,
  options: PartOptions,
): Promise<Comparison> {
  const { texts, neutral } = await readTexts(options)
  const maxLength = Math.min(mostTokens, network.maxPositions)
  const encoded = await tokenizer.encodeBatch(texts, { maxLength })
  if (encoded.ids.length < 2) throw new NotApplicable('DIFF_NO_TEXTS', `${neutral} have too few tokens`)
  const { ids, offsets, targets } = withoutEmpty(encoded.ids, encoded.offsets)
  const top = Math.min(topTokens, network.vocabularySize)
  if (!predicts) targets.fill(noTarget) // no logits
  const request = { ids, offsets, targets, top, positions: lensPositions }
  return {
    result: await run(request, predicts ? 'predictions' : 'lens', options),
    ids,
    offsets,
    layers: network.layers.length,
    vocabulary: network.vocabularySize,
    neutral,
    spell: await spelling(pair.reference.dir, tokenizer),
  }
}

/** Of the layers, the one whose activations say best of what kind a text is. */
const telling = 0.7

export interface Activations {
  /** kept × hidden: mean over each text's tokens of the reference's activations */
  means: Float64Array
  /** from 1 */
  layer: number
  /** numbers of the texts that have tokens */
  kept: number[]
}

/** Mean activations of texts. @throws NotApplicable as `compareOnNeutral` */
export async function activationsOf(pair: DiffPair, options: PartOptions, texts: string[]): Promise<Activations> {
  const { tokenizer, network, run } = await openLanguage(pair)
  const encoded = await tokenizer.encodeBatch(texts, { maxLength: Math.min(mostTokens, network.maxPositions) })
  const kept = [...texts.keys()].filter((i) => encoded.offsets[i + 1] > encoded.offsets[i])
  const { ids, offsets } = withoutEmpty(encoded.ids, encoded.offsets)
  const targets = new Uint32Array(ids.length).fill(noTarget) // no logits
  const layer = Math.max(1, Math.round(telling * network.layers.length))
  const { means } = await run({ ids, offsets, targets, top: 1, positions: 0, meanLayer: layer }, 'domains', options)
  return { means, layer, kept }
}

/** The package's texts, or the first of those that were given. @throws WarpError of reading texts */
export async function readTexts({ texts, signal }: PartOptions): Promise<{ texts: string[]; neutral: string }> {
  if (!texts?.length) return { texts: neutralTexts, neutral: `the package's ${neutralTexts.length} texts` }
  const found: string[] = []
  for await (const { text } of readRecords(texts, {}, { signal })) {
    found.push(text)
    if (found.length === mostTexts) break
  }
  return { texts: found, neutral: `the first ${found.length} texts of ${texts.join(', ')}` }
}

/** Texts that have tokens, and what comes behind each token. */
function withoutEmpty(ids: Uint32Array, offsets: Uint32Array) {
  const kept = [0, ...[...offsets].slice(1).filter((end, i) => end > offsets[i])]
  const targets = Uint32Array.from(ids, (_, i) => ids[i + 1] ?? noTarget)
  for (const end of kept.slice(1)) targets[end - 1] = noTarget
  return { ids, offsets: Uint32Array.from(kept), targets }
}

/** A token as it stands in a text; as the vocabulary has it where its decoder is not known or it is no text alone. */
async function spelling(dir: string, tokenizer: Tokenizer): Promise<(id: number) => string> {
  const decoder = await openDecoder(dir, tokenizer).catch((error: { code?: string }) => {
    if (error.code === 'TOKENIZER_DECODER_UNSUPPORTED') return undefined
    throw error
  })
  return (id) => {
    const text = decoder?.decode([id]) ?? ''
    if (text !== '' && !text.includes('\ufffd')) return text
    try {
      return tokenizer.token(id)
    } catch {
      return `#${id}` // a row of the table that no token has
    }
  }
}
