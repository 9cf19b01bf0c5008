import { fixedTensors, lambdaGrid, parsePathOptions, pathFamilies, type PathOptions } from '../../lib/paths/index.js'

/** The error an options object is refused with. */
function refusal(options: PathOptions): { code: string; exitCode: number; message: string } {
  try {
    parsePathOptions(options)
  } catch (error) {
    return error as { code: string; exitCode: number; message: string }
  }
  throw new Error(`accepted ${JSON.stringify(options)}`)
}

describe('the grid of λ', () => {
  test('is 15 points from 0.05 to 0.95, evenly', () => {
    const grid = lambdaGrid({})
    expect(grid).toHaveLength(15)
    expect(grid[0]).toBe(0.05)
    expect(grid[14]).toBeCloseTo(0.95, 15)
    for (let k = 1; k < 15; k++) expect(grid[k] - grid[k - 1]).toBeCloseTo(0.9 / 14, 15)
  })
  test('takes a number, a range, one point, or the points in any order', () => {
    expect(lambdaGrid({ points: 3, lambdaMin: 0, lambdaMax: 1 })).toEqual([0, 0.5, 1])
    expect(lambdaGrid({ points: 1 })).toEqual([0.5])
    expect(lambdaGrid({ lambdas: [0.9, 0.1, 0] })).toEqual([0, 0.1, 0.9])
  })
  test.each<[string, PathOptions]>([
    ['POINTS_RANGE', { points: 0 }],
    ['POINTS_RANGE', { points: 1.5 }],
    ['POINTS_RANGE', { points: 1001 }],
    ['POINTS_RANGE', { lambdas: [] }],
    ['POINTS_RANGE', { points: NaN }],
    ['LAMBDA_RANGE', { lambdas: [-0.1] }],
    ['LAMBDA_RANGE', { lambdas: [1.1] }],
    ['LAMBDA_RANGE', { lambdas: [NaN] }],
    ['LAMBDA_RANGE', { lambdaMin: -1 }],
    ['LAMBDA_RANGE', { lambdaMax: 2 }],
    ['LAMBDA_RANGE', { lambdaMin: 0.5, lambdaMax: 0.5 }],
    ['LAMBDA_DUPLICATE', { lambdas: [0.5, 0.2, 0.5] }],
    ['LAMBDA_CONFLICT', { lambdas: [0.5], points: 3 }],
  ])('refuses %s %o', (code, options) => {
    const error = refusal(options)
    expect(error.code).toBe(code)
    expect(error.exitCode).toBe(/^(LAMBDA|PATH_[A-Z]+)_(RANGE|DUPLICATE)$/.test(code) ? 3 : 2)
  })
})

describe('the options of a path', () => {
  test.each(pathFamilies.filter((family) => family !== 'trajectory'))(
    '%s has defaults for what it uses and nothing else',
    (path) => {
      const expected: Record<string, object> = {
        quadratic: { quadraticC: 0.3 },
        ties: { density: 0.9 },
        breadcrumbs: { density: 0.9, gamma: 0.01 },
        dare: { density: 0.9, rescale: 'inverse-density', seed: 0 },
        della: { density: 0.9, epsilon: expect.closeTo(0.1, 12), rescale: 'inverse-density', seed: 0 },
      }
      expect(parsePathOptions({ path })).toEqual({ family: path, lambdas: lambdaGrid({}), ...expected[path] })
    },
  )
  test('a trajectory has a nominal λ for each checkpoint', () => {
    expect(parsePathOptions({ path: 'trajectory', checkpoint: ['a', 'b', 'c'] })).toEqual({
      family: 'trajectory',
      lambdas: [0.25, 0.5, 0.75],
    })
  })
  test('the default ε keeps probabilities in (0, 1] for every density', () => {
    for (const density of [0.001, 0.05, 0.2, 0.5, 0.9, 0.95, 0.999, 1]) {
      const { epsilon } = parsePathOptions({ path: 'della', density })
      expect(density - epsilon!).toBeGreaterThan(0)
      expect(density + epsilon!).toBeLessThanOrEqual(1 + 1e-12)
    }
  })
  test('ρ + ε that is 1 but for rounding is 1', () => {
    expect(parsePathOptions({ path: 'della', density: 0.7, epsilon: 0.3 }).epsilon).toBe(0.3)
    expect(parsePathOptions({ path: 'della', density: 0.9, epsilon: 0.1 }).epsilon).toBe(0.1)
  })
  test.each<[string, PathOptions]>([
    ['PATH_UNKNOWN', { path: 'lerp' }],
    ['PATH_UNKNOWN', { path: '' }],
    ['PATH_DENSITY_RANGE', { path: 'ties', density: 0 }],
    ['PATH_DENSITY_RANGE', { path: 'ties', density: 1.01 }],
    ['PATH_DENSITY_RANGE', { path: 'dare', density: -0.5 }],
    ['PATH_DENSITY_RANGE', { path: 'breadcrumbs', density: NaN }],
    ['PATH_EPSILON_RANGE', { path: 'della', density: 0.9, epsilon: 0.2 }],
    ['PATH_EPSILON_RANGE', { path: 'della', density: 0.1, epsilon: 0.1 }],
    ['PATH_EPSILON_RANGE', { path: 'della', epsilon: -0.01 }],
    ['PATH_EPSILON_RANGE', { path: 'della', epsilon: NaN }],
    ['PATH_GAMMA_RANGE', { path: 'breadcrumbs', gamma: 1 }],
    ['PATH_GAMMA_RANGE', { path: 'breadcrumbs', gamma: -0.1 }],
    ['PATH_QUADRATIC_RANGE', { path: 'quadratic', quadraticC: 1.5 }],
    ['PATH_RESCALE_UNKNOWN', { path: 'dare', rescale: 'l2' }],
    ['PATH_COMPAT_UNKNOWN', { path: 'slerp', compat: 'other' }],
    ['PATH_SEED_RANGE', { path: 'dare', seed: -1 }],
    ['PATH_SEED_RANGE', { path: 'della', seed: 2 ** 53 }],
    ['PATH_CHECKPOINTS_MISSING', { path: 'trajectory' }],
    ['PATH_OPTION_UNUSED', { density: 0.5 }],
    ['PATH_OPTION_UNUSED', { path: 'ties', epsilon: 0.1 }],
    ['PATH_OPTION_UNUSED', { path: 'dare', gamma: 0.1 }],
    ['PATH_OPTION_UNUSED', { path: 'slerp', quadraticC: 0.3 }],
    ['PATH_OPTION_UNUSED', { path: 'linear', checkpoint: ['a'] }],
    ['PATH_OPTION_UNUSED', { path: 'trajectory', checkpoint: ['a'], points: 3 }],
  ])('refuses %s %o', (code, options) => {
    const error = refusal(options)
    expect(error.code).toBe(code)
    expect(error.exitCode).toBe(/^(LAMBDA|PATH_[A-Z]+)_(RANGE|DUPLICATE)$/.test(code) ? 3 : 2)
    expect(error.message.length).toBeGreaterThan(15)
  })
})

describe('filters of tensors', () => {
  const names = ['embeddings.word', 'encoder.layer.0.a', 'encoder.layer.1.a', 'encoder.layer.10.a', 'classifier.weight']
  test('only, except, and both', () => {
    expect(fixedTensors(names, {})).toEqual([])
    expect(fixedTensors(names, { only: ['encoder.*'] })).toEqual(['embeddings.word', 'classifier.weight'])
    expect(fixedTensors(names, { except: ['classifier.*', 'embeddings*'] })).toEqual([
      'embeddings.word',
      'classifier.weight',
    ])
    expect(fixedTensors(names, { only: ['encoder.layer.?.a'], except: ['*.1.*'] })).toEqual(
      names.filter((name) => name !== 'encoder.layer.0.a'),
    )
  })
  test('a dot is a dot', () => {
    expect(() => fixedTensors(names, { only: ['encoder?layer.0.a'] })).not.toThrow()
    expect(() => fixedTensors(['encoderXlayer'], { only: ['encoder.layer'] })).toThrow(
      expect.objectContaining({ code: 'FILTER_MATCHES_NOTHING' }),
    )
  })
  test('nothing is filtered away in silence', () => {
    expect(() => fixedTensors(names, { only: ['encoder.layer.2.*'] })).toThrow(
      expect.objectContaining({ code: 'FILTER_MATCHES_NOTHING', exitCode: 3 }),
    )
    expect(() => fixedTensors(names, { except: ['*', 'no'] })).toThrow(
      expect.objectContaining({ code: 'FILTER_MATCHES_NOTHING' }),
    )
    expect(() => fixedTensors(names, { except: ['*'] })).toThrow(
      expect.objectContaining({ code: 'FILTER_LEAVES_NOTHING' }),
    )
  })
})
