import os from 'node:os'
import type { TokenizerChoice } from '../checkpoint/index.js'
import type { RunOptions } from '../native/task.js'

/** What the long calls of the trace take. */
export interface TraceRun extends RunOptions {
  /** default: all */
  threads?: number
  /** name of the input embedding table, where it cannot be told */
  embedding?: string
  /** whose tokenizer reads the texts; default: the reference's, else the base's. Asked for, others may differ. */
  tokenizer?: TokenizerChoice
}

export const threadsOf = ({ threads }: TraceRun): number => threads ?? os.availableParallelism()
