import { setImmediate } from 'node:timers/promises'
import { inputError, usageError } from '../errors.js'
import { blend } from './blend.js'
import { blockMatching } from './block-matching.js'
import { bootstrap, percentileIntervals } from './bootstrap.js'
import { type ClaimJudged, judgeClaim } from './claimed.js'
import { diagnose } from './diagnostics.js'
import { defaultGradients, type GradientKind } from './gradient-choice.js'
import { widened } from './intervals.js'
import { gradientMatching } from './gradient-matching.js'
import { meanProbability } from './mean-probability.js'
import { membership } from './membership.js'
import { priorShift } from './prior-shift.js'
import { projection } from './projection.js'
import type { Projector } from './projector.js'
import { recommendAmong } from './recommend.js'
import { predictorOf } from './sharing.js'
import { softmaxReadout } from './softmax.js'
import type { SoftmaxOptions } from './softmax.js'
import { stationary } from './stationary.js'
import type { BlockStatistics, Diagnostics, FootprintStatistics, MixtureResult, Predictor, Readout } from './types.js'
import { uniform } from './uniform.js'

export { footprintOf } from './footprint.js'
export type { Footprint } from './footprint.js'
export { readClaimed, type ClaimJudged } from './claimed.js'
export type { SoftmaxOptions } from './softmax.js'
export type * from './types.js'

export interface ReadMixturesOptions {
  /** names; default: all that apply */
  readouts?: string[]
  /** of the resampling */
  seed: number
  /** resamples of the probes, at least 20; default 1000 */
  bootstrap?: number
  /** nominal coverage of the intervals, in (0, 1); default 0.9 */
  level?: number
  softmax?: SoftmaxOptions
  /** trained readouts, listed after the others whatever `readouts` names */
  projectors?: Projector[]
  /** mixtures from elsewhere, such as the trace, to be listed and considered with the rest */
  extra?: MixtureResult[]
  /** a declared mixture of these domains, to be judged */
  claimed?: Record<string, number>
  signal?: AbortSignal
  /** resamples done of all */
  onProgress?: (done: number, total: number) => void
}

export interface Mixtures {
  /** the readouts in a fixed order, then `projectors`, then `extra` */
  mixtures: MixtureResult[]
  recommended: string
  /** why that one */
  reason: string
  diagnostics: Diagnostics
  /** where a mixture was declared */
  claimed?: ClaimJudged
  /** readouts that were not asked for by name and do not apply */
  skipped: { readout: string; reason: string }[]
}

/** Every readout that statistics with these gradients could have, whether it applies or not, baselines first. */
export function readoutsFor(
  stats: { gradients: GradientKind[]; blocks?: Pick<BlockStatistics, 'scope' | 'kind'>[] },
  softmax?: SoftmaxOptions,
): Readout[] {
  const standard = defaultGradients(stats.gradients)
  const others = stats.gradients.filter((gradients) => gradients !== standard)
  return [
    uniform,
    membership,
    softmaxReadout(softmax),
    meanProbability,
    stationary,
    priorShift,
    gradientMatching(),
    projection(),
    blend,
    ...(stats.blocks ?? []).map((of) => blockMatching(of)),
    ...others.flatMap(({ scope, q }) => [gradientMatching({ scope, q }), projection({ scope, q })]),
  ]
}

/** The error that was measured of a readout by this name, for D domains and C classes; 0 where nobody measured it. */
export function methodErrorOf(name: string, D: number, C: number): number {
  const gradients = (['head', 'top'] as const).flatMap((scope) => [0, 1].map((q): GradientKind => ({ scope, q })))
  const all = [
    ...readoutsFor({ gradients }),
    gradientMatching({ scope: 'top', q: 1 }),
    projection({ scope: 'top', q: 1 }),
    blockMatching({ scope: 'upper', kind: 'adam' }),
  ]
  return all.find((readout) => readout.name === name)?.methodError?.(D, C) ?? 0
}

/**
 * Checks the names of readouts and the number of resamples, before or without any statistics.
 * @throws READOUT_UNKNOWN, OPTION_RANGE
 */
export function checkReadouts(names: string[] | undefined, replicates: number, all: Readout[]): void {
  if (!Number.isInteger(replicates) || replicates < 20 || replicates > 1e6) {
    throw usageError(
      'OPTION_RANGE',
      `bootstrap must be a whole number from 20 to 1 000 000, not ${replicates}`,
      { found: replicates },
      '1000 is the default',
    )
  }
  const known = all.map(({ name }) => name)
  const unknown = names?.find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw usageError(
    'READOUT_UNKNOWN',
    `there is no readout ${JSON.stringify(unknown)}`,
    { expected: known, found: unknown },
    `one of ${known.join(', ')}`,
  )
}

/**
 * Turns the statistics of the forward passes into mixtures with intervals and a verdict.
 * @throws READOUT_UNKNOWN, READOUT_NOT_APPLICABLE for a readout asked for by name; PROJECTOR_MISMATCH; OPTION_RANGE;
 * the signal's reason.
 */
export async function readMixtures(stats: FootprintStatistics, options: ReadMixturesOptions): Promise<Mixtures> {
  const { bootstrap: replicates = 1000, level = 0.9, seed, signal, onProgress, extra = [], projectors = [] } = options
  if (!(level > 0 && level < 1)) {
    throw usageError(
      'OPTION_RANGE',
      `level must lie between 0 and 1, not ${level}`,
      { found: level },
      '0.9 is the default',
    )
  }
  signal?.throwIfAborted()
  const all = readoutsFor(stats, options.softmax)
  checkReadouts(options.readouts, replicates, all)
  for (const projector of projectors) projector.check(stats)
  const chosen = choose(stats, options.readouts, all)
  const trained = choose(
    stats,
    projectors.map(({ name }) => name),
    projectors,
  )
  const used = [...chosen.used, ...trained.used]
  const predictors: Predictor[] = []
  for (const readout of used) {
    // Two projectors may share name and settings, so they share no predictor.
    predictors.push(trained.used.includes(readout) ? readout.prepare(stats) : predictorOf(readout, stats))
    await setImmediate()
    signal?.throwIfAborted()
  }
  const resamples = await bootstrap(stats, predictors, {
    seed,
    replicates,
    signal,
    onProgress: onProgress && ((done) => onProgress(done, replicates)),
  })
  const [D, C] = [stats.domains.length, stats.classes.length]
  const sampling: [number, number][][] = []
  for (const shares of resamples) sampling.push(await percentileIntervals(shares, D, level, signal))
  const own: MixtureResult[] = []
  for (const [i, readout] of used.entries()) {
    own.push(mixtureResult(stats, readout, predictors[i], sampling[i], level, replicates))
    await setImmediate()
    signal?.throwIfAborted()
  }
  const mixtures = [...own, ...extra]
  const { recommended, reason } = recommendAmong(
    mixtures,
    projectors.map(({ name, training: { error, trials } }) => ({ name, error, trials })),
    (name) => used.find((readout) => readout.name === name)?.methodError?.(D, C) || undefined,
  )
  const at = used.findIndex(({ name }) => name === recommended)
  const spread = at < 0 ? 0 : sampling[at].reduce((sum, [low, high]) => sum + (high - low) / 2, 0) / D
  onProgress?.(replicates, replicates)
  await setImmediate()
  const diagnostics = diagnose(stats, mixtures, recommended, spread)
  const claimed =
    options.claimed &&
    (await judgeClaim(options.claimed, {
      recommended: mixtures.find(({ readout }) => readout === recommended)!,
      draws: at < 0 ? null : resamples[at],
      methodError: used[at]?.methodError?.(D, C) ?? 0,
      diagnosis: diagnostics.verdict,
      seed,
      replicates,
      signal,
    }))
  return { mixtures, recommended, reason, diagnostics, ...(claimed && { claimed }), skipped: chosen.skipped }
}

function choose(stats: FootprintStatistics, names: string[] | undefined, all: Readout[]) {
  const asked = names ? all.filter(({ name }) => names.includes(name)) : all
  const skipped = asked.flatMap((readout) => {
    const reason = readout.why(stats)
    return reason === null ? [] : [{ readout: readout.name, reason }]
  })
  if (names && skipped.length > 0) {
    const [{ readout, reason }] = skipped
    throw inputError(
      'READOUT_NOT_APPLICABLE',
      `the readout ${readout} does not apply: ${reason}`,
      { readout },
      'leave it out of the readouts',
    )
  }
  const used = asked.filter((readout) => !skipped.some(({ readout: name }) => name === readout.name))
  return { used, skipped }
}

function mixtureResult(
  stats: FootprintStatistics,
  readout: Readout,
  predict: Predictor,
  sampling: [number, number][],
  level: number,
  replicates: number,
): MixtureResult {
  const shares = predict(null)
  const own = readout.methodError?.(stats.domains.length, stats.classes.length) ?? 0
  const named = <T>(values: ArrayLike<T>) => Object.fromEntries(stats.domains.map((name, d) => [name, values[d]]))
  const resampling = `the probes drawn (${+(100 * level).toFixed(2)} %, ${replicates} resamples)`
  return {
    readout: readout.name,
    description: readout.description,
    settings: readout.settings(stats),
    mixture: named(shares),
    interval: named(sampling.map((interval, d) => widened(interval, shares[d], own))),
    level,
    intervalCovers: own > 0 ? 'sampling and method' : 'sampling',
    intervalIncludes:
      own > 0
        ? `${resampling}, and on either side ${own.toFixed(3)} for the method's mean error on experts with known ` +
          'mixtures'
        : `${resampling}; not the error of the method itself`,
  }
}
