// A thread that fits and predicts the folds it is sent: see fold-pool.ts.
import { parentPort } from 'node:worker_threads'
import { predictFold } from './crossval.js'
import type { FoldMessage, FoldTask } from './fold-pool.js'
import { learnersFor } from './learners.js'

const say = (message: FoldMessage): void => parentPort!.postMessage(message)

parentPort!.on('message', ({ learner, examples, folds, fold, seed, deviations }: FoldTask) => {
  const chosen = learnersFor(examples, { seed, deviations }).find(({ name }) => name === learner)!
  const onFit = (): void => say({ fitted: true })
  // a rejection ends the thread: its pool hears of it
  void predictFold(chosen, examples, { folds, seed, onFit }, fold).then((shares) => say({ shares }))
})
