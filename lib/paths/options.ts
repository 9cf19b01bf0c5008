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
  lambdas?: number[]
}

export interface PathOptions extends GridOptions {
  /** default `linear` */
  path?: string
  quadraticC?: number
}

export const pathFamilies = ['linear', 'quadratic'] as const

/** The points of a path: `lambdas`, or `points` from `lambdaMin` to `lambdaMax`, evenly (WARP, section 3.1). */
export function lambdaGrid({ points = 15, lambdaMin = 0.05, lambdaMax = 0.95, lambdas }: GridOptions): number[] {
  if (!lambdas && !(Number.isInteger(points) && points >= 1)) throw usageError('POINTS_RANGE', `points must be a whole number of at least 1, not ${points}`)
  const grid = lambdas ?? Array.from({ length: points },
    (_, k) => points === 1 ? (lambdaMin + lambdaMax) / 2 : lambdaMin + (lambdaMax - lambdaMin) * k / (points - 1))
  if (grid.length === 0) throw usageError('LAMBDA_RANGE', 'a path needs at least one lambda')
  for (const lambda of grid) {
    if (!(lambda >= 0 && lambda <= 1)) throw inputError('LAMBDA_RANGE', `lambda must lie in [0, 1], not ${lambda}`, { found: lambda })
  }
  const twice = grid.find((lambda, i) => grid.indexOf(lambda) !== i)
  if (twice !== undefined) throw inputError('LAMBDA_DUPLICATE', `lambda ${twice} is given twice`, { found: twice })
  return [...grid].sort((a, b) => a - b)
}

/** What native code is asked for. @throws WarpError PATH_UNKNOWN, LAMBDA_RANGE, LAMBDA_DUPLICATE, POINTS_RANGE */
export function parsePathOptions(options: PathOptions): PathRequest {
  const family = options.path ?? 'linear'
  if (!(pathFamilies as readonly string[]).includes(family)) {
    throw usageError('PATH_UNKNOWN', `there is no path ${JSON.stringify(family)}`, { expected: [...pathFamilies] }, `one of ${pathFamilies.join(', ')}`)
  }
  return { family, lambdas: lambdaGrid(options), quadraticC: options.quadraticC ?? 0.3 }
}
