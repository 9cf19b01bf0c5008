// Made-up pairs of models for `diff`: a base of random weights, and what may have been done to it.
import { Random } from '../../lib/random.js'
import { modelOf, type TestTensor } from './models.js'
import { encode } from './trace-models.js'
import { stored } from './trace-tables.js'

export type StoredAs = 'F32' | 'F16' | 'BF16'

export interface Matrix {
  shape: number[]
  values: Float32Array
}
export type TinyWeights = Record<string, Matrix>

export const tokens = 300
export const hidden = 96
export const layers = 4

function normal(name: string, shape: number[], size: number): Matrix {
  const random = new Random(3, name)
  const count = shape.reduce((product, length) => product * length, 1)
  return { shape, values: Float32Array.from({ length: count }, () => size * random.normal()) }
}

/** An encoder of an architecture that nothing here computes. */
export function tinyBase(): TinyWeights {
  const weights: TinyWeights = {
    'embeddings.word_embeddings.weight': normal('words', [tokens, hidden], 0.05),
    'embeddings.position_embeddings.weight': normal('positions', [64, hidden], 0.05),
  }
  for (let layer = 0; layer < layers; layer++) {
    const at = `encoder.layer.${layer}`
    for (const part of ['query', 'key', 'value', 'out']) {
      weights[`${at}.attention.${part}.weight`] = normal(`${layer}${part}`, [hidden, hidden], 0.05)
    }
    weights[`${at}.up.weight`] = normal(`${layer}up`, [2 * hidden, hidden], 0.05)
    weights[`${at}.down.weight`] = normal(`${layer}down`, [hidden, 2 * hidden], 0.05)
    weights[`${at}.norm.weight`] = { shape: [hidden], values: new Float32Array(hidden).fill(1) }
    weights[`${at}.up.bias`] = normal(`${layer}bias`, [2 * hidden], 0.02)
  }
  weights['classifier.weight'] = normal('head', [3, hidden], 0.02)
  weights['classifier.bias'] = { shape: [3], values: new Float32Array(3) }
  return weights
}

/** The weights with some of them changed: `change` gives new values, or nothing where they stay. */
export function changed(
  weights: TinyWeights,
  change: (name: string, matrix: Matrix) => Float32Array | undefined,
): TinyWeights {
  return Object.fromEntries(
    Object.entries(weights).map(([name, matrix]) => [
      name,
      { shape: matrix.shape, values: change(name, matrix) ?? matrix.values },
    ]),
  )
}

/** What a training leaves: every value moved by noise. */
export function trained(name: string, { values }: Matrix, size = 1e-3): Float32Array {
  const random = new Random(4, name)
  return values.map((value) => value + size * random.normal())
}

/** With an adapter of a rank merged: each value moves by about `size`. */
export function adapted(name: string, { shape, values }: Matrix, rank: number, size = 2e-3): Float32Array {
  const [rows, columns] = shape
  const random = new Random(5, name)
  const draw = (count: number): Float64Array => Float64Array.from({ length: count }, () => random.normal())
  const left = draw(rows * rank)
  const right = draw(rank * columns)
  const scale = size / Math.sqrt(rank)
  return values.map((value, i) => {
    const row = Math.floor(i / columns)
    let sum = 0
    for (let k = 0; k < rank; k++) sum += left[row * rank + k] * right[k * columns + (i % columns)]
    return value + scale * sum
  })
}

/** A model directory of the weights in one type. */
export function writeTiny(weights: TinyWeights, dtype: StoredAs = 'F32', more: Record<string, string> = {}): string {
  const tensors = Object.entries(weights).map(
    ([name, { shape, values }]): TestTensor => ({ name, shape, dtype, data: encode(stored(values, dtype), dtype) }),
  )
  const config = { architectures: ['TinyForSequenceClassification'], model_type: 'tiny', vocab_size: tokens }
  return modelOf(config, tensors, more)
}
