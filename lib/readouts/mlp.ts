import { z } from 'zod'
import { evaluate, newNetwork, trainNetwork } from './network.js'
import type { Example, FootprintSpread } from './spread.js'

/** The paper's projector, as it is saved. */
export const mlpSchema = z.strictObject({
  kind: z.literal('mlp'),
  /** of the footprint's columns: divided by the largest magnitude of a probe's score */
  normalization: z.literal('max'),
  /** whether the standard deviations of the domains' scores follow their means among the features */
  deviations: z.boolean(),
  inputs: z.int().min(1),
  hidden: z.int().min(1),
  outputs: z.int().min(2),
  /** hidden × inputs weights, hidden biases, outputs × hidden weights, outputs biases */
  parameters: z.array(z.number()),
})

export type MlpModel = z.infer<typeof mlpSchema>

/** Learning rates of the paper's sweep. */
export const learningRates = [6e-5, 9e-5, 2e-4, 5e-4, 1e-3]

const HIDDEN = 64
const EPOCHS = 200
const BATCH = 8

export interface MlpTraining {
  learningRate: number
  seed: number
  deviations: boolean
  signal?: AbortSignal
}

/** vec(S), domain after domain, with each point's column in units of its largest score; then the deviations so. */
export function mlpFeatures({ mean, deviation, largest }: FootprintSpread, deviations: boolean): Float64Array {
  const scaled = (rows: number[][]) => rows.flatMap((row) => row.map((v, k) => (largest[k] > 0 ? v / largest[k] : 0)))
  return Float64Array.from([...scaled(mean), ...(deviations ? scaled(deviation) : [])])
}

/** Trains Linear(DK, 64) → ReLU → Linear(64, D) → softmax on known mixtures (WARP, section 4.1). */
export async function fitMlp(examples: Example[], training: MlpTraining): Promise<MlpModel> {
  const { learningRate, seed, deviations, signal } = training
  const features = examples.map(({ summary }) => mlpFeatures(summary, deviations))
  const network = newNetwork(features[0].length, HIDDEN, examples[0].truth.length, seed)
  const targets = examples.map(({ truth }) => truth)
  await trainNetwork(network, features, targets, { learningRate, epochs: EPOCHS, batch: BATCH, seed, signal })
  const { inputs, hidden, outputs, parameters } = network
  return { kind: 'mlp', normalization: 'max', deviations, inputs, hidden, outputs, parameters: [...parameters] }
}

/** Shares of the D domains, in the order that the model was trained with. */
export function mlpPredictor(model: MlpModel): (spread: FootprintSpread) => Float64Array {
  const network = { ...model, parameters: Float64Array.from(model.parameters) }
  return (spread) => evaluate(network, mlpFeatures(spread, model.deviations))
}
