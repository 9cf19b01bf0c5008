import type { Members } from '../native/types.js'
import type { TextRecord } from '../text/index.js'
import type { Calibrated } from './calibrate.js'
import type { Predictions } from './predictions.js'
import type { Targets } from './targets.js'
import type { TextPool } from './texts.js'
import type { Votes } from './votes.js'

/** What the texts have given. */
export interface Found {
  pool: TextPool
  calibrated: Calibrated
  members: Members
  /** tokens of a text that counted */
  length: number | undefined
  /** of the output layer's rows, where they are a second witness; the reason where they tell nothing */
  targets?: Targets | string
  /** members' probabilities by the table alone, where `members` has those of more */
  byTable?: Float64Array
  predictions?: Predictions
  /** where they were asked for; the reason where they do not apply */
  votes?: Votes | string
}

/** Places of the survivors among the possible texts: all of them are, and both are in the order of the pool. */
export function survivingAt({ possibleAt }: TextPool, { survivors }: Members): number[] {
  let at = 0
  return Array.from(survivors, (text) => {
    while (possibleAt[at] < text) at++
    return at
  })
}

/** The survivors' records. */
export const survivingRecords = (pool: TextPool, members: Members): TextRecord[] =>
  survivingAt(pool, members).map((at) => pool.possible[at])
