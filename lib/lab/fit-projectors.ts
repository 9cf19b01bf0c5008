import type { RunOptions } from '../native/task.js'
import type { ProjectorDocument } from '../readouts/projector.js'
import { absoluteError, fitsOf, foldsFor, SELECTION_FOLDS, selectAndFit, selectionFits } from './crossval.js'
import { crossValidate } from './fold-pool.js'
import { learnersFor } from './learners.js'
import type { Trial } from './trial-record.js'
import { requireNested, trialSet } from './trial-set.js'

export interface FitOptions extends RunOptions {
  /** of the cross-validation; default 10, with fewer trials leave-one-out */
  folds?: number
  /** of parameters, batches and folds; default 42 */
  seed?: number
  /** the network also sees the standard deviations of the domains' scores; default false */
  deviations?: boolean
}

/**
 * Trains every projector on all trials that succeeded: one `mlp` and one `equivariant` for each path. Its error is that
 * of the report's row: by cross-validation on the same folds.
 * @throws TRIALS_NONE, TRIALS_DIFFER, TRIALS_FEW, the signal's reason
 */
export async function fitProjectors(all: Trial[], options: FitOptions = {}): Promise<ProjectorDocument[]> {
  const { seed = 42, deviations, signal, onProgress } = options
  const { domains, trials, paths } = trialSet(all)
  const folds = foldsFor(trials.length, options.folds)
  requireNested(trials.length, folds, SELECTION_FOLDS)
  const jobs = paths.flatMap((path) =>
    learnersFor(path.examples, { seed, deviations, signal }).map((learner) => ({ ...path, learner })),
  )
  const total = jobs.reduce(
    (sum, { learner }) => sum + fitsOf(learner, folds) + selectionFits(learner.candidates.length),
    0,
  )
  let done = 0
  const onFit = () => onProgress?.({ phase: 'fit', done: ++done, total, unit: 'fits' })
  const predicted = await crossValidate(jobs, { folds, seed, deviations, signal, onFit })
  const projectors: ProjectorDocument[] = []
  for (const [job, { learner, examples, path, lambdas, scope }] of jobs.entries()) {
    const { model, chosen } = await selectAndFit(learner, examples, { seed, signal, onFit })
    const shares = predicted[job]
    const error = examples.reduce((sum, { truth }, i) => sum + absoluteError(shares[i], truth) / examples.length, 0)
    projectors.push({
      schema: 'warp.projector/1',
      domains,
      path,
      lambdas,
      scope,
      model,
      training: { trials: trials.length, seed, chosen, folds, error },
    })
  }
  return projectors
}

/** The name of a projector's file: `mlp-linear.json`. */
export function projectorFile({ model, path }: ProjectorDocument): string {
  return `${model.kind}-${path.replace(/[^\w.-]/g, '_')}.json`
}
