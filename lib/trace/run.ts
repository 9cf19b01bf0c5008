import os from 'node:os'
import type { RunOptions } from '../native/task.js'

/** What the long calls of the trace take. */
export interface TraceRun extends RunOptions {
  /** default: all */
  threads?: number
  /** name of the input embedding table, where it cannot be told */
  embedding?: string
}

export const threadsOf = ({ threads }: TraceRun): number => threads ?? os.availableParallelism()
