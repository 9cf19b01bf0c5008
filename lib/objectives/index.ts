import { readConfig } from '../checkpoint/config.js'
import { usageError } from '../errors.js'
import type { Objective } from '../models/architecture.js'
import { objectiveOf } from '../models/families.js'

export { targetCounts, targetsOf } from './language.js'
export type { Objective } from '../models/architecture.js'

/**
 * What a model directory was made for, or is asked to be taken as: a class with a language model's head predicts
 * tokens, all others choose classes.
 * @throws WarpError (usage) OBJECTIVE_UNKNOWN; all of reading config.json
 */
export async function objectiveFor(dir: string, asked?: unknown): Promise<Objective> {
  if (asked === 'classify' || asked === 'language') return asked
  if (asked !== undefined) {
    throw usageError(
      'OBJECTIVE_UNKNOWN',
      `there is no objective ${JSON.stringify(asked)}`,
      { found: asked, expected: ['classify', 'language'] },
      'classify or language',
    )
  }
  const config = await readConfig(dir, false).catch((error: { code?: string }) => {
    if (error.code === 'FILE_NOT_FOUND') return undefined // whoever opens the model says what is missing
    throw error
  })
  return (config && objectiveOf(config.architectureName)) ?? 'classify'
}
