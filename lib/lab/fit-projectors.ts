import type { RunOptions } from '../native/task.js'
import type { ProjectorDocument } from '../readouts/projector.js'
import { SELECTION_FOLDS, selectAndFit, selectionFits } from './crossval.js'
import { learnersFor } from './learners.js'
import type { Trial } from './trial-record.js'
import { requireTrials, trialSet } from './trial-set.js'

export interface FitOptions extends RunOptions {
  /** of parameters, batches and folds; default 42 */
  seed?: number
  /** the network also sees the standard deviations of the domains' scores; default false */
  deviations?: boolean
}

/**
 * Trains every projector on all trials that succeeded: one `mlp` and one `equivariant` for each path.
 * @throws TRIALS_NONE, TRIALS_DIFFER, TRIALS_FEW, the signal's reason
 */
export async function fitProjectors(all: Trial[], options: FitOptions = {}): Promise<ProjectorDocument[]> {
  const { seed = 42, deviations, signal, onProgress } = options
  const { domains, trials, paths } = trialSet(all)
  requireTrials(trials.length, SELECTION_FOLDS)
  const jobs = paths.flatMap((path) =>
    learnersFor(path.examples, { seed, deviations, signal }).map((learner) => ({ ...path, learner })),
  )
  const total = jobs.reduce((sum, { learner }) => sum + selectionFits(learner.candidates.length), 0)
  let done = 0
  const onFit = () => onProgress?.({ phase: 'fit', done: ++done, total, unit: 'fits' })
  const projectors: ProjectorDocument[] = []
  for (const { learner, examples, path, lambdas, scope } of jobs) {
    const { model, chosen, error } = await selectAndFit(learner, examples, { seed, signal, onFit })
    projectors.push({
      schema: 'warp.projector/1',
      domains,
      path,
      lambdas,
      scope,
      model,
      training: { trials: trials.length, seed, chosen, error },
    })
  }
  return projectors
}

/** The name of a projector's file: `mlp-linear.json`. */
export function projectorFile({ model, path }: ProjectorDocument): string {
  return `${model.kind}-${path.replace(/[^\w.-]/g, '_')}.json`
}
