import { adapterTask } from '../checkpoint/adapter.js'
import { readConfig } from '../checkpoint/config.js'
import { checkDirectory, listDirectory } from '../checkpoint/locate.js'
import { usageError } from '../errors.js'
import type { Objective } from '../models/architecture.js'
import { objectiveOf } from '../models/families.js'

export { targetCounts, targetsOf } from './language.js'
export type { Objective } from '../models/architecture.js'

/**
 * What a model directory was made for, or is asked to be taken as: a class with a language model's head predicts
 * tokens, all others choose classes.
 * @param base of an adapter: it is for what this is, unless it says itself that it chooses classes
 * @throws WarpError (usage) OBJECTIVE_UNKNOWN; all of reading config.json
 */
export async function objectiveFor(dir: string, asked?: unknown, base = ''): Promise<Objective> {
  if (asked === 'classify' || asked === 'language') return asked
  if (asked !== undefined) {
    throw usageError(
      'OBJECTIVE_UNKNOWN',
      `there is no objective ${JSON.stringify(asked)}`,
      { found: asked, expected: ['classify', 'language'] },
      'classify or language',
    )
  }
  const task = await adapterTask(dir)
  if (task === 'SEQ_CLS') return 'classify'
  if (task !== undefined && base !== '') return objectiveFor(base)
  await checkDirectory(dir, await listDirectory(dir))
  return objectiveOf((await readConfig(dir, false)).architectureName) ?? 'classify'
}
