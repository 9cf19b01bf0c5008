import {
  equivariantSettings,
  equivariantSources,
  fitEquivariant,
  predictEquivariant,
  sharesOfSummary,
} from '../readouts/equivariant.js'
import { fitMlp, learningRates, mlpPredictor } from '../readouts/mlp.js'
import type { ProjectorDocument } from '../readouts/projector.js'
import type { Example, FootprintSummary } from '../readouts/spread.js'

/** A trained readout, ready to be applied and to be saved. */
export interface Fitted {
  model: ProjectorDocument['model']
  predict(summary: FootprintSummary): Float64Array
}

/** Something to choose by its error on trials left out. */
export interface Candidate {
  setting: Record<string, number | string>
  fit(examples: Example[]): Promise<Fitted>
}

/** A readout that is trained: `candidates` differ in a setting. */
export interface Learner {
  name: ProjectorDocument['model']['kind']
  candidates: Candidate[]
}

export interface LearnerOptions {
  seed: number
  /** the network also sees the standard deviations of the domains' scores; default false */
  deviations?: boolean
  signal?: AbortSignal
}

/** The learners of a set of footprints along one path. */
export function learnersFor(examples: Example[], { seed, deviations = false, signal }: LearnerOptions): Learner[] {
  const names = equivariantSources(examples)
  return [
    {
      name: 'mlp',
      candidates: learningRates.map((learningRate) => ({
        setting: { learningRate },
        async fit(training) {
          const model = await fitMlp(training, { learningRate, seed, deviations, signal })
          return { model, predict: mlpPredictor(model) }
        },
      })),
    },
    {
      name: 'equivariant',
      candidates: equivariantSettings.map((setting) => ({
        setting: { ...setting },
        async fit(training) {
          const model = fitEquivariant(training, names, setting)
          return { model, predict: (summary) => predictEquivariant(model, sharesOfSummary(summary)) }
        },
      })),
    },
  ]
}
