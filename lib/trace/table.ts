import { setImmediate as nextTurn } from 'node:timers/promises'
import { inputError } from '../errors.js'
import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { nonFinite, pilotDecay, stride, type Dtypes, type FoundNoise } from './noise.js'
import { judging, type RowJudgement } from './rows.js'
import { threadsOf, type TraceRun } from './trace-run.js'

export interface TableRequest {
  base: Handle
  reference: Handle
  /** of the tensor in both models */
  name: string
  rows: number
  columns: number
  dtypes: Dtypes
  /** rows of the reference that are compared, with the base's row for each; absent: all, row by row */
  pairs?: { rows: Uint32Array; baseRows: Uint32Array }
  /** decay and noise of another table of the same training */
  known?: { decay: number; noise: FoundNoise }
}

const none = new Uint32Array(0)
/** Rows read beforehand, to know the decay roughly. */
const pilotRows = 1024

/** Judges the rows of one table: both tables are read once, and a few rows twice. @throws WarpError NOT_FINITE */
export async function judgeTable(request: TableRequest, options: TraceRun = {}): Promise<RowJudgement> {
  const { base, reference, name, columns, dtypes, pairs, known } = request
  const count = pairs?.rows.length ?? request.rows
  const sums = async (
    alpha: number,
    rows: Uint32Array,
    baseRows: Uint32Array,
    run: TraceRun,
  ): Promise<Float64Array> => {
    const found = await runTask(
      (onProgress) =>
        addon().rowSums(
          base,
          reference,
          { base: name, reference: name, rows, baseRows, alpha, threads: threadsOf(run) },
          onProgress,
        ),
      'tables',
      'rows',
      run,
    )
    refuseNonFinite(found, name, rows, baseRows)
    return found
  }
  let alpha = known?.decay ?? 0
  if (!known) {
    const sample = Uint32Array.from({ length: Math.min(count, pilotRows) }, (_, i) =>
      Math.floor((i * count) / Math.min(count, pilotRows)),
    )
    const chosen = sample.map((i) => pairs?.rows[i] ?? i),
      partners = sample.map((i) => pairs?.baseRows[i] ?? i)
    alpha = pilotDecay(await sums(0, chosen, partners, { ...options, onProgress: undefined }))
  }
  const steps = judging(
    await sums(alpha, pairs?.rows ?? none, pairs?.baseRows ?? none, options),
    columns,
    alpha,
    dtypes,
    known,
  )
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    await nextTurn()
    options.signal?.throwIfAborted()
  }
}

function refuseNonFinite(sums: Float64Array, name: string, rows: Uint32Array, baseRows: Uint32Array): void {
  for (let v = 0; v < sums.length / stride; v++) {
    const side = sums[v * stride + nonFinite]
    if (side === 0) continue
    const row = side === 1 ? (baseRows[v] ?? rows[v] ?? v) : (rows[v] ?? v)
    throw inputError(
      'NOT_FINITE',
      `row ${row} of ${name} in the ${side === 1 ? 'base' : 'reference'} holds a NaN or an infinity`,
      { tensor: name, row, side: side === 1 ? 'base' : 'reference' },
      'The checkpoint is damaged, or the training diverged; use an earlier one.',
    )
  }
}
