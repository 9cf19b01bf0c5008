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
  '--points',
  '3',
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
  training: { trials: 20, seed: 1, chosen: { learningRate: 1e-3 }, error: 0.02 },
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
  ['other points', network, ['--points', '4'], 'PROJECTOR_MISMATCH'],
  ['another path', carried, ['--path', 'ties'], 'PROJECTOR_MISMATCH'],
  ['another scope', network, ['--scope', 'top'], 'PROJECTOR_MISMATCH'],
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
