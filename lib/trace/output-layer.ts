// The output layer of an untied language model: every row of it moves at every step, and targets stand out.
import { isOutput, type ModelDirectory } from '../checkpoint/index.js'
import type { Layout } from './objective.js'
import type { RowJudgement } from './rows.js'

/** Which table a model tells its targets by. */
export interface OutputLayer {
  /** of the same shape in both models; null where there is none that could tell anything */
  table: string | null
  /** why there is none; '' where there is one */
  reason: string
}

/** @param frozen tensors that did not move */
export function outputLayerOf(
  base: ModelDirectory,
  { tensors, tie, family, inputEmbedding }: ModelDirectory,
  { objective }: Layout,
  frozen: readonly string[],
): OutputLayer {
  const none = (reason: string): OutputLayer => ({ table: null, reason })
  if (objective === 'classify') return none('the output layer of a classifier has no row for a token')
  if (tie) return none('the output layer is the input table')
  if (objective === 'masked') return none('of a masked language model few tokens are targets')
  const shape = tensors.get(inputEmbedding)!.shape.join()
  const table = [...tensors.values()].find(
    ({ name, shape: own }) => name !== inputEmbedding && own.join() === shape && isOutput(name, family),
  )
  if (!table) return none('no output layer of the shape of the input table is known')
  if (base.tensors.get(table.name)?.shape.join() !== shape) return none(`the base has no ${table.name} of its shape`)
  if (frozen.includes(table.name)) return none(`${table.name} did not move: it was frozen in training`)
  return { table: table.name, reason: '' }
}

/** Which table is graded where no state of any token is certain: null where none can be. */
export function gradableOf(
  { verdict, cause }: RowJudgement,
  sameRows: boolean,
  tied: boolean,
  output: OutputLayer,
): 'input' | 'output' | null {
  if (!sameRows || verdict !== 'none') return null
  if (tied) return cause === 'every-row' ? 'input' : null
  return output.table === null ? null : 'output'
}
