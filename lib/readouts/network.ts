import { setImmediate } from 'node:timers/promises'
import { Random } from '../random.js'

// Taken once: a look-up of a global is slow inside a vm context, and these run per number.
const { abs, exp, sign, sqrt } = Math

/** Linear(inputs, hidden) → ReLU → Linear(hidden, outputs) → softmax. */
export interface Network {
  inputs: number
  hidden: number
  outputs: number
  /** hidden × inputs, hidden, outputs × hidden, outputs: one after the other */
  parameters: Float64Array
}

export interface NetworkTraining {
  learningRate: number
  epochs: number
  batch: number
  seed: number
  signal?: AbortSignal
}

const BETA1 = 0.9
const BETA2 = 0.999
const EPSILON = 1e-8
/** The event loop gets its turn this often. */
const SLICE_MS = 15

/** Parameters drawn from U(−1/√n, 1/√n), n the numbers that a layer's unit sums over: PyTorch's default. */
export function newNetwork(inputs: number, hidden: number, outputs: number, seed: number): Network {
  const random = new Random(seed, 'projector/parameters')
  const parameters = new Float64Array(hidden * (inputs + 1) + outputs * (hidden + 1))
  const ofFirst = hidden * (inputs + 1)
  for (let i = 0; i < parameters.length; i++) {
    const bound = 1 / sqrt(i < ofFirst ? inputs : hidden)
    parameters[i] = bound * (2 * random.uniform() - 1)
  }
  return { inputs, hidden, outputs, parameters }
}

/** Shares for one row of features. */
export function evaluate(network: Network, features: Float64Array): Float64Array {
  const shares = new Float64Array(network.outputs)
  forward(network, features, new Float64Array(network.hidden), shares)
  return shares
}

function forward(
  { inputs, hidden, outputs, parameters }: Network,
  x: Float64Array,
  h: Float64Array,
  p: Float64Array,
): void {
  const bias1 = hidden * inputs
  const second = bias1 + hidden
  const bias2 = second + outputs * hidden
  for (let j = 0; j < hidden; j++) {
    const row = j * inputs
    // Four sums at once: one alone would wait for each addition.
    let s0 = parameters[bias1 + j]
    let s1 = 0
    let s2 = 0
    let s3 = 0
    let i = 0
    for (; i + 3 < inputs; i += 4) {
      s0 += parameters[row + i] * x[i]
      s1 += parameters[row + i + 1] * x[i + 1]
      s2 += parameters[row + i + 2] * x[i + 2]
      s3 += parameters[row + i + 3] * x[i + 3]
    }
    for (; i < inputs; i++) s0 += parameters[row + i] * x[i]
    const sum = s0 + s1 + (s2 + s3)
    // biome-ignore lint/complexity/useMathMinMax: a look-up of a global is slow inside a vm context
    h[j] = sum > 0 ? sum : 0
  }
  let top = -Infinity
  for (let c = 0; c < outputs; c++) {
    let sum = parameters[bias2 + c]
    for (let j = 0; j < hidden; j++) sum += parameters[second + c * hidden + j] * h[j]
    p[c] = sum
    if (sum > top) top = sum
  }
  let total = 0
  for (let c = 0; c < outputs; c++) total += p[c] = exp(p[c] - top)
  for (let c = 0; c < outputs; c++) p[c] /= total
}

/**
 * Mean over the rows `from` … `to` − 1 of `order` of the mean absolute error, and its gradient into `gradient`.
 * The error's slope at zero is taken as zero, as PyTorch does.
 */
export function lossAndGradient(
  network: Network,
  features: Float64Array[],
  targets: ArrayLike<number>[],
  order: ArrayLike<number>,
  from: number,
  to: number,
  gradient: Float64Array,
): number {
  const { inputs, hidden, outputs, parameters } = network
  const bias1 = hidden * inputs
  const second = bias1 + hidden
  const bias2 = second + outputs * hidden
  const h = new Float64Array(hidden)
  const p = new Float64Array(outputs)
  const scale = 1 / ((to - from) * outputs)
  let loss = 0
  gradient.fill(0)
  for (let at = from; at < to; at++) {
    const x = features[order[at]]
    const target = targets[order[at]]
    forward(network, x, h, p)
    let mean = 0
    for (let c = 0; c < outputs; c++) {
      loss += scale * abs(p[c] - target[c])
      mean += p[c] * scale * sign(p[c] - target[c])
    }
    // through the softmax: dz_c = p_c (dp_c − Σ p dp)
    for (let c = 0; c < outputs; c++) p[c] *= scale * sign(p[c] - target[c]) - mean
    for (let c = 0; c < outputs; c++) gradient[bias2 + c] += p[c]
    for (let j = 0; j < hidden; j++) {
      if (h[j] === 0) continue
      let slope = 0
      for (let c = 0; c < outputs; c++) {
        gradient[second + c * hidden + j] += p[c] * h[j]
        slope += p[c] * parameters[second + c * hidden + j]
      }
      gradient[bias1 + j] += slope
      const row = j * inputs
      for (let i = 0; i < inputs; i++) gradient[row + i] += slope * x[i]
    }
  }
  return loss
}

/** Adam (Kingma and Ba, 2015), first and second moments corrected for their start at zero. */
class Adam {
  readonly #first: Float64Array
  readonly #second: Float64Array
  #step = 0
  constructor(
    readonly rate: number,
    size: number,
  ) {
    this.#first = new Float64Array(size)
    this.#second = new Float64Array(size)
  }

  update(parameters: Float64Array, gradient: Float64Array): void {
    this.#step++
    const rate = this.rate / (1 - BETA1 ** this.#step)
    const correction = 1 / sqrt(1 - BETA2 ** this.#step)
    const first = this.#first
    const second = this.#second
    for (let i = 0; i < parameters.length; i++) {
      const g = gradient[i]
      first[i] = BETA1 * first[i] + (1 - BETA1) * g
      second[i] = BETA2 * second[i] + (1 - BETA2) * g * g
      parameters[i] -= (rate * first[i]) / (sqrt(second[i]) * correction + EPSILON)
    }
  }
}

/**
 * Trains in place: batches in a new order each epoch, mean absolute error, Adam. Same seed, same numbers.
 * @throws the signal's reason
 */
export async function trainNetwork(
  network: Network,
  features: Float64Array[],
  targets: ArrayLike<number>[],
  training: NetworkTraining,
): Promise<void> {
  const { learningRate, epochs, batch, seed, signal } = training
  const n = features.length
  const random = new Random(seed, 'projector/batches')
  const adam = new Adam(learningRate, network.parameters.length)
  const gradient = new Float64Array(network.parameters.length)
  let resumed = performance.now()
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = random.permutation(n)
    for (let from = 0; from < n; from += batch) {
      lossAndGradient(network, features, targets, order, from, Math.min(n, from + batch), gradient)
      adam.update(network.parameters, gradient)
    }
    if (performance.now() - resumed > SLICE_MS) {
      await setImmediate()
      signal?.throwIfAborted()
      resumed = performance.now()
    }
  }
}
