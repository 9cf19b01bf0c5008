import { z } from 'zod'
import { gradientMatching } from './gradient-matching.js'
import { cholesky, choleskySolve } from './linear-algebra.js'
import { priorShift } from './prior-shift.js'
import { projection } from './projection.js'
import { predictorOf } from './sharing.js'
import type { Example, FootprintSummary } from './spread.js'
import { stationary } from './stationary.js'
import { meanByDomain, normalised, softmax } from './sums.js'
import type { FootprintStatistics, Predictor } from './types.js'

/** A few weights that are the same for every domain, so that they hold for other domains too. */
export const equivariantSchema = z.strictObject({
  kind: z.literal('equivariant'),
  /** `linear`: shares less 1/D; `log`: logarithms of shares less their mean */
  form: z.enum(['linear', 'log']),
  /** added to shares before their logarithm is taken, times 1/D */
  floor: z.number().positive(),
  weights: z.record(z.string(), z.number()),
})

export type EquivariantModel = z.infer<typeof equivariantSchema>

export interface EquivariantSetting {
  form: EquivariantModel['form']
  /** ridge on the weights of features scaled to mean square 1, relative to the number of rows */
  ridge: number
}

/** What training chooses from. */
export const equivariantSettings: EquivariantSetting[] = (['linear', 'log'] as const).flatMap((form) =>
  [1e-4, 1e-3, 1e-2, 1e-1, 1].map((ridge) => ({ form, ridge })),
)

const FLOOR = 0.1
const sources = [gradientMatching(), projection(), stationary, priorShift]
/** Shares in proportion to the domain's geometric mean probability of the right class at the reference. */
const LOSSES = 'losses'

type Shares = Record<string, ArrayLike<number>>

/** The shares that weights may be given to, of those that every example has. */
export function equivariantSources(examples: Pick<Example, 'summary'>[]): string[] {
  const common = sources
    .map(({ name }) => name)
    .filter((name) => examples.every(({ summary }) => name in summary.mixtures))
  return [...common, LOSSES]
}

/** Shares by readout, and by loss, of a trial. */
export function sharesOfSummary({ mixtures, loss }: Pick<FootprintSummary, 'mixtures' | 'loss'>): Shares {
  return { ...mixtures, [LOSSES]: softmax(Float64Array.from(loss, (row) => -row[row.length - 1])) }
}

/** Why the weights cannot be applied, or null. */
export function whyNotEquivariant({ weights }: EquivariantModel, stats: FootprintStatistics): string | null {
  for (const name of Object.keys(weights)) {
    if (name === LOSSES) continue
    const source = sources.find((readout) => readout.name === name)
    const reason = source ? source.why(stats) : 'there is no such readout'
    if (reason) return `${name}: ${reason}`
  }
  return null
}

/** The weighted readouts on the footprint of a model of unknown mixture. */
export function equivariantReader(model: EquivariantModel, stats: FootprintStatistics): Predictor {
  const D = stats.domains.length
  const width = stats.lambdas.length + 2
  const fall = Float64Array.from(stats.domain, (_, i) => -stats.loss[i * width + width - 1])
  const used = sources
    .filter(({ name }) => name in model.weights)
    .map((readout) => ({ name: readout.name, predict: predictorOf(readout, stats) }))
  return (weights) =>
    predictEquivariant(model, {
      ...Object.fromEntries(used.map(({ name, predict }) => [name, predict(weights)])),
      [LOSSES]: softmax(meanByDomain(fall, 1, stats.domain, D, weights)),
    })
}

/** Ridge regression of the mixtures on the readouts' shares, all domains of all examples being rows alike. */
export function fitEquivariant(
  examples: Example[],
  names: string[],
  { form, ridge }: EquivariantSetting,
): EquivariantModel {
  const R = names.length
  const gram = new Float64Array(R * R)
  const moments = new Float64Array(R)
  let rows = 0
  for (const { summary, truth } of examples) {
    const shares = sharesOfSummary(summary)
    const columns = names.map((name) => coordinates(shares[name], form))
    const target = coordinates(truth, form)
    rows += truth.length
    columns.forEach((column, r) => {
      column.forEach((value, d) => {
        moments[r] += value * target[d]
      })
      columns.forEach((other, s) =>
        column.forEach((value, d) => {
          gram[r * R + s] += value * other[d]
        }),
      )
    })
  }
  // A column that never varies gets scale 1, and through the ridge the weight 0.
  const scale = Float64Array.from(names, (_, r) => Math.sqrt(gram[r * R + r] / rows) || 1)
  const system = gram.map((value, i) => value / (rows * scale[Math.floor(i / R)] * scale[i % R]))
  for (let r = 0; r < R; r++) system[r * R + r] += ridge
  const solved = choleskySolve(
    cholesky(system, R)!,
    moments.map((value, r) => value / (rows * scale[r])),
    R,
  )
  const weights = Object.fromEntries(names.map((name, r) => [name, solved[r] / scale[r]]))
  return { kind: 'equivariant', form, floor: FLOOR, weights }
}

/** Shares of the domains from the readouts' shares; as many domains as these have. */
export function predictEquivariant({ form, weights, floor }: EquivariantModel, shares: Shares): Float64Array {
  const [first] = Object.keys(weights)
  const D = shares[first].length
  const sums = new Float64Array(D)
  for (const [name, weight] of Object.entries(weights)) {
    coordinates(shares[name], form, floor).forEach((value, d) => {
      sums[d] += weight * value
    })
  }
  const estimate =
    form === 'linear' ? sums.map((sum) => sum + 1 / D) : softmax(sums).map((share) => share * (1 + floor) - floor / D)
  return normalised(estimate.map((share) => Math.max(0, share)))
}

/** Coordinates of sum zero. */
function coordinates(shares: ArrayLike<number>, form: EquivariantModel['form'], floor = FLOOR): Float64Array {
  const D = shares.length
  if (form === 'linear') return Float64Array.from(shares, (share) => share - 1 / D)
  const logs = Float64Array.from(shares, (share) => Math.log(share + floor / D))
  const mean = logs.reduce((sum, value) => sum + value, 0) / D
  return logs.map((value) => value - mean)
}
