import { usageError } from '../errors.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { FeatureSource } from './features/index.js'
import type { Documents } from './strategies.js'
import type { FeatureKind, Strategy } from './types.js'

/** Strategies that do not look at gradients. */
const withoutGradients = new Set<Strategy | undefined>(['loss-min', 'loss-max', 'random'])

/**
 * The exponent q that gradients are preconditioned by, 0 where they are not.
 * @throws WarpError (usage) PRECONDITION_RANGE; PRECONDITION_UNSUPPORTED where gradients are not held as factors, or
 *   the strategy does not go by them
 */
export function preconditionOf(
  q: number | undefined,
  kind: FeatureKind,
  strategy: Strategy | undefined,
  { objective }: Pick<FeatureSource['network'], 'objective'>,
): number {
  if (q === undefined || q === 0) return 0
  if (!(q > 0 && q <= 1)) {
    const details = { found: q, expected: [0, 1] }
    throw usageError('PRECONDITION_RANGE', `a preconditioner q of ${q}`, details, 'from 0 (none) to 1 (as Adam)')
  }
  const refuse = (why: string, hint: string): Error =>
    usageError('PRECONDITION_UNSUPPORTED', `gradients cannot be preconditioned: ${why}`, { found: q }, hint)
  if (objective === 'language')
    throw refuse('those of a language model are sketches or none, not factors', 'leave --precondition out')
  if (kind !== 'head' && kind !== 'top')
    throw refuse(`features ${kind} do not hold them as factors`, '--features head, or top')
  if (withoutGradients.has(strategy))
    throw refuse(`strategy ${strategy} does not go by them`, '--strategy greedy, or leave --precondition out')
  return q
}

/**
 * Documents whose gradients are divided, number by number, by the q-th power of their root mean squares over those
 * that may be chosen, as Adam's steps are (q = 1). The direction stays what it was. A second moment of rank one,
 * E[e²] E[h²] for E[(e h)²] (Adafactor, arXiv 1804.04235), keeps the factors e ⊗ [h; 1].
 * @param q see `preconditionOf`; 0 leaves everything as it is
 */
export async function precondition(
  documents: Documents,
  q: number,
  kind: FeatureKind,
  { path, network, atBase, threads }: Pick<FeatureSource, 'path' | 'network' | 'atBase' | 'threads'>,
  run: RunOptions,
): Promise<Documents> {
  if (q === 0) return documents
  const candidates = await documents.candidates()
  const scope = kind === 'top' ? 'top' : 'head'
  const request = { path, network, scope, atBase, threads, q, allowed: documents.allowed } as const
  const numbers = await runTask(
    (report) => addon().preconditionFactored(candidates, request, report),
    'precondition',
    'documents',
    run,
  )
  return { ...documents, ...numbers }
}
