import { usageError } from '../errors.js'
import { lambdaGrid } from '../paths/index.js'
import type { Projector } from '../readouts/projector.js'
import { gridText } from '../readouts/projector.js'
import type { FootprintOptions } from './session.js'

type Chosen = Pick<FootprintOptions, 'path' | 'points' | 'lambdaMin' | 'lambdaMax' | 'lambdas' | 'scope'>

const pointNames = ['points', 'lambdas', 'lambdaMin', 'lambdaMax'] as const
const flags = { points: '--points', lambdas: '--lambdas', lambdaMin: '--lambda-min', lambdaMax: '--lambda-max' }
const samePoint = 1e-9

/**
 * The options of a footprint for a projector to read: path, points and scope are those it was trained on.
 * @throws WarpError (usage) PROJECTOR_OPTION, naming the option that asks for something else
 */
export function asProjector<T extends Chosen>(options: T, { name, trainedOn }: Projector): T {
  const { path, lambdas, scope } = trainedOn
  const refuse = (option: string, expected: string, found: string): never => {
    throw usageError(
      'PROJECTOR_OPTION',
      `${option} asks for ${found}; the projector was trained on ${expected}`,
      { option, expected, found },
      `leave ${option} out: the projector says it`,
    )
  }
  if (options.path !== undefined && options.path !== path) refuse('--path', path, options.path)
  // the weights of `equivariant` see no alignment
  if (options.scope !== undefined && options.scope !== scope && name === 'mlp') refuse('--scope', scope, options.scope)
  const given = pointNames.filter((name) => options[name] !== undefined)
  if (given.length > 0) {
    const asked = lambdaGrid(options)
    const same = asked.length === lambdas.length && asked.every((value, k) => Math.abs(value - lambdas[k]) <= samePoint)
    if (!same) refuse(given.map((name) => flags[name]).join(' and '), gridText(lambdas), gridText(asked))
  }
  // a trajectory's points are its checkpoints
  const points = given.length > 0 || path === 'trajectory' ? {} : { lambdas }
  return { ...options, path, scope: options.scope ?? scope, ...points }
}
