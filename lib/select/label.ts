import os from 'node:os'
import { nativeWeights } from '../checkpoint/index.js'
import type { Network } from '../models/network.js'
import { addon } from '../native/load.js'
import { callNative, runTask, type RunOptions } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { openForward } from '../predict.js'
import { loadTokenizer, type TokenBatch } from '../text/tokenizer/index.js'
import type { FeatureSource } from './features/index.js'
import { givenLabels } from './features/labels.js'
import type { Loaded } from './load.js'

/** Texts of one pass. */
const passTexts = 1024

/** Class ids, and texts × classes: what a classifier thinks of each. */
export interface Labelled {
  label: Int32Array
  probability: Float32Array
}

interface Classifier extends RunOptions {
  /** from the model to itself */
  path: Handle
  network: Network
  classes: number
  threads: number
  memory: number
}

async function ask(
  { path, network, classes, threads, memory, signal, onProgress }: Classifier,
  { ids, typeIds, offsets }: Pick<TokenBatch, 'ids' | 'typeIds' | 'offsets'>,
): Promise<Labelled> {
  const count = offsets.length - 1
  const texts = { ids, typeIds, offsets, label: new Int32Array(count), domain: new Int32Array(count), domains: 1 }
  const request = { path, network, ...texts, scope: 'head' as const, gradients: false, baseOnly: true, threads, memory }
  const run = { signal, onProgress }
  const { logits } = await runTask((report) => addon().score(request, report), 'labels', 'tokens', run)
  const found: Labelled = { label: new Int32Array(count), probability: new Float32Array(count * classes) }
  for (let i = 0; i < count; i++) {
    const row = logits.subarray(2 * i * classes, (2 * i + 1) * classes)
    const best = row.reduce((at, value, c) => (value > row[at] ? c : at), 0)
    const total = row.reduce((sum, value) => sum + Math.exp(value - row[best]), 0)
    found.label[i] = best
    row.forEach((value, c) => (found.probability[i * classes + c] = Math.exp(value - row[best]) / total))
  }
  return found
}

/** Labels of some windows, given, drawn or the reference's, and what the reference thinks of them: one pass. */
export async function labelWindows(
  source: FeatureSource,
  { places, offsets, ids, labels }: Loaded,
  rows: Uint32Array,
  { signal, onProgress }: RunOptions,
): Promise<Labelled> {
  const { network, threads, memory, pair } = source
  const all: Labelled = {
    label: new Int32Array(rows.length),
    probability: new Float32Array(rows.length * labels.length),
  }
  const weights = nativeWeights(pair.reference)
  try {
    const path = callNative(() => addon().openPath(weights, weights, { family: 'linear', lambdas: [] }))
    const classifier = { path, network, classes: labels.length, threads, memory, signal, onProgress }
    for (let begin = 0; begin < rows.length; begin += passTexts) {
      const own = rows.subarray(begin, begin + passTexts)
      const starts = new Uint32Array(own.length + 1)
      own.forEach((row, i) => (starts[i + 1] = starts[i] + offsets[row + 1] - offsets[row]))
      const tokens = new Uint32Array(starts[own.length])
      own.forEach((row, i) => tokens.set(ids.subarray(offsets[row], offsets[row + 1]), starts[i]))
      const texts = { ids: tokens, typeIds: new Uint8Array(tokens.length), offsets: starts }
      const found = await ask(classifier, texts)
      own.forEach((row, i) => {
        const [given] = givenLabels([places[row]], row, source)
        all.label[begin + i] = given < 0 ? found.label[i] : given
      })
      all.probability.set(found.probability, begin * labels.length)
    }
    path.close()
    return all
  } finally {
    weights.close()
  }
}

/** What a classifier takes texts for. */
export async function labelTexts(
  model: string,
  texts: string[],
  maxLength: number,
  { signal, onProgress, threads = os.availableParallelism() }: RunOptions & { threads?: number },
): Promise<Labelled> {
  const opened = await openForward(model, maxLength)
  const classes = opened.labels.length
  const { path, network } = opened
  const classifier = { path, network, classes, threads, memory: 2 ** 31, signal, onProgress }
  const all: Labelled = { label: new Int32Array(texts.length), probability: new Float32Array(texts.length * classes) }
  try {
    const tokenizer = await loadTokenizer(model)
    for (let begin = 0; begin < texts.length; begin += passTexts) {
      const tokens = await tokenizer.encodeBatch(texts.slice(begin, begin + passTexts), { maxLength })
      const found = await ask(classifier, tokens)
      all.label.set(found.label, begin)
      all.probability.set(found.probability, begin * classes)
    }
    return all
  } finally {
    opened.close()
  }
}
