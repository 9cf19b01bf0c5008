import { join } from 'node:path'
import { nativeWeights, networkOf, openModel } from '../../lib/checkpoint/index.js'
import { readByTable } from '../../lib/models/facts.js'
import type { Network } from '../../lib/models/network.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import { noTarget, type CompareRequest, type CompareResult } from '../../lib/native/types.js'
import { makeLanguagePair } from './language-pair.js'
import { readTensors } from './models.js'
import { referenceLogits, type Weights } from './networks.js'

/** Texts of which both models of a fixture's pair are computed, the tokens and places that are asked for. */
export const compareTexts = [
  [2, 5, 9, 11, 4, 30, 8],
  [7, 7],
  [40, 41, 42, 43, 12],
  [33],
  [2, 6, 17, 17, 17, 50, 4, 4, 9],
]
export const [compareTop, comparePositions] = [6, 4]

/** A pair of a networks' fixture, ready to be compared; models other than language models are read by their tables. */
export async function compareFixture(name: string) {
  const predicts = /-(language|tied)$/.test(name)
  const objective = predicts ? 'language' : 'classify'
  const texts = compareTexts
  const dirs = makeLanguagePair(name)
  const models = await Promise.all([dirs.base, dirs.reference].map((dir) => openModel(dir, { objective })))
  const network = predicts ? networkOf(models[0]!, 'language') : readByTable(models[0]!.blueprint!)
  const weights = models.map((model, i): Weights => {
    const stored = readTensors(join(i === 0 ? dirs.base : dirs.reference, 'model.safetensors'))
    return (tensor) => stored.get(model.tensors.get(tensor)!.storedName)!.data
  })
  const handles = models.map((model) => nativeWeights(model))
  const ids = Uint32Array.from(texts.flat())
  let end = 0
  const offsets = Uint32Array.from([0, ...texts.map((text) => (end += text.length))])
  const targets = Uint32Array.from(
    texts.flatMap((text) => text.map((_, i) => (predicts ? text[i + 1] : undefined) ?? noTarget)),
  )
  const run = (extra: Partial<CompareRequest> = {}): Promise<CompareResult> => {
    const path = addon().openPath(handles[0]!, handles[1]!, { family: 'linear', lambdas: [] })
    const request = {
      path,
      network,
      ids,
      offsets,
      targets,
      top: compareTop,
      positions: comparePositions,
      threads: 2,
      memory: 2 ** 30,
      ...extra,
    }
    return runTask((report) => addon().compare(request, report), 'compare', 'tokens')
  }
  return { network, weights: weights as [Weights, Weights], run, offsets }
}

/** The ids in the order of their values, the largest first. */
export function order(values: number[], sign = 1): number[] {
  return values
    .map((value, id) => ({ value: sign * value, id }))
    .sort((a, b) => b.value - a.value || a.id - b.id)
    .map(({ id }) => id)
}

/** The head on one row: a table of one row stands in for what is below. */
export function headOf(network: Network, weights: Weights, row: Float64Array): number[] {
  const tables: Network['tables'] = [{ tensor: 'row', by: 'token', rows: 1 }]
  const one: Network = { ...network, embeddingSize: row.length, tables, select: 'all' }
  return [...referenceLogits(one, (tensor) => (tensor === 'row' ? row : weights(tensor)), [0], [])[0]!]
}
