import { inputError, usageError } from '../errors.js'
import type { PathRequest } from '../native/types.js'

export interface GridOptions {
  /** number of points, default 15 */
  points?: number
  /** default 0.05 */
  lambdaMin?: number
  /** default 0.95 */
  lambdaMax?: number
  /** the points themselves, instead of the three above */
  lambdas?: readonly number[]
  /** linear: points before the base and beyond the reference are meant; default false */
  beyond?: boolean
}

/**
 * The families of pseudo-checkpoints (WARP, section 3.1), with δ = reference − base per tensor:
 * - `linear` θ₀ + λδ; `quadratic` θ₀ + (cλ² + (1 − c)λ)δ; `slerp` on the arc between the two tensors. λ = 0 is the
 *   base, λ = 1 the reference, byte for byte.
 * - `ties` keeps the ⌊density · n⌋ largest |δ|; `breadcrumbs` drops the ⌊gamma · n⌋ largest and of the rest the
 *   smallest until ⌊density · n⌋ remain; `dare` keeps each entry with probability density, `della` with density ±
 *   epsilon by its rank in its row. θ₀ + λ · what is kept: λ = 0 is the base, λ = 1 not the reference (unless density
 *   is 1).
 * - `nearswap` moves every entry by at most λ · max |δ|: λ = 0 is the base, λ = 1 the reference.
 * - `trajectory` takes real checkpoints, in order, as its points.
 */
export const pathFamilies = [
  'linear',
  'quadratic',
  'slerp',
  'ties',
  'dare',
  'della',
  'breadcrumbs',
  'nearswap',
  'trajectory',
] as const
export type PathFamily = (typeof pathFamilies)[number]
export const rescales = ['inverse-density', 'l1', 'none'] as const

export interface PathOptions extends GridOptions {
  /** default `linear` */
  path?: string
  /** quadratic: c, in [−1, 1], default 0.3 */
  quadraticC?: number
  /** ties, dare, della, breadcrumbs: the share that is kept, in (0, 1], default 0.9 */
  density?: number
  /** della: half the width of the keep probabilities, default as near to 0.1 as density allows */
  epsilon?: number
  /** breadcrumbs: the share of the largest that is dropped, in [0, 1), default 0.01 */
  gamma?: number
  /** dare, della: what multiplies the kept entries: 1/density (default), ‖δ‖₁/‖kept‖₁, or nothing */
  rescale?: string
  /** dare, della: seed of the masks, default 0 */
  seed?: number
  /** slerp: `mergekit` takes a zero vector as orthogonal to everything, where the default interpolates linearly */
  compat?: string
  /** trajectory: model directories, in order */
  checkpoint?: readonly string[]
  /** globs of tensor names: only these move, the others stay at the base */
  only?: readonly string[]
  /** globs of tensor names that stay at the base */
  except?: readonly string[]
}

const used: Partial<Record<keyof PathOptions, readonly PathFamily[]>> = {
  quadraticC: ['quadratic'],
  density: ['ties', 'dare', 'della', 'breadcrumbs'],
  epsilon: ['della'],
  gamma: ['breadcrumbs'],
  rescale: ['dare', 'della'],
  compat: ['slerp'],
  checkpoint: ['trajectory'],
}
const grid = ['points', 'lambdaMin', 'lambdaMax', 'lambdas'] as const

/**
 * The points of a path in rising order: `lambdas`, or `points` from `lambdaMin` to `lambdaMax`, evenly (WARP, section
 * 3.1).
 * @throws WarpError (input) LAMBDA_RANGE, LAMBDA_DUPLICATE; (usage) POINTS_RANGE, LAMBDA_CONFLICT
 */
export function lambdaGrid(options: GridOptions): number[] {
  const { points = 15, lambdaMin = 0.05, lambdaMax = 0.95, lambdas, beyond = false } = options
  const beside = grid.find((name) => name !== 'lambdas' && options[name] !== undefined)
  if (lambdas && beside) {
    throw usageError(
      'LAMBDA_CONFLICT',
      `lambdas and ${beside} are both given`,
      {},
      'Give the points themselves, or their number and range.',
    )
  }
  if (!lambdas && !(Number.isInteger(points) && points >= 1 && points <= 1000)) {
    throw usageError(
      'POINTS_RANGE',
      `points must be a whole number from 1 to 1000, not ${points}`,
      { found: points },
      'Leave it out for 15.',
    )
  }
  if (!lambdas && points > 1 && !(lambdaMin < lambdaMax)) {
    throw inputError(
      'LAMBDA_RANGE',
      `lambda-min must lie below lambda-max, not ${lambdaMin} and ${lambdaMax}`,
      { found: [lambdaMin, lambdaMax] },
      'Exchange the two.',
    )
  }
  const all =
    lambdas ??
    Array.from({ length: points }, (_, k) =>
      points === 1 ? (lambdaMin + lambdaMax) / 2 : lambdaMin + ((lambdaMax - lambdaMin) * k) / (points - 1),
    )
  if (all.length === 0 || all.length > 1000)
    throw usageError(
      'POINTS_RANGE',
      `a path has from 1 to 1000 lambdas, not ${all.length}`,
      { found: all.length },
      'Give from 1 to 1000.',
    )
  for (const lambda of all) {
    if (!(lambda >= 0 && lambda <= 1) && !(beyond && Number.isFinite(lambda)))
      throw inputError(
        'LAMBDA_RANGE',
        `lambda must lie in [0, 1], not ${lambda}`,
        { found: lambda, expected: [0, 1] },
        'Give points between the base, 0, and the reference, 1.',
      )
  }
  const twice = all.find((lambda, i) => all.indexOf(lambda) !== i)
  if (twice !== undefined)
    throw inputError('LAMBDA_DUPLICATE', `lambda ${twice} is given twice`, { found: twice }, 'Give each point once.')
  return [...all].sort((a, b) => a - b)
}

function oneOf<T extends string>(value: string, names: readonly T[], code: string, what: string): T {
  if ((names as readonly string[]).includes(value)) return value as T
  throw usageError(
    code,
    `there is no ${what} ${JSON.stringify(value)}`,
    { found: value, expected: [...names] },
    `One of ${names.join(', ')}.`,
  )
}

function inside(value: number, fits: boolean, code: string, what: string, expected: string): number {
  if (fits) return value
  throw inputError(
    code,
    `${what} must lie in ${expected}, not ${value}`,
    { found: value, expected },
    'Leave it out for the default.',
  )
}

/** Where an option is given that the family does not have: it would be ignored. */
function refuseUnused(options: PathOptions, family: PathFamily): void {
  for (const [name, families] of Object.entries(used)) {
    if (options[name as keyof PathOptions] === undefined || families.includes(family)) continue
    throw usageError(
      'PATH_OPTION_UNUSED',
      `the path ${family} has no option ${name}`,
      { found: name },
      `It belongs to ${families.join(', ')}.`,
    )
  }
  const point = grid.find((name) => options[name] !== undefined)
  if (family === 'trajectory' && point) {
    throw usageError(
      'PATH_OPTION_UNUSED',
      `the points of a trajectory are its checkpoints: ${point} means nothing`,
      {
        found: point,
      },
      'leave it out',
    )
  }
}

/**
 * What native code is asked for, all values checked; without what needs the models' tensors (`only`, `except`, open
 * checkpoints), which `openPath` adds.
 * @throws WarpError (input) PATH_DENSITY_RANGE, PATH_EPSILON_RANGE, PATH_GAMMA_RANGE, PATH_QUADRATIC_RANGE,
 *   PATH_SEED_RANGE; (usage) PATH_UNKNOWN, PATH_OPTION_UNUSED, PATH_RESCALE_UNKNOWN, PATH_COMPAT_UNKNOWN,
 *   PATH_CHECKPOINTS_MISSING; and all of `lambdaGrid`
 */
export function parsePathOptions(options: PathOptions): PathRequest {
  const family = oneOf(options.path ?? 'linear', pathFamilies, 'PATH_UNKNOWN', 'path')
  refuseUnused(options, family)
  if (family === 'trajectory') {
    const count = options.checkpoint?.length ?? 0
    if (count === 0)
      throw usageError(
        'PATH_CHECKPOINTS_MISSING',
        'a trajectory needs its checkpoints',
        {},
        '--checkpoint DIR…, in order',
      )
    return { family, lambdas: Array.from({ length: count }, (_, k) => (k + 1) / (count + 1)) }
  }
  const request: PathRequest = {
    family,
    lambdas: lambdaGrid({ ...options, beyond: options.beyond && family === 'linear' }),
  }
  if (family === 'quadratic') {
    const c = options.quadraticC ?? 0.3
    request.quadraticC = inside(c, c >= -1 && c <= 1, 'PATH_QUADRATIC_RANGE', 'quadratic-c', '[-1, 1]')
  }
  if (used.density!.includes(family)) {
    const density = options.density ?? 0.9
    request.density = inside(density, density > 0 && density <= 1, 'PATH_DENSITY_RANGE', 'density', '(0, 1]')
  }
  if (family === 'della') request.epsilon = parseEpsilon(options.epsilon, request.density!)
  if (family === 'breadcrumbs') {
    const gamma = options.gamma ?? 0.01
    request.gamma = inside(gamma, gamma >= 0 && gamma < 1, 'PATH_GAMMA_RANGE', 'gamma', '[0, 1)')
  }
  if (used.rescale!.includes(family)) {
    request.rescale = oneOf(options.rescale ?? 'inverse-density', rescales, 'PATH_RESCALE_UNKNOWN', 'rescale')
    const seed = options.seed ?? 0
    request.seed = inside(
      seed,
      Number.isSafeInteger(seed) && seed >= 0,
      'PATH_SEED_RANGE',
      'seed',
      'the whole numbers from 0 to 2^53 - 1',
    )
  }
  if (options.compat !== undefined) {
    request.mergekit = oneOf(options.compat, ['mergekit', 'none'], 'PATH_COMPAT_UNKNOWN', 'compat') === 'mergekit'
  }
  return request
}

/** 0 < ρ − ε and ρ + ε ≤ 1, but for the rounding of the sum. */
function parseEpsilon(given: number | undefined, density: number): number {
  const epsilon = given ?? Math.min(0.1, density / 2, 1 - density)
  if (epsilon >= 0 && epsilon < density && density + epsilon <= 1 + 1e-12) return epsilon
  throw inputError(
    'PATH_EPSILON_RANGE',
    `epsilon ${epsilon} breaks 0 < density - epsilon and density + epsilon <= 1, density being ${density}`,
    { found: epsilon, expected: [0, Math.min(density, 1 - density)] },
    'Give a smaller --epsilon.',
  )
}

/** Whether a name matches any of some globs; `*` stands for anything. */
export function matcher(globs: readonly string[]): (name: string) => boolean {
  const patterns = globs.map(
    (glob) =>
      new RegExp(
        `^${glob
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')}$`,
      ),
  )
  return (name) => patterns.some((pattern) => pattern.test(name))
}

/**
 * The tensors that `only` and `except` leave at the base, of `names`; `*` stands for any characters, `?` for one.
 * @throws WarpError (input) FILTER_MATCHES_NOTHING where a glob matches no tensor, FILTER_LEAVES_NOTHING where none
 *   would move
 */
export function fixedTensors(
  names: readonly string[],
  { only, except }: Pick<PathOptions, 'only' | 'except'>,
): string[] {
  for (const glob of [...(only ?? []), ...(except ?? [])]) {
    if (names.some(matcher([glob]))) continue
    throw inputError(
      'FILTER_MATCHES_NOTHING',
      `no tensor matches ${glob}`,
      { found: glob, expected: names.slice(0, 20) },
      'warp inspect DIR lists the tensors.',
    )
  }
  const moves = only ? matcher(only) : () => true
  const stays = matcher(except ?? [])
  const fixed = names.filter((name) => !moves(name) || stays(name))
  if (fixed.length === names.length)
    throw inputError(
      'FILTER_LEAVES_NOTHING',
      'only and except together leave no tensor that moves',
      {
        found: { only, except },
      },
      'loosen one of them',
    )
  return fixed
}
