import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { sealed } from '../../lib/document.js'
import {
  fitProjectors,
  loadProjector,
  projectorFile,
  saveProjector,
  type ProjectorDocument,
} from '../../lib/lab/index.js'
import { Random } from '../../lib/random.js'
import {
  equivariantSettings,
  fitEquivariant,
  predictEquivariant,
  sharesOfSummary,
} from '../../lib/readouts/equivariant.js'
import { readMixtures } from '../../lib/readouts/index.js'
import { fitMlp, mlpFeatures, mlpPredictor } from '../../lib/readouts/mlp.js'
import { evaluate, lossAndGradient, newNetwork, trainNetwork } from '../../lib/readouts/network.js'
import { projectorReadout } from '../../lib/readouts/projector.js'
import { spreadOf } from '../../lib/readouts/spread.js'
import type { FootprintStatistics } from '../../lib/readouts/types.js'
import { modelStatistics, syntheticTrials } from '../support/synthetic-trials.js'
import { meanError, normals } from '../support/synthetic-footprints.js'

const examplesOf = (trials: ReturnType<typeof syntheticTrials>) =>
  trials.map(({ paths: [summary], truth }) => ({ summary, truth }))

describe('the network', () => {
  const random = new Random(2, 'network')
  const features = Array.from({ length: 6 }, () => normals(random, 7))
  const targets = features.map(() => random.dirichlet([1, 1, 1]))

  test('its gradient is the slope of its loss', () => {
    const network = newNetwork(7, 5, 3, 1)
    const { parameters } = network
    const order = [4, 0, 2, 5, 1, 3]
    const gradient = new Float64Array(parameters.length)
    const scratch = new Float64Array(parameters.length)
    const loss = () => lossAndGradient(network, features, targets, order, 1, 5, scratch)
    lossAndGradient(network, features, targets, order, 1, 5, gradient)
    const h = 1e-6
    parameters.forEach((value, i) => {
      parameters[i] = value + h
      const above = loss()
      parameters[i] = value - h
      const below = loss()
      parameters[i] = value
      // Between kinks of ReLU and |·|: rounding 1e-16/h, curvature h²; no kink lies within h of these parameters.
      expect(Math.abs((above - below) / (2 * h) - gradient[i])).toBeLessThan(1e-8)
    })
    expect(gradient.filter((value) => value !== 0).length).toBeGreaterThan(parameters.length / 3)
  })

  test('the loss is the mean absolute error of its shares', () => {
    const network = newNetwork(7, 5, 3, 1)
    const own = features.map((row, i) => meanError(evaluate(network, row), targets[i]))
    const all = lossAndGradient(
      network,
      features,
      targets,
      [0, 1, 2, 3, 4, 5],
      0,
      6,
      new Float64Array(network.parameters.length),
    )
    expect(Math.abs(all - own.reduce((a, b) => a + b) / 6)).toBeLessThan(1e-15)
  })

  test('the first step of Adam moves every parameter that has a slope by the learning rate, against it', async () => {
    const network = newNetwork(7, 5, 3, 1)
    const before = Float64Array.from(network.parameters)
    const gradient = new Float64Array(before.length)
    lossAndGradient(network, features, targets, [0, 1, 2, 3, 4, 5], 0, 6, gradient)
    await trainNetwork(network, features, targets, { learningRate: 1e-3, epochs: 1, batch: 8, seed: 1 })
    network.parameters.forEach((value, i) => {
      // |g|/(|g| + 1e-8) of the rate; the batch's order changes the gradient in its last bits
      const expected = (-1e-3 * gradient[i]) / (Math.abs(gradient[i]) + 1e-8)
      expect(Math.abs(value - before[i] - expected)).toBeLessThan(1e-9)
    })
  })

  test('learns by heart what little it is shown, and the same for the same seed', async () => {
    const train = async (seed: number) => {
      const network = newNetwork(7, 64, 3, seed)
      await trainNetwork(network, features, targets, { learningRate: 3e-3, epochs: 800, batch: 2, seed })
      return network
    }
    const network = await train(1)
    features.forEach((row, i) => expect(meanError(evaluate(network, row), targets[i])).toBeLessThan(0.02))
    expect((await train(1)).parameters).toEqual(network.parameters)
    expect((await train(2)).parameters).not.toEqual(network.parameters)
  })

  test('stops when told to', async () => {
    const controller = new AbortController()
    const running = trainNetwork(newNetwork(7, 64, 3, 1), features, targets, {
      learningRate: 1e-3,
      epochs: 1_000_000,
      batch: 2,
      seed: 1,
      signal: controller.signal,
    })
    setTimeout(() => controller.abort(), 30)
    await expect(running).rejects.toThrow(/abort/)
  })
})

describe('mlp', () => {
  test('its features are the footprint in units of the largest score at each point, then the deviations', () => {
    const spread = {
      mean: [
        [1, 2],
        [-3, 4],
      ],
      deviation: [
        [0.5, 1],
        [1, 0],
      ],
      largest: [2, 8],
    }
    expect([...mlpFeatures(spread, false)]).toEqual([0.5, 0.25, -1.5, 0.5])
    expect([...mlpFeatures(spread, true)]).toEqual([0.5, 0.25, -1.5, 0.5, 0.25, 0.125, 0.5, 0])
    expect([...mlpFeatures({ ...spread, largest: [0, 8] }, false)]).toEqual([0, 0.25, 0, 0.5])
  })

  test('a resample that draws every probe once is the whole', () => {
    const statistics = modelStatistics(new Random(1, 'spread'), [0.6, 0.4])
    expect(spreadOf(statistics, new Float64Array(40).fill(1))).toEqual(spreadOf(statistics))
    const half = Float64Array.from({ length: 40 }, (_, i) => 2 * (i % 2))
    const doubled = spreadOf(statistics, half)
    expect(doubled.largest.every((value, k) => value <= spreadOf(statistics).largest[k])).toBe(true)
    expect(doubled.mean).not.toEqual(spreadOf(statistics).mean)
  })
})

describe('equivariant', () => {
  const examples = examplesOf(syntheticTrials({ trials: 12 }))
  const names = ['gradient-matching', 'stationary', 'losses']

  test('finds the weights that made the mixtures', () => {
    // truth = 1/D + Σ w (share − 1/D), exactly; the ridge of 1e-9 moves a weight by about 1e-9 of the condition (< 1e3)
    const weights: Record<string, number> = { 'gradient-matching': 0.5, stationary: 0.3, losses: 0.2 }
    const made = examples.map(({ summary }) => {
      const shares = sharesOfSummary(summary)
      const truth = Array.from({ length: 4 }, (_, d) =>
        names.reduce((sum, name) => sum + weights[name] * shares[name][d], 0),
      )
      return { summary, truth }
    })
    const model = fitEquivariant(made, names, { form: 'linear', ridge: 1e-9 })
    for (const name of names) expect(Math.abs(model.weights[name] - weights[name])).toBeLessThan(1e-5)
    made.forEach(({ summary, truth }) =>
      expect(meanError(predictEquivariant(model, sharesOfSummary(summary)), truth)).toBeLessThan(1e-5),
    )
  })

  test.each(equivariantSettings)('$form, ridge $ridge: renaming the domains renames the shares', (setting) => {
    const model = fitEquivariant(examples, names, setting)
    const shares = sharesOfSummary(examples[0].summary)
    const order = [2, 0, 3, 1]
    const turned = Object.fromEntries(
      Object.entries(shares).map(([name, values]) => [name, order.map((d) => values[d])]),
    )
    const [plain, other] = [predictEquivariant(model, shares), predictEquivariant(model, turned)]
    order.forEach((d, i) => expect(Math.abs(other[i] - plain[d])).toBeLessThan(1e-14))
    expect(Math.abs(plain.reduce((a, b) => a + b) - 1)).toBeLessThan(1e-14)
    expect(plain.every((share) => share >= 0)).toBe(true)
  })

  test('the log form gives back shares that it is shown alone with weight one', () => {
    const shares = { losses: [0.7, 0.2, 0.1, 0] }
    const estimate = predictEquivariant(
      { kind: 'equivariant', form: 'log', floor: 0.1, weights: { losses: 1 } },
      shares,
    )
    estimate.forEach((share, d) => expect(Math.abs(share - shares.losses[d])).toBeLessThan(1e-14))
  })

  test('no information gives equal shares under a strong ridge', () => {
    const model = fitEquivariant(examples, names, { form: 'linear', ridge: 1e9 })
    for (const share of predictEquivariant(model, sharesOfSummary(examples[0].summary)))
      expect(share).toBeCloseTo(0.25, 6)
  })
})

describe('a saved projector', () => {
  let folder: string
  let mlp: ProjectorDocument
  let equivariant: ProjectorDocument
  const truth = [0.55, 0.05, 0.3, 0.1]
  const statistics = modelStatistics(new Random(9, 'unknown'), truth)
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'projector-'))
    ;[mlp, equivariant] = await fitProjectors(syntheticTrials({ trials: 24 }))
  })
  afterAll(() => rm(folder, { recursive: true }))

  test('says what it was trained on, and is named after kind and path', () => {
    expect(mlp).toMatchObject({
      schema: 'warp.projector/1',
      path: 'linear',
      scope: 'head',
      domains: statistics.domains,
      lambdas: [0.1, 0.3, 0.5, 0.7, 0.9],
      model: { kind: 'mlp', normalization: 'max', inputs: 20, hidden: 64, outputs: 4 },
      training: { trials: 24, seed: 42 },
    })
    expect(mlp.training.chosen.learningRate).toBeGreaterThan(0)
    expect(equivariant.model.kind).toBe('equivariant')
    expect([mlp, equivariant].map(projectorFile)).toEqual(['mlp-linear.json', 'equivariant-linear.json'])
  })

  test('reads a model of unknown mixture as it did before it was saved, and better than equal shares', async () => {
    for (const document of [mlp, equivariant]) {
      const file = path.join(folder, projectorFile(document))
      await saveProjector(file, document)
      const projectors = [await loadProjector(file)]
      const { mixtures } = await readMixtures(statistics, { seed: 1, bootstrap: 20, readouts: ['uniform'], projectors })
      expect(mixtures.map(({ readout }) => readout)).toEqual(['uniform', document.model.kind])
      const shares = Object.values(mixtures[1].mixture)
      expect(shares).toEqual([...projectorReadout(document).prepare(statistics)(null)])
      expect(meanError(shares, truth)).toBeLessThan(0.5 * meanError([0.25, 0.25, 0.25, 0.25], truth))
      const [low, high] = mixtures[1].interval['domain 0']
      expect(high - low).toBeGreaterThanOrEqual(document.training.error)
    }
  })

  test('refuses to replace another file unless forced', async () => {
    const file = path.join(folder, 'once.json')
    await saveProjector(file, mlp)
    await expect(saveProjector(file, equivariant)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    await saveProjector(file, equivariant, true)
    expect(await readFile(file, 'utf8')).toBe(sealed(equivariant))
  })

  test('the network finds its domains by name', () => {
    const order = [3, 1, 0, 2]
    const turned: FootprintStatistics = {
      ...statistics,
      domains: order.map((d) => statistics.domains[d]),
      domain: statistics.domain.map((d) => order.indexOf(d)),
    }
    const [plain, other] = [statistics, turned].map((stats) => projectorReadout(mlp).prepare(stats)(null))
    order.forEach((d, i) => expect(Math.abs(other[i] - plain[d])).toBeLessThan(1e-12))
  })

  test.each<[string, Partial<FootprintStatistics>, RegExp]>([
    ['domains', { domains: ['a', 'b', 'c', 'd'] }, /domains "domain 0".*"a", "b".* besides and no "domain 0"/],
    ['scope', { scope: 'top' }, /scope head, .* top/],
    ['path', { path: 'ties' }, /path linear, .* ties/],
    ['points', { lambdas: Float64Array.of(0.1, 0.3, 0.5, 0.7, 0.95) }, /points.* to 0\.9, .*to 0\.95/],
  ])('refuses a footprint with other %s, and says so', async (_, change, message) => {
    const projectors = [projectorReadout(mlp)]
    await expect(
      readMixtures({ ...statistics, ...change }, { seed: 1, bootstrap: 20, projectors }),
    ).rejects.toMatchObject({ code: 'PROJECTOR_MISMATCH', exitCode: 3, message: expect.stringMatching(message) })
  })

  test('the weights that belong to no domain are carried to other domains, but not to other points', async () => {
    const shares = [0.5, 0.2, 0.1, 0.1, 0.05, 0.05]
    const other = modelStatistics(new Random(10, 'unknown'), shares)
    const projector = projectorReadout(equivariant)
    const { mixtures } = await readMixtures(other, {
      seed: 1,
      bootstrap: 20,
      readouts: ['uniform'],
      projectors: [projector],
    })
    const [uniform, carried] = mixtures.map(({ mixture }) => meanError(Object.values(mixture), shares))
    expect(carried).toBeLessThan(0.5 * uniform)
    expect(() => projector.check({ ...other, lambdas: Float64Array.of(0.5) })).toThrow(
      expect.objectContaining({ code: 'PROJECTOR_MISMATCH' }),
    )
    await expect(
      readMixtures({ ...other, gradients: [] }, { seed: 1, bootstrap: 20, projectors: [projector] }),
    ).rejects.toMatchObject({ code: 'READOUT_NOT_APPLICABLE', exitCode: 3 })
  })

  test.each([
    ['of another version', (d: ProjectorDocument) => ({ ...d, schema: 'warp.projector/2' }), 'PROJECTOR_VERSION'],
    [
      'with a parameter missing',
      (d: ProjectorDocument) => ({ ...d, model: { ...d.model, parameters: [1, 2, 3] } }),
      'PROJECTOR_FORM',
    ],
    [
      'of an unknown kind',
      (d: ProjectorDocument) => ({ ...d, model: { ...d.model, kind: 'forest' } }),
      'PROJECTOR_FORM',
    ],
    ['changed by hand', (d: ProjectorDocument) => ({ ...d, digest: '0' }), 'PROJECTOR_EDITED'],
    ['without its points', ({ lambdas: _, ...d }: ProjectorDocument) => d, 'PROJECTOR_FORM'],
  ])('a file %s is refused', async (_, change, code) => {
    const file = path.join(folder, 'bad.json')
    await writeFile(file, JSON.stringify(change(mlp)))
    await expect(loadProjector(file)).rejects.toMatchObject({
      code,
      exitCode: 3,
      message: expect.stringContaining(file),
    })
  })

  test('a file that is missing or no JSON is refused', async () => {
    await expect(loadProjector(path.join(folder, 'none.json'))).rejects.toMatchObject({ code: 'PROJECTOR_UNREADABLE' })
    await writeFile(path.join(folder, 'text.json'), 'mlp')
    await expect(loadProjector(path.join(folder, 'text.json'))).rejects.toMatchObject({ code: 'PROJECTOR_NOT_JSON' })
  })
})

test('deviations among the features double them, and the model remembers', async () => {
  const examples = examplesOf(syntheticTrials({ trials: 3 }))
  const model = await fitMlp(examples, { learningRate: 1e-3, seed: 1, deviations: true })
  expect(model.inputs).toBe(40)
  expect(mlpPredictor(model)(examples[0].summary)).toHaveLength(4)
})
