import {
  domainsOf,
  domainStatistics,
  hasTop,
  needsDomainGradients,
  planOf,
  plannedBytes,
  openSession,
  scoreSession,
  spooled,
  statisticsOf,
  Stopwatch,
  type FootprintOptions,
  type FootprintPlan,
  type Session,
  type Shared,
  footprintKinds,
} from './footprint/index.js'
import { whileUnchanged } from './checkpoint/index.js'
import { toolOf } from './doctor.js'
import { targetCounts, targetsOf } from './objectives/language.js'
import { inputError, usageError } from './errors.js'
import { localModels } from './hub/index.js'
import { checkOptions, type Kinds } from './options.js'
import { sourceNames } from './text/index.js'
import { traceProbes } from './trace/probes.js'
import type { Projector } from './readouts/projector.js'
import type { RecoverResult } from './report/schema.js'
import { checkReadouts, footprintOf, readClaimed, readMixtures, readoutsFor } from './readouts/index.js'

export interface RecoverOptions extends FootprintOptions {
  /** names of readouts, `trace` and `votes` among them; default: all that apply but `votes` */
  readout?: string[]
  /** file of a readout that `warp lab fit` trained: path, points and scope are those it was trained on */
  projector?: string
  /** resamples of the probes for the intervals; default 1000 */
  bootstrap?: number
  /** a declared mixture to be judged: shares by domain, or a JSON file of them */
  claimed?: string | Record<string, number>
}

/** The result, and the matrix that does not go into JSON. */
export interface Recovered {
  result: RecoverResult
  /** N × K, row-major, in the order of the probes */
  alignment: Float64Array
}

/** Readouts of the token table; `votes` only where it is asked for, with `trace+votes` beside it. */
const fromTrace = ['trace', 'votes']

/** Names of the readouts asked for that read the forward passes without training. */
function ownReadouts({ readout }: RecoverOptions, projectors: Projector[]): string[] | undefined {
  return readout?.filter(
    (name) => !fromTrace.includes(name) && !projectors.some((projector) => projector.name === name),
  )
}

export const recoverKinds: Kinds<RecoverOptions> = {
  ...footprintKinds,
  readout: 'texts',
  projector: 'text',
  bootstrap: 'number',
  claimed: 'any',
}

interface Opened {
  session: Session
  projectors: Projector[]
  claimed?: Record<string, number>
}

/** The trained readout of a file, where one is named, and the options of a footprint for it to read. */
async function withProjector(options: RecoverOptions): Promise<{ asked: RecoverOptions; projectors: Projector[] }> {
  if (options.projector === undefined) return { asked: options, projectors: [] }
  const { loadProjector } = await import('./readouts/projector.js')
  const { asProjector } = await import('./footprint/as-projector.js')
  const projector = await loadProjector(options.projector)
  return { asked: asProjector(options, projector), projectors: [projector] }
}

/** A session whose readouts are known to be there, and to fit, before any scoring. */
export async function openChecked(options: RecoverOptions, shared?: Shared): Promise<Opened> {
  const { asked, projectors } = await withProjector(options)
  const session = await openSession(asked, true, shared)
  const scopes = hasTop(session.network) ? (['head', 'top'] as const) : (['head'] as const)
  const gradients = scopes.flatMap((scope) => [
    { scope, q: 0 },
    { scope, q: 1 },
  ])
  try {
    if (options.readout?.length === 0)
      throw usageError('READOUT_UNKNOWN', 'no readout is named', {}, 'leave it out for all that apply')
    const blocks = needsDomainGradients(session)
      ? (['plain', 'adam'] as const).map((kind) => ({ scope: session.scope.name, kind }))
      : []
    checkReadouts(ownReadouts(options, projectors), options.bootstrap ?? 1000, readoutsFor({ gradients, blocks }))
    const {
      probes: { domains },
      path: { family, lambdas },
      scope: { name: scope },
    } = session
    for (const projector of projectors) projector.check({ domains, path: family, lambdas, scope })
    const claimed = options.claimed === undefined ? undefined : await readClaimed(options.claimed, domains)
    return { session, projectors, claimed }
  } catch (error) {
    session.close()
    throw error
  }
}

/** Opens, checks, reads and tokenizes everything, but scores nothing. @throws as `recover` */
export async function planRecover(options: RecoverOptions): Promise<FootprintPlan> {
  checkOptions('planRecover', options, recoverKinds, ['base', 'reference', 'probes'])
  const { session } = await openChecked(await localModels(options))
  try {
    return planOf(session)
  } finally {
    session.close()
  }
}

/**
 * Recovers the mixture of domains that `reference` was fine-tuned on from `base`: the footprint of the probes along
 * the path between the two models, and every readout of it (method, sections 2 to 7).
 * @throws WarpError (bad input, FILE_CHANGED among it; resources), the signal's reason
 */
export async function recover(given: RecoverOptions): Promise<Recovered> {
  checkOptions('recover', given, recoverKinds, ['base', 'reference', 'probes'])
  const options = await localModels(given)
  const { base, reference, checkpoint = [] } = options
  return spooled(options.spool, () =>
    whileUnchanged([base, reference, ...checkpoint], async () =>
      recoverOpened(await openChecked(options), options, commandOf(given)),
    ),
  )
}

/** @param command what the result says was asked for */
export async function recoverOpened(
  { session, projectors, claimed }: Opened,
  options: RecoverOptions,
  command: Record<string, unknown>,
): Promise<Recovered> {
  try {
    const planned = plannedBytes(session)
    const watch = new Stopwatch()
    const { onProgress, threads } = options
    const { signal } = session.inputs
    const { seed, maxLength, survey, tokenizer, packed } = session
    const votes = options.readout?.includes('votes') ?? false
    const tracing = { signal, onProgress, threads, tokenizer: options.tokenizer, seed, maxLength, votes }
    const known = { survey, tokenizer, packed }
    const traced = await traceProbes(options.base, options.reference, session.probes, tracing, known)
    watch.lap('trace')
    const asked = options.readout?.includes('trace')
    if (asked && !traced.mixture) throw inapplicable('trace', traced.summary.reason)
    if (votes && typeof traced.votes === 'string') throw inapplicable('votes', traced.votes)
    session.inputs.start() // not beside the trace, whose own work is on the same thread
    const scores = await scoreSession(session, options.spool)
    watch.lap('score')
    const domains = needsDomainGradients(session) ? await domainStatistics(session) : undefined
    if (domains) watch.lap('gradients')
    const stats = { ...statisticsOf(session, scores), blocks: domains?.blocks }
    const read = await readMixtures(stats, {
      readouts: ownReadouts(options, projectors),
      projectors,
      seed: session.seed,
      bootstrap: options.bootstrap,
      signal,
      extra: [
        ...(traced.mixture && asked !== false ? [traced.mixture] : []),
        ...(typeof traced.votes === 'string' ? [] : traced.votes),
      ],
      claimed,
      onProgress: onProgress && ((done, total) => onProgress({ phase: 'resample', done, total, unit: 'resamples' })),
    })
    watch.lap('read')
    const inputs = await session.inputs.finish()
    watch.lap('hash')
    const { mean, standardError, loss } = footprintOf(stats)
    const best = read.mixtures.find(({ readout }) => readout === read.recommended)!
    const result: RecoverResult = {
      schema: 'warp.recover/1',
      tool: toolOf(session.device),
      command,
      seed: session.seed,
      timings: { ...session.timings, ...watch.timings },
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
      plannedMemoryBytes: planned,
      flops: session.plan.flops,
      inputs,
      domains: domainsOf(session),
      path: session.path.family,
      lambdas: session.path.lambdas,
      scope: session.scope.name,
      footprint: { mean, standardError },
      ...(domains && { depth: domains.depth }),
      loss,
      mixtures: read.mixtures,
      recommended: {
        readout: read.recommended,
        reason: read.reason,
        mixture: best.mixture,
        interval: best.interval,
        ...(session.network.objective === 'language' && { mixtureByTokens: byTokens(best.mixture, session) }),
      },
      ...(read.claimed && { claimed: read.claimed }),
      skipped: read.skipped,
      trace: traced.summary,
      diagnostics: read.diagnostics,
      notes: [...session.notes, ...without(traced.notes, session.notes).map((note) => `trace: ${note}`)],
    }
    return { result, alignment: scores.alignment }
  } finally {
    session.close()
  }
}

/** What was not said yet. */
const without = (notes: readonly string[], said: readonly string[]): string[] =>
  notes.filter((note) => !said.includes(note))

const inapplicable = (readout: string, reason: string): Error =>
  inputError(
    'READOUT_NOT_APPLICABLE',
    `the readout ${readout} does not apply: ${reason}`,
    { readout },
    'leave it out of the readouts',
  )

/** Shares of texts as shares of tokens that were learned, by the mean number of targets of each domain's probes. */
function byTokens(mixture: Record<string, number>, { probes, packed }: Session): Record<string, number> {
  const counts = targetCounts(targetsOf(packed), packed.offsets)
  const mean = probes.domains.map(() => 0)
  probes.domain.forEach((d, i) => (mean[d] += counts[i] / probes.counts[d]))
  const weights = probes.domains.map((name, d) => mixture[name] * mean[d])
  const sum = weights.reduce((a, b) => a + b, 0)
  return Object.fromEntries(probes.domains.map((name, d) => [name, sum > 0 ? weights[d] / sum : mixture[name]]))
}

/** The options as given, less what JSON cannot hold. */
export function commandOf(options: Partial<RecoverOptions>): Record<string, unknown> {
  const { signal: _signal, onProgress: _onProgress, spool: _spool, ...plain } = options
  return { ...plain, ...(options.probes !== undefined && { probes: sourceNames(options.probes) }) }
}
