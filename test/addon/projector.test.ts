// A trained readout at the command line: listed with the others, refused before any scoring where it does not fit.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sealed } from '../../lib/document.js'
import { newNetwork } from '../../lib/readouts/network.js'
import type { ProjectorDocument } from '../../lib/readouts/projector.js'
import { resultSchema } from '../../lib/report/schema.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, pairLabels } from '../support/pair.js'

const pair = makePair()
const args = [
  'recover',
  '--base',
  pair.base,
  '--reference',
  pair.reference,
  '--probes',
  pair.probes,
  '--bootstrap',
  '20',
  '--json',
]
const D = pairLabels.length

const network: ProjectorDocument = {
  schema: 'warp.projector/1',
  domains: pairLabels,
  path: 'linear',
  lambdas: [0.05, 0.5, 0.95],
  scope: 'head',
  model: {
    ...newNetwork(3 * D, 8, D, 1),
    kind: 'mlp',
    normalization: 'max',
    deviations: false,
    parameters: [...newNetwork(3 * D, 8, D, 1).parameters],
  },
  training: { trials: 20, seed: 1, chosen: { learningRate: 1e-3 }, folds: 10, error: 0.02 },
}
const carried: ProjectorDocument = {
  ...network,
  domains: ['a', 'b'],
  model: { kind: 'equivariant', form: 'linear', floor: 0.1, weights: { stationary: 1 } },
}

function save(document: ProjectorDocument): string {
  const file = join(temporaryDirectory(), 'projector.json')
  writeFileSync(file, sealed(document))
  return file
}

test('joins the readouts asked for, with its settings and an interval that includes its error', async () => {
  const { code, stdout } = await warp([...args, '-q', '--readout', 'uniform,mlp', '--projector', save(network)])
  expect(code).toBe(0)
  const { mixtures } = resultSchema.parse(JSON.parse(stdout))
  expect(mixtures.map(({ readout }) => readout)).toEqual(['uniform', 'mlp'])
  const [, { mixture, interval, settings, intervalIncludes }] = mixtures
  expect(Object.values(mixture).reduce((a, b) => a + b)).toBeCloseTo(1, 12)
  expect(settings).toEqual({ path: 'linear', points: 3, trials: 20, learningRate: 1e-3 })
  expect(intervalIncludes).toContain('0.020')
  for (const name of pairLabels) expect(interval[name][1] - interval[name][0]).toBeGreaterThanOrEqual(0.04 - 1e-12)
})

test('weights of one readout alone and equal to one are that readout, whatever domains they came from', async () => {
  const { stdout } = await warp([...args, '-q', '--projector', save(carried)])
  const { mixtures } = resultSchema.parse(JSON.parse(stdout))
  const shares = (name: string) => mixtures.find(({ readout }) => readout === name)!.mixture
  for (const name of pairLabels) expect(shares('equivariant')[name]).toBeCloseTo(shares('stationary')[name], 12)
})

test.each([
  ['other domains', { ...network, domains: ['a', ...pairLabels.slice(1)] }, [], 'PROJECTOR_MISMATCH'],
  [
    'a file of another kind',
    { ...network, schema: 'warp.recover/1' } as unknown as ProjectorDocument,
    [],
    'PROJECTOR_VERSION',
  ],
])('%s: refused before any scoring', async (_, document, more, code) => {
  const run = await warp([...args, ...more, '--projector', save(document)])
  const { error } = JSON.parse(run.stdout) as ErrorDocument
  expect({ exit: run.code, code: error.code }).toEqual({ exit: 3, code })
  expect(error.hint).not.toBe('')
  expect(run.stderr).not.toContain('score:')
})

test.each([
  ['--points', '4', '--points asks for 4 from λ = 0.05 to 0.95; the projector was trained on 3 from λ = 0.05 to 0.95'],
  ['--lambdas', '0.1,0.5,0.95', '--lambdas asks for 3 from λ = 0.1 to 0.95; the projector was trained on 3 from'],
  ['--path', 'ties', '--path asks for ties; the projector was trained on linear'],
  ['--scope', 'top', '--scope asks for top; the projector was trained on head'],
])('%s %s, which the projector was not trained on, is refused by name', async (option, value, message) => {
  const run = await warp([...args, option, value, '--projector', save(network)])
  const { error } = JSON.parse(run.stdout) as ErrorDocument
  expect({ exit: run.code, code: error.code }).toEqual({ exit: 2, code: 'PROJECTOR_OPTION' })
  expect(error.message).toContain(message)
  expect(error.hint).toBe(`leave ${option} out: the projector says it`)
})

test('path, points and scope are the projector’s, and may be given where they agree', async () => {
  const ties = { ...network, path: 'ties', scope: 'top', lambdas: [0.25, 0.75] }
  const small = newNetwork(2 * D, 8, D, 1)
  const model = { ...network.model, ...small, parameters: [...small.parameters] } as ProjectorDocument['model']
  const projector = save({ ...ties, model })
  for (const more of [[], ['--path', 'ties', '--lambdas', '0.25,0.75', '--scope', 'top']]) {
    const { code, stdout } = await warp([...args, ...more, '-q', '--readout', 'uniform', '--projector', projector])
    expect(code).toBe(0)
    expect(resultSchema.parse(JSON.parse(stdout))).toMatchObject({ path: 'ties', lambdas: [0.25, 0.75], scope: 'top' })
  }
})

test('a projector that erred less than gradient matching is recommended, one that erred more is not', async () => {
  for (const [error, expected] of [
    [0.001, 'mlp'],
    [0.2, 'gradient-matching'],
  ] as const) {
    const document = { ...network, training: { ...network.training, error } }
    const { stdout } = await warp([...args, '-q', '--projector', save(document)])
    const { recommended } = resultSchema.parse(JSON.parse(stdout))
    expect(recommended.readout).toBe(expected)
    expect(recommended.reason).toContain(`each left out, is ${error.toFixed(3)}`)
  }
})
