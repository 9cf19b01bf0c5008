import os from 'node:os'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import { openForward } from '../predict.js'
import { loadTokenizer } from '../text/tokenizer/index.js'
import { givenLabels } from './features/labels.js'
import type { FeatureSource } from './features/index.js'
import type { Loaded } from './load.js'

/** Windows of one pass. */
const passWindows = 1024

/** Labels of some windows and what the reference thinks of them: one pass at the base and one at the reference. */
export async function labelWindows(
  source: FeatureSource,
  { windows, offsets, ids, labels }: Loaded,
  rows: Uint32Array,
  { signal, onProgress }: RunOptions,
): Promise<{ label: Int32Array; probability: Float32Array }> {
  const { path, network, threads, memory } = source
  const label = new Int32Array(rows.length)
  const probability = new Float32Array(rows.length * labels.length)
  for (let begin = 0; begin < rows.length; begin += passWindows) {
    const own = rows.subarray(begin, begin + passWindows)
    const starts = new Uint32Array(own.length + 1)
    own.forEach((row, i) => (starts[i + 1] = starts[i] + offsets[row + 1] - offsets[row]))
    const tokens = new Uint32Array(starts[own.length])
    own.forEach((row, i) => tokens.set(ids.subarray(offsets[row], offsets[row + 1]), starts[i]))
    const asked = Int32Array.from(own, (row) => givenLabels([windows[row]], row, source)[0])
    const texts = { ids: tokens, typeIds: new Uint8Array(tokens.length), offsets: starts, label: asked }
    const request = { path, network, ...texts, scope: 'head' as const, atBase: true, threads, memory }
    const found = await runTask((report) => addon().selectFeatures(request, report), 'labels', 'tokens', {
      signal,
      onProgress,
    })
    label.set(found.label, begin)
    probability.set(found.probability, begin * labels.length)
  }
  return { label, probability }
}

/** What a classifier takes texts for. */
export async function labelTexts(
  model: string,
  texts: string[],
  maxLength: number,
  { signal, onProgress, threads = os.availableParallelism() }: RunOptions & { threads?: number },
): Promise<{ label: Int32Array; probability: Float32Array }> {
  const opened = await openForward(model, maxLength)
  try {
    const tokenizer = await loadTokenizer(model)
    const c = opened.labels.length
    const label = new Int32Array(texts.length)
    const probability = new Float32Array(texts.length * c)
    for (let begin = 0; begin < texts.length; begin += passWindows) {
      const { ids, typeIds, offsets } = await tokenizer.encodeBatch(texts.slice(begin, begin + passWindows), {
        maxLength,
      })
      const count = offsets.length - 1
      const own = { ids, typeIds, offsets, label: new Int32Array(count), domain: new Int32Array(count), domains: 1 }
      const { path, network } = opened
      const request = { path, network, ...own, scope: 'head' as const, gradients: false, baseOnly: true, threads }
      const { logits } = await runTask(
        (report) => addon().score({ ...request, memory: 2 ** 31 }, report),
        'labels',
        'tokens',
        {
          signal,
          onProgress,
        },
      )
      for (let i = 0; i < count; i++) {
        const row = logits.subarray(2 * i * c, (2 * i + 1) * c)
        const best = row.reduce((at, value, j) => (value > row[at] ? j : at), 0)
        const total = row.reduce((sum, value) => sum + Math.exp(value - row[best]), 0)
        label[begin + i] = best
        row.forEach((value, j) => (probability[(begin + i) * c + j] = Math.exp(value - row[best]) / total))
      }
    }
    return { label, probability }
  } finally {
    opened.close()
  }
}
