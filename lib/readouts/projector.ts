import { z } from 'zod'
import { readDocument, writeDocument } from '../document.js'
import { inputError } from '../errors.js'
import { list } from '../text/place.js'
import { equivariantReader, equivariantSchema, whyNotEquivariant } from './equivariant.js'
import { mlpPredictor, mlpSchema, type MlpModel } from './mlp.js'
import { spreadOf } from './spread.js'
import type { FootprintStatistics, Predictor, Readout } from './types.js'

/** A readout trained on models of known mixtures, as `warp lab fit` saves it. */
export const projectorSchema = z
  .strictObject({
    schema: z.literal('warp.projector/1'),
    /** of the trials */
    domains: z.array(z.string()).min(2),
    path: z.string(),
    lambdas: z.array(z.number()),
    /** of the alignment matrix */
    scope: z.string(),
    model: z.discriminatedUnion('kind', [mlpSchema, equivariantSchema]),
    training: z.strictObject({
      trials: z.int().min(1),
      seed: z.int().min(0),
      /** learning rate, or form and ridge: what the folds chose */
      chosen: z.record(z.string(), z.union([z.number(), z.string()])),
      /** of the cross-validation that `error` is from: as many as there are trials leaves out one at a time */
      folds: z.int().min(2),
      /** mean absolute error on trials left out, settings chosen without them: the row of `warp lab report` */
      error: z.number().min(0),
    }),
  })
  .refine(
    ({ model, domains, lambdas }) => model.kind !== 'mlp' || wellFormed(model, domains.length, lambdas.length),
    'the sizes of the network are not those of its parameters, domains and points',
  )

export type ProjectorDocument = z.infer<typeof projectorSchema>

function wellFormed({ inputs, hidden, outputs, parameters, deviations }: MlpModel, D: number, K: number): boolean {
  return (
    outputs === D &&
    inputs === D * K * (deviations ? 2 : 1) &&
    parameters.length === hidden * (inputs + 1) + outputs * (hidden + 1)
  )
}

/** What must agree between the footprints a projector was trained on and the one it reads. */
export interface FootprintKey extends Pick<FootprintStatistics, 'domains' | 'path' | 'scope'> {
  lambdas: ArrayLike<number>
}

export interface Projector extends Readout {
  /** the footprints it reads are like these */
  trainedOn: Pick<ProjectorDocument, 'domains' | 'path' | 'lambdas' | 'scope'>
  /** trials, folds and the error on trials left out */
  training: ProjectorDocument['training']
  /** @throws PROJECTOR_MISMATCH naming what differs */
  check(footprint: FootprintKey): void
}

/** λ is written with all its digits; this allows for another way of computing the same grid. */
const SAME_POINT = 1e-9

/** The trained readout behind a saved projector. */
export function projectorReadout(document: ProjectorDocument): Projector {
  const { model, training, path, lambdas } = document
  return {
    name: model.kind,
    trainedOn: document,
    training,
    description:
      model.kind === 'mlp'
        ? 'network trained on footprints of models with known mixtures (the paper)'
        : 'weights fitted on other readouts of models with known mixtures, the same for every domain',
    settings: () => ({ path, points: lambdas.length, trials: training.trials, ...training.chosen }),
    why: (stats) => (model.kind === 'equivariant' ? whyNotEquivariant(model, stats) : null),
    prepare: (stats) =>
      model.kind === 'equivariant' ? equivariantReader(model, stats) : mlpReader(document, model, stats),
    methodError: () => training.error,
    check: (footprint) => checkFootprint(document, footprint),
  }
}

/** The network in the order of the footprint's domains. */
function mlpReader(document: ProjectorDocument, model: MlpModel, stats: FootprintStatistics): Predictor {
  const predict = mlpPredictor(model)
  const at = document.domains.map((name) => stats.domains.indexOf(name))
  return (weights) => {
    const { mean, deviation, largest } = spreadOf(stats, weights)
    const shares = predict({ mean: at.map((d) => mean[d]), deviation: at.map((d) => deviation[d]), largest })
    const ordered = new Float64Array(shares.length)
    at.forEach((d, i) => {
      ordered[d] = shares[i]
    })
    return ordered
  }
}

/** Domains and scope bind the network only: the weights of `equivariant` belong to no domain, and see no alignment. */
function checkFootprint(document: ProjectorDocument, { domains, path, lambdas, scope }: FootprintKey): void {
  const refuse = (what: string, expected: string, found: string): never => {
    throw inputError(
      'PROJECTOR_MISMATCH',
      `the projector was trained on ${what} ${expected}, the footprint has ${found}`,
      { what, expected, found },
      'leave path, points and scope out: the projector says them; or train one for this footprint',
    )
  }
  const own = [...document.domains].sort()
  if (document.model.kind === 'mlp') {
    if (own.join('\n') !== [...domains].sort().join('\n')) {
      const more = domains.filter((name) => !own.includes(name))
      const less = own.filter((name) => !domains.includes(name))
      const differs = [more.length > 0 && `${list(more)} besides`, less.length > 0 && `no ${list(less)}`]
      refuse('the domains', list(document.domains), differs.filter(Boolean).join(' and '))
    }
    if (scope !== undefined && scope !== document.scope) refuse('scope', document.scope, scope)
  }
  if (path !== undefined && path !== document.path) refuse('the path', document.path, path)
  const same =
    lambdas.length === document.lambdas.length &&
    document.lambdas.every((value, k) => Math.abs(value - lambdas[k]) <= SAME_POINT)
  if (!same) refuse('the points', gridText(document.lambdas), gridText(lambdas))
}

/**
 * Reads a projector that `saveProjector` wrote.
 * @throws PROJECTOR_UNREADABLE, PROJECTOR_NOT_JSON, PROJECTOR_VERSION, PROJECTOR_FORM, PROJECTOR_EDITED
 */
export async function loadProjector(file: string): Promise<Projector> {
  const again = 'give a file that warp lab fit of this version wrote'
  return projectorReadout(
    await readDocument(file, { prefix: 'PROJECTOR', schema: 'warp.projector/1', form: projectorSchema, again }),
  )
}

/** @throws OUTPUT_EXISTS without `force`, DISK_FULL, OUTPUT_NOT_WRITABLE */
export const saveProjector = (file: string, document: ProjectorDocument, force = false): Promise<void> =>
  writeDocument(file, document, { force })

/** Points for people: how many, and between which. */
export function gridText(lambdas: ArrayLike<number>): string {
  const short = (value: number): string => String(+value.toFixed(4))
  const [first, last] = [short(lambdas[0]), short(lambdas[lambdas.length - 1])]
  return lambdas.length === 1 ? `λ = ${first} alone` : `${lambdas.length} from λ = ${first} to ${last}`
}
