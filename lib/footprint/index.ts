import { whileUnchanged } from '../checkpoint/index.js'
import { localModels } from '../hub/index.js'
import { recordNotes } from '../paths/index.js'
import { footprintOf, type Footprint, type FootprintStatistics } from '../readouts/index.js'
import type { ScoreResult } from '../native/types.js'
import { checkOptions } from '../options.js'
import {
  footprintKinds,
  openSession,
  Stopwatch,
  type FootprintOptions,
  type InputRecord,
  type Session,
} from './session.js'
import { domainsOf, planOf, type FootprintPlan } from './plan.js'
import { scoreProbes } from './score.js'
import { spooled, type ScoreSpool } from './spool.js'

export type { FootprintOptions, InputRecord, Session } from './session.js'
export { domainStatistics, needsDomainGradients, plannedDomainBytes, type DepthFootprint } from './domains.js'
export { defaultScope, hasTop, type Scope } from './scope.js'
export { footprintKinds, openSession, Stopwatch } from './session.js'
export { Shared } from './shared.js'
export { npy } from './npy.js'
export { domainsOf, plannedBytes, planOf, type FootprintPlan } from './plan.js'
export { scoreProbes } from './score.js'
export { ScoreSpool, spooled, type SpoolOptions } from './spool.js'

/**
 * The session's forward passes and what follows from them, kept in a spool where one is given. What is known only then
 * joins its notes.
 */
export async function scoreSession(session: Session, spool?: ScoreSpool): Promise<ScoreResult> {
  const kept = await spool?.score(session)
  if (kept) return kept
  const scores = await scoreProbes(
    session.pathHandle,
    session.network,
    session.packed,
    session.probes.domains.length,
    session.score,
  )
  if (!session.prepared) session.notes.push(...recordNotes(session.path, scores.record))
  return scores
}

/** What the forward passes gave, in the terms of the readouts. */
export function statisticsOf(session: Session, scores: ScoreResult): FootprintStatistics {
  const { probes, packed, path, scope, survey } = session
  const classes = session.pair.reference.architecture.labels
  const classOfDomain = probes.domains.map((name) => classes.indexOf(name))
  const sameAsLabel =
    session.network.objective === 'classify' &&
    classOfDomain.every((c) => c >= 0) &&
    packed.domain.every((d, i) => classOfDomain[d] === packed.label[i])
  const points = path.lambdas.length
  const c = session.network.objective === 'language' ? 0 : classes.length
  const referenceLogits = new Float64Array(packed.label.length * c)
  for (let i = 0; i < packed.label.length; i++) {
    for (let j = 0; j < c; j++) referenceLogits[i * c + j] = scores.logits[(i * (points + 2) + points + 1) * c + j]
  }
  return {
    domains: probes.domains,
    classes,
    classOfDomain: sameAsLabel ? Int32Array.from(classOfDomain) : null,
    lambdas: Float64Array.from(path.lambdas),
    domain: packed.domain,
    label: packed.label,
    loss: scores.loss,
    alignment: scores.alignment,
    referenceLogits,
    gradients: scores.gradients,
    path: path.family,
    scope: scope.name,
    displacementNorm: Math.hypot(
      ...survey.filter(({ name }) => scope.tensors.includes(name)).map(({ deltaNorm }) => deltaNorm),
    ),
  }
}

export interface FootprintResult {
  schema: 'warp.footprint/1'
  domains: { name: string; probes: number; truncated: number }[]
  lambdas: number[]
  scope: string
  footprint: Footprint
  seed: number
  device: string
  inputs: InputRecord[]
  timings: Record<string, number>
  notes: string[]
  /** N × K, row-major, in the order of the probes; not part of the JSON document */
  alignment: Float64Array
}

/**
 * The alignment matrix of the probes and the footprint S[d, k] (WARP, section 3.2), no readout.
 * @throws WarpError, the signal's reason
 */
export async function footprint(given: FootprintOptions): Promise<FootprintResult> {
  checkOptions('footprint', given, footprintKinds, ['base', 'reference', 'probes'])
  const options = await localModels(given)
  const { base, reference, checkpoint = [] } = options
  return spooled(options.spool, () => whileUnchanged([base, reference, ...checkpoint], () => footprintOpened(options)))
}

/** Opens, checks, reads and tokenizes everything, but scores nothing. @throws as `footprint` */
export async function planFootprint(options: FootprintOptions): Promise<FootprintPlan> {
  checkOptions('planFootprint', options, footprintKinds, ['base', 'reference', 'probes'])
  const session = await openSession(await localModels(options), false)
  try {
    return planOf(session, { bytes: 0, deviceBytes: 0 })
  } finally {
    session.close()
  }
}

async function footprintOpened(options: FootprintOptions): Promise<FootprintResult> {
  const session = await openSession(options, false)
  try {
    const watch = new Stopwatch()
    session.inputs.start()
    const scores = await scoreSession(session, options.spool)
    watch.lap('score')
    const inputs = await session.inputs.finish()
    watch.lap('hash')
    return {
      schema: 'warp.footprint/1',
      domains: domainsOf(session),
      lambdas: session.path.lambdas,
      scope: session.scope.name,
      footprint: footprintOf(statisticsOf(session, scores)),
      seed: session.seed,
      device: session.device.name,
      inputs,
      timings: { ...session.timings, ...watch.timings },
      notes: session.notes,
      alignment: scores.alignment,
    }
  } finally {
    session.close()
  }
}
