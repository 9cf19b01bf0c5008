import { join } from 'node:path'
import type { ScoreSpool } from '../lib/footprint/spool.js'
import type { CommandRun } from './frame.js'

/** Scores of a run that may be stopped, kept in its output folder; who stops it is told that it goes on. */
export async function spoolIn(
  output: string | undefined,
  { signal, note }: Pick<CommandRun, 'signal' | 'note'>,
): Promise<ScoreSpool | undefined> {
  if (output === undefined) return undefined
  const { ScoreSpool } = await import('../lib/footprint/spool.js')
  const folder = join(output, 'scored')
  const spool = new ScoreSpool({ folder, onNote: note })
  const told = (): void => {
    if (spool.kept > 0)
      note(`stopping; ${spool.kept} texts are scored (${folder}): the same command goes on from there`)
  }
  signal.addEventListener('abort', told, { once: true })
  return spool
}
