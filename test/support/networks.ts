import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Block, Network, Operand, RopeScaling, Step, Table } from '../../lib/models/network.js'
import { repositoryRoot } from './shared.js'

/** Folders of test/fixtures/networks, see make.py there. */
export const networkFixtures = (): string[] =>
  readdirSync(join(repositoryRoot, 'test/fixtures/networks'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

export const networkFixture = (name: string, file = ''): string =>
  join(repositoryRoot, 'test/fixtures/networks', name, file)

/** Rows of numbers. */
type Matrix = Float64Array[]
/** A weight by canonical name, row by row. */
export type Weights = (name: string) => ArrayLike<number>

/** What a network gives for one text, computed naively in float64: a row of logits, or one per token. */
export function referenceLogits(network: Network, weights: Weights, ids: number[], types: number[]): Matrix {
  const frame = (x: Matrix, { steps, output }: Block): Matrix => {
    const slots = new Map<string, Matrix>([['x', x]])
    for (const step of steps) slots.set(step.to, run(step, slots, weights))
    return slots.get(output)!
  }
  let x: Matrix = ids.map((_, row) => {
    const sum = new Float64Array(network.embeddingSize)
    for (const table of network.tables) {
      const { tensor, factor = 1 } = table
      const at = indexOf(table, ids, types, row) * sum.length
      for (let j = 0; j < sum.length; j++) sum[j] += weights(tensor)[at + j] * factor
    }
    return sum
  })
  x = frame(x, network.embed)
  for (const layer of network.layers) x = frame(x, layer)
  return frame(selected(network, ids, x), network.head)
}

function indexOf({ by, padding }: Table, ids: number[], types: number[], row: number): number {
  if (by === 'token') return ids[row]
  if (by === 'type') return types[row]
  if (padding === undefined) return row
  return ids[row] === padding ? padding : padding + 1 + ids.slice(0, row).filter((id) => id !== padding).length
}

function selected({ select, padTokenId }: Network, ids: number[], x: Matrix): Matrix {
  if (select === 'all') return x
  if (select === 'first') return [x[0]]
  if (select === 'mean') return [x[0].map((_, j) => x.reduce((sum, row) => sum + row[j], 0) / x.length)]
  return [
    x[
      Math.max(
        0,
        ids.findLastIndex((id) => id !== padTokenId),
      )
    ],
  ]
}

function read(operand: Operand, slots: ReadonlyMap<string, Matrix>): Matrix {
  if (typeof operand === 'string') return slots.get(operand)!
  return slots.get(operand.slot)!.map((row) => row.subarray(operand.at, operand.at + operand.width))
}

function run(step: Step, slots: ReadonlyMap<string, Matrix>, weights: Weights): Matrix {
  const of = (operand: Operand): Matrix => read(operand, slots)
  if (step.op === 'linear') return of(step.from).map((row) => linear(step, row, weights))
  if (step.op === 'norm') return of(step.from).map((row) => norm(step, row, weights))
  if (step.op === 'rope') return of(step.from).map((row, position) => rope(step, row, position))
  if (step.op === 'attention') return attention(step, of(step.q), of(step.k), of(step.v))
  if (step.op === 'activate') return of(step.from).map((row) => row.map(activations[step.function]))
  if (step.op === 'drop') return of(step.from)
  if (step.op === 'softcap') return of(step.from).map((row) => row.map((v) => step.cap * Math.tanh(v / step.cap)))
  const b = of(step.b)
  return of(step.a).map((row, i) => row.map((v, j) => (step.op === 'add' ? v + b[i][j] : v * b[i][j])))
}

function linear(step: Step & { op: 'linear' }, x: Float64Array, weights: Weights): Float64Array {
  const { inputs, turned, storedOutputs = 0 } = step
  expect(x).toHaveLength(inputs)
  return Float64Array.from(
    step.parts.flatMap(({ weight, bias, first = 0, rows }) =>
      Array.from({ length: rows }, (_, i) => {
        const row = first + i
        let sum = bias ? weights(bias)[row] : 0
        for (let j = 0; j < inputs; j++)
          sum += x[j] * weights(weight)[turned ? j * storedOutputs + row : row * inputs + j]
        return sum
      }),
    ),
  )
}

function norm(step: Step & { op: 'norm' }, x: Float64Array, weights: Weights): Float64Array {
  const { kind, gain, bias, epsilon, offset = 0, groups = 1 } = step
  const width = x.length / groups
  const out = new Float64Array(x.length)
  for (let at = 0; at < x.length; at += width) {
    const part = x.subarray(at, at + width)
    const mean = kind === 'layer' ? part.reduce((a, b) => a + b, 0) / width : 0
    const square = part.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width
    for (let j = 0; j < width; j++) {
      const y = (part[j] - mean) / Math.sqrt(square + epsilon)
      out[at + j] = y * (offset + weights(gain)[j]) + (bias ? weights(bias)[j] : 0)
    }
  }
  return out
}

function rope(step: Step & { op: 'rope' }, x: Float64Array, position: number): Float64Array {
  const { headSize, rotary, theta, scaling } = step
  const out = x.slice()
  const half = rotary / 2
  for (let at = 0; at < x.length; at += headSize) {
    for (let j = 0; j < half; j++) {
      const angle = position * scaled(theta ** ((-2 * j) / rotary), scaling)
      const [a, b] = [x[at + j], x[at + half + j]]
      out[at + j] = a * Math.cos(angle) - b * Math.sin(angle)
      out[at + half + j] = b * Math.cos(angle) + a * Math.sin(angle)
    }
  }
  return out
}

function scaled(frequency: number, scaling: RopeScaling | undefined): number {
  if (!scaling) return frequency
  if (scaling.type === 'linear') return frequency / scaling.factor
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI)
  const share = Math.min(1, Math.max(0, (turns - low) / (high - low)))
  return (1 - share) * (frequency / factor) + share * frequency
}

function attention(step: Step & { op: 'attention' }, q: Matrix, k: Matrix, v: Matrix): Matrix {
  const { heads, kvHeads, headSize: size, causal, scale, window = Infinity, softcap } = step
  return q.map((asking, i) => {
    const out = new Float64Array(heads * size)
    for (let head = 0; head < heads; head++) {
      const at = Math.floor((head * kvHeads) / heads) * size
      const scores = k.map((key, j) => {
        if ((causal && j > i) || Math.abs(i - j) >= window) return -Infinity
        let sum = 0
        for (let d = 0; d < size; d++) sum += asking[head * size + d] * key[at + d]
        return softcap ? softcap * Math.tanh((sum * scale) / softcap) : sum * scale
      })
      const top = Math.max(...scores)
      const total = scores.reduce((sum, s) => sum + Math.exp(s - top), 0)
      scores.forEach((s, j) => {
        for (let d = 0; d < size; d++) out[head * size + d] += (Math.exp(s - top) / total) * v[j][at + d]
      })
    }
    return out
  })
}

/** Kummer's series: all terms of one sign. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x)
  let term = x
  let sum = 0
  for (let n = 0; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    sum += term
    term *= (2 * x * x) / (2 * n + 3)
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

const activations = {
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x: number) => Math.max(0, x),
  tanh: Math.tanh,
  silu: (x: number) => x / (1 + Math.exp(-x)),
}
