// The weights part of `diff`: singular values against LAPACK, ranks of merged adapters, a verdict for every kind of
// pair.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSafetensorsHeader } from '../../lib/checkpoint/index.js'
import { diff, diffSchema, type DiffOptions, type DiffResult } from '../../lib/index.js'
import { addon } from '../../lib/native/load.js'
import type { Handle } from '../../lib/native/types.js'
import { train, type TrainOptions } from '../../lib/train/index.js'
import {
  adapted,
  changed,
  hidden,
  layers,
  tinyBase,
  tokens,
  trained,
  writeTiny,
  type StoredAs,
} from '../support/diff-models.js'
import { fixtureModel, modelOf, refused, temporaryDirectory } from '../support/models.js'
import { modelDir, repositoryRoot, whenPresent } from '../support/shared.js'
import { trainedPair } from '../support/trace-models.js'
import { domainFile, trainableModel } from '../support/training.js'

type Weights = NonNullable<DiffResult['weights']>

async function weightsOf(base: string, reference: string, more: Partial<DiffOptions> = {}): Promise<Weights> {
  const { result } = await diff({ base, reference, only: ['weights'], ...more })
  diffSchema.parse(result)
  return result.weights!
}

const base = tinyBase()
const files = { F32: writeTiny(base), F16: writeTiny(base, 'F16'), BF16: writeTiny(base, 'BF16') }

describe('singular values', () => {
  const folder = join(repositoryRoot, 'test/fixtures/diff')
  const golden = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Record<string, number[]>
  const open = async (file: string): Promise<Handle> => {
    const { tensors } = await readSafetensorsHeader(join(folder, file))
    const entries = tensors.map(({ storedName, dtype, shape, offset }) => ({
      name: storedName,
      dtype,
      shape,
      file: 0,
      offset,
    }))
    return addon().openWeights([join(folder, file)], entries)
  }

  test.each(Object.keys(golden))('%s: as LAPACK, to 1e-4 above the noise', async (name) => {
    const [from, to] = [await open('base.safetensors'), await open('reference.safetensors')]
    const request = { name, values: 64, seed: 0, memory: 1 << 30, threads: 2 }
    const found = await addon().singularValues(from, to, request).promise
    const bits = { slow: 23, steep: 23, flat: 10, wide: 7 }[name]!
    const noise = found.rounding * 2 ** -bits + found.arithmetic
    const above = golden[name].filter((value) => value > 10 * noise)
    expect(above.length).toBeGreaterThan(name === 'wide' ? 4 : name === 'flat' ? 25 : 40)
    above.forEach((value, i) => expect(Math.abs(found.values[i] / value - 1)).toBeLessThan(1e-4))
    // products of float32 leave at most 2^-24 of the largest value undecided
    golden[name].forEach((value, i) =>
      expect(Math.abs(found.values[i] - value)).toBeLessThan(1e-4 * value + 2 ** -24 * golden[name][0]),
    )
  })
})

describe('exact rank of a merged adapter', () => {
  const cases = (['F32', 'F16', 'BF16'] as const).flatMap((dtype) =>
    [1, 8, 64].flatMap((rank) => [[dtype, rank, 'F32'] as const, [dtype, rank, dtype] as const]),
  )
  // 96 × 192 matrices hold a rank of 64, but 4 · 64 is more than an adapter's may be: the rank alone is asked for
  test.each(cases)('%s, rank %i, base in %s', async (dtype, rank, from) => {
    const start = from === 'F32' ? base : changed(base, (_, { values }) => storedValues(values, dtype))
    const reference = changed(start, (name, matrix) =>
      /\.(up|down)\.weight$/.test(name) ? adapted(name, matrix, rank, 5e-3) : undefined,
    )
    const found = await weightsOf(writeTiny(start, from), writeTiny(reference, dtype))
    const matrices = found.tensors.filter(({ name }) => /\.(up|down)\.weight$/.test(name))
    expect(matrices.map((tensor) => tensor.rank)).toEqual(new Array(2 * layers).fill(rank))
    expect(new Set(matrices.map((tensor) => tensor.noiseOf))).toEqual(new Set([dtype]))
    if (rank < 20) expect(found.verdict).toBe('low-rank')
  })
})

function storedValues(values: Float32Array, dtype: StoredAs): Float32Array {
  const { stored } = jest.requireActual('../support/trace-tables.js') as typeof import('../support/trace-tables.js')
  return stored(values, dtype)
}

describe('verdicts', () => {
  const inLayers = (numbers: number[]) => (name: string) => numbers.some((n) => name.startsWith(`encoder.layer.${n}.`))
  const only = (test: (name: string) => boolean, dtype: StoredAs = 'F32') =>
    writeTiny(
      changed(base, (name, matrix) => (test(name) ? trained(name, matrix) : undefined)),
      dtype,
    )

  test('identical: says so, exits 0 in words', async () => {
    const found = await weightsOf(files.F32, writeTiny(base))
    expect(found).toMatchObject({ verdict: 'identical', summary: 'The weights are identical.', unexplained: [] })
    expect(found.tensors.every(({ changed, relative }) => changed === 0 && relative === 0)).toBe(true)
  })

  test.each(['F16', 'BF16'] as const)('nothing but rounding to %s, in a file of either type', async (dtype) => {
    for (const reference of [files[dtype], writeTiny(changed(base, (_, { values }) => storedValues(values, dtype)))]) {
      const found = await weightsOf(files.F32, reference)
      expect(found.verdict).toBe('rounding')
      expect(found.groups.every(({ moved }) => moved === 0)).toBe(true)
      // the same the other way round
      expect((await weightsOf(reference, files.F32)).verdict).toBe('rounding')
    }
  })

  test('steps within the spacing of a base that was stored coarsely are no rounding', async () => {
    const start = changed(base, (_, { values }) => storedValues(values, 'BF16'))
    const reference = changed(start, (name, matrix) => trained(name, matrix, 1e-6))
    const found = await weightsOf(writeTiny(start), writeTiny(reference))
    expect(found.verdict).toBe('all-trained')
    expect(found.tensors.every(({ moved }) => moved > 0.5)).toBe(true)
  })

  test('all weights trained', async () => {
    const found = await weightsOf(
      files.F32,
      only(() => true, 'BF16'),
    )
    expect(found.verdict).toBe('all-trained')
    expect(found.evidence.join()).toMatch(
      /no adapter: the spectra of 24 of 24 matrices go on above what rounding can give/,
    )
  })

  test('head only; embeddings frozen; layers 1–2 only; biases only', async () => {
    expect(
      await weightsOf(
        files.F32,
        only((name) => name.startsWith('classifier')),
      ),
    ).toMatchObject({
      verdict: 'head-only',
    })
    expect(
      await weightsOf(
        files.F32,
        only((name) => !name.startsWith('embeddings')),
      ),
    ).toMatchObject({
      verdict: 'embeddings-frozen',
    })
    const some = await weightsOf(
      files.F32,
      only((name) => inLayers([1, 2])(name) || name.startsWith('classifier')),
    )
    expect(some).toMatchObject({ verdict: 'layers-only', summary: 'Only layers 1–2 of 4 were trained.' })
    const biases = await weightsOf(
      files.F32,
      only((name) => name.endsWith('bias')),
    )
    expect(biases).toMatchObject({ verdict: 'some-tensors' })
    expect(biases.summary).toContain('up.bias')
  })

  test('a merged adapter, named: rank, projections, layers', async () => {
    const reference = changed(base, (name, matrix) => {
      if (/attention\.(query|value)\.weight$/.test(name) && inLayers([0, 1, 2])(name)) return adapted(name, matrix, 8)
      // too small for BF16: some values change by a spacing, at no rank
      if (name === 'encoder.layer.0.attention.key.weight') return adapted(name, matrix, 8, 1e-5)
      return name.startsWith('classifier') ? trained(name, matrix) : undefined
    })
    const found = await weightsOf(files.BF16, writeTiny(reference, 'BF16'))
    expect(found.verdict).toBe('low-rank')
    expect(found.summary).toBe(
      'An update of rank 8 on attention.query, attention.value in layers 0–2: a merged adapter.',
    )
    expect(found.evidence.join()).toMatch(
      /rounding to BF16 .*of 1 matrix the whole difference is within .*besides, in full: classifier/,
    )
    const ten = await weightsOf(files.BF16, writeTiny(reference, 'BF16'), { singularValues: 10 })
    expect(ten).toMatchObject({ verdict: 'low-rank', summary: found.summary })
    expect(Math.max(...ten.tensors.map(({ singularValues }) => singularValues.length))).toBe(10)
    const four = await weightsOf(files.BF16, writeTiny(reference, 'BF16'), { singularValues: 4 })
    expect(four.verdict).not.toBe('low-rank')
    const without = await weightsOf(files.BF16, writeTiny(reference, 'BF16'), { singularValues: 0 })
    expect(without.verdict).not.toBe('low-rank')
    expect(without.evidence.join()).toContain('singular values were not computed')
  })

  test('weight decay without a gradient is told from training', async () => {
    const shrunk = changed(base, (name, { values }) =>
      name.startsWith('embeddings') ? values.map((value) => value * (1 - 3e-4)) : undefined,
    )
    const reference = changed(shrunk, (name, matrix) =>
      name.startsWith('embeddings') ? undefined : trained(name, matrix),
    )
    const found = await weightsOf(files.F32, writeTiny(reference))
    expect(found.verdict).toBe('embeddings-frozen')
    expect(found.evidence.join()).toMatch(/2 tensors shrank by one factor each \(α = -3\.00e-4\)/)
  })
})

describe('differences that no training explains', () => {
  const found = async (change: Parameters<typeof changed>[1], dtype: StoredAs = 'F32'): Promise<Weights> => {
    const result = await weightsOf(files.F32, writeTiny(changed(base, change), dtype))
    expect(result.verdict).toBe('unexplained')
    return result
  }
  const table = 'embeddings.word_embeddings.weight'

  test('permuted rows, and columns, also after rounding', async () => {
    const rows = await found((name, { values }) => {
      if (name !== 'encoder.layer.1.up.weight') return undefined
      const copy = values.slice()
      for (let row = 0; row < 2 * hidden; row++) {
        copy.set(values.subarray(row * hidden, (row + 1) * hidden), ((row + 5) % (2 * hidden)) * hidden)
      }
      return copy
    }, 'BF16')
    expect(rows.unexplained).toMatchObject([{ kind: 'permuted', tensor: 'encoder.layer.1.up.weight' }])
    expect(rows.unexplained[0].rows).toHaveLength(2 * hidden)
    const columns = await found((name, { values }) =>
      name === 'encoder.layer.0.attention.key.weight'
        ? values.map((_, i) => values[i - (i % hidden) + ((i + 1) % hidden)])
        : undefined,
    )
    expect(columns.unexplained[0].text).toMatch(/^96 of 96 columns of encoder\.layer\.0\.attention\.key\.weight/)
  })

  test('replaced rows of the token table, among trained ones', async () => {
    const drawn = trained('drawn', { shape: [tokens, hidden], values: new Float32Array(tokens * hidden) }, 0.05)
    const result = await found((name, matrix) =>
      name === table
        ? trained(name, matrix).map((value, i) => ([7, 8, 299].includes(Math.floor(i / hidden)) ? drawn[i] : value))
        : undefined,
    )
    expect(result.unexplained).toMatchObject([{ kind: 'replaced-rows', tensor: table, rows: [7, 8, 299] }])
  })

  test('a tensor multiplied by a factor', async () => {
    const result = await found((name, { values }) =>
      name === 'encoder.layer.2.down.weight' ? values.map((value) => 1.5 * value) : undefined,
    )
    expect(result.unexplained).toMatchObject([{ kind: 'scaled', tensor: 'encoder.layer.2.down.weight' }])
    expect(result.tensors.find(({ name }) => name === 'encoder.layer.2.down.weight')!.scale).toBeCloseTo(0.5, 6)
  })

  test('a fine-tuned model of another base', async () => {
    const result = await found((name, matrix) =>
      trained(`other ${name}`, { ...matrix, values: trained(name, matrix, 0) }, 0.3),
    )
    expect(result.unexplained.filter(({ kind }) => kind === 'unrelated').length).toBeGreaterThan(20)
    expect(result.summary).toContain('is this the base it was trained from?')
  })

  test('a base with a classifier of other labels was trained itself', async () => {
    const head = (labels: number) => ({
      'classifier.weight': { shape: [labels, hidden], values: new Float32Array(labels * hidden).fill(0.5) },
    })
    const from = writeTiny({ ...base, ...head(2) })
    const to = writeTiny({ ...changed(base, (name, one) => trained(name, one)), ...head(3) })
    const { evidence } = await weightsOf(from, to)
    expect(evidence.join()).toContain(
      `classifier.weight is [2,${hidden}] in the base and [3,${hidden}] in the reference`,
    )
  })

  test('base and reference the wrong way round: untrained rows grew', async () => {
    const pair = trainedPair('adamw-decay')
    expect(await weightsOf(pair.base, pair.reference)).toMatchObject({ unexplained: [] })
    expect(await weightsOf(pair.reference, pair.base)).toMatchObject({
      verdict: 'unexplained',
      unexplained: [{ kind: 'grown' }],
    })
  })
})

describe('models that were really trained', () => {
  const start = trainableModel()
  const data = domainFile(['animals', 'plants', 'stones'], 20)
  const fineTuned = async (more: Partial<TrainOptions>): Promise<Weights> => {
    const output = join(temporaryDirectory(), 'out')
    await train({
      base: start,
      data: [data],
      output,
      epochs: 2,
      batch: 8,
      learningRate: 1e-3,
      seed: 4,
      threads: 1,
      ...more,
    })
    return weightsOf(start, output)
  }

  test('in full, head only, the last layer only, embeddings frozen', async () => {
    expect((await fineTuned({})).verdict).toBe('all-trained')
    expect((await fineTuned({ layers: 'head' })).verdict).toBe('head-only')
    const last = await fineTuned({ layers: 'last:1' })
    expect(last).toMatchObject({ verdict: 'layers-only', summary: 'Only layer 1 of 2 was trained.' })
    expect((await fineTuned({ freeze: ['embeddings.*'], dtype: 'F16' })).verdict).toBe('embeddings-frozen')
  })

  test('decay of the token rows that had no gradient', async () => {
    const { base: from, reference } = trainedPair('adamw-decay')
    const { decay } = await weightsOf(from, reference)
    expect(decay).toMatchObject({ verdict: 'exact', tensor: 'embeddings.word_embeddings.weight' })
    expect(decay!.decay).toBeLessThan(0)
    expect(decay!.trained).toBeGreaterThan(100)
  })

  whenPresent(modelDir('minilm-l6'), modelDir('expert-ag'))('the shipped expert: embeddings frozen', async () => {
    const found = await weightsOf(modelDir('minilm-l6'), modelDir('expert-ag'))
    expect(found.verdict).toBe('embeddings-frozen')
    expect(found.onlyReference).toEqual(['classifier.bias', 'classifier.weight'])
    expect(found.groups.map(({ group }) => group)).toEqual([
      'embedding',
      ...Array.from({ length: 6 }, (_, i) => `layer ${i}`),
      'pooler',
    ])
  })
})

describe('bad pairs', () => {
  test('no tensor in common: both are named, and what else was asked for', async () => {
    const other = fixtureModel('gpt2/base')
    const error = await refused(
      () => diff({ base: fixtureModel('bert/base'), reference: other }),
      'DIFF_NOTHING_APPLIES',
    )
    expect(error.message).toMatch(/weights: of \d+ and \d+ tensors none has the same name and shape .*words: /)
  })

  test('some shapes differ: they are listed, the rest goes on', async () => {
    const larger = changed(base, () => undefined)
    larger['embeddings.word_embeddings.weight'] = {
      shape: [tokens + 4, hidden],
      values: new Float32Array((tokens + 4) * hidden).fill(0.1),
    }
    larger['extra.weight'] = { shape: [2], values: new Float32Array(2) }
    const found = await weightsOf(files.F32, writeTiny(larger))
    expect(found.reshaped).toEqual([
      { name: 'embeddings.word_embeddings.weight', base: [tokens, hidden], reference: [tokens + 4, hidden] },
    ])
    expect(found.onlyReference).toEqual(['extra.weight'])
  })

  test('a NaN is named', async () => {
    const broken = changed(base, (name, { values }) =>
      name === 'encoder.layer.3.up.bias' ? values.map((value, i) => (i === 5 ? NaN : value)) : undefined,
    )
    const error = await refused(() => weightsOf(files.F32, writeTiny(broken)), 'NOT_FINITE')
    expect(error.details).toMatchObject({ tensor: 'encoder.layer.3.up.bias', side: 'reference' })
  })

  test('an abort ends it with its reason', async () => {
    const reason = new Error('enough')
    const options = { base: files.F32, reference: files.BF16, signal: AbortSignal.abort(reason) }
    await expect(diff(options)).rejects.toBe(reason)
  })

  test('tensors without elements, and of no dimension', async () => {
    const config = { architectures: ['Tiny'], model_type: 'tiny' }
    const one = modelOf(config, [
      { name: 'a.weight', shape: [0, 4] },
      { name: 'b', shape: [], data: new Uint8Array([0, 0, 0, 64]) },
    ])
    const two = modelOf(config, [
      { name: 'a.weight', shape: [0, 4] },
      { name: 'b', shape: [], data: new Uint8Array([0, 0, 64, 64]) },
    ])
    expect((await weightsOf(one, two)).tensors).toMatchObject([
      { name: 'a.weight', elements: 0, relative: 0 },
      { name: 'b', relative: 0.5 },
    ])
  })
})
