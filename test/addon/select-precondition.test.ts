// Gradients preconditioned by q: against gradients that are written out from a pair's weights, the loop over all of
// them, whatever the shards, threads and memory; what stays as it was, and what is refused.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mergeSelection, planSelect, select, selectPart, type SelectOptions } from '../../lib/select/index.js'
import { readShard } from '../../lib/select/shards.js'
import { warp, type ErrorDocument } from '../support/command.js'
import { readTensors, temporaryDirectory as folder } from '../support/models.js'
import { networkFixture } from '../support/networks.js'
import { makePair, pairLabels, pairText, type TestPair } from '../support/pair.js'
import { featureDigests } from '../support/select.js'

let pair: TestPair
let corpus: string
beforeAll(() => {
  pair = makePair('bert')
  corpus = join(pair.folder, 'corpus.jsonl')
  const texts = Array.from({ length: 1100 }, (_, i) => ({ text: pairText(pairLabels[i % 3], i) }))
  writeFileSync(corpus, texts.map((one) => `${JSON.stringify(one)}\n`).join(''))
})
afterAll(() => rmSync(pair.folder, { recursive: true, force: true }))

const options = (output: string, more: Partial<SelectOptions> = {}): SelectOptions => ({
  ...{ base: pair.base, reference: pair.reference, corpus: [corpus], output, count: 12, window: 16 },
  ...{ features: 'head', strategy: 'greedy', lambdas: [0, 0.5], threads: 1, ...more },
})

/** v = θ* − θ_λ of the scope, one row of weights and its bias after the other; the path is the straight one. */
function direction(scope: 'head' | 'top', lambda: number): number[] {
  const [base, reference] = [pair.base, pair.reference].map((one) => readTensors(join(one, 'model.safetensors')))
  const v: number[] = []
  for (const name of scope === 'top' ? ['classifier', 'bert.pooler.dense'] : ['classifier']) {
    const { shape } = base.get(`${name}.weight`)!
    const at = (kind: string, i: number): number => {
      const [from, to] = [base, reference].map((tensors) => tensors.get(`${name}.${kind}`)!.data[i])
      return to - Math.fround((1 - lambda) * from + lambda * to)
    }
    for (let r = 0; r < shape[0]; r++) {
      for (let c = 0; c < shape[1]; c++) v.push(at('weight', r * shape[1] + c))
      v.push(at('bias', r))
    }
  }
  const length = Math.hypot(...v)
  return v.map((one) => one / length)
}

interface Written {
  gradients: number[][]
  v: number[]
}

/** Every window's gradient over both points, divided by its root mean squares to the q, and the direction. */
async function written(output: string, scope: 'head' | 'top', q: number): Promise<Written> {
  const { key } = JSON.parse(readFileSync(join(output, 'features/corpus.json'), 'utf8')) as { key: string }
  const rows: Float32Array[] = []
  let pieces: number[] = []
  for (let shard = 0; shard < 2; shard++) {
    const { sections } = await readShard(join(output, 'features'), { key, shard })
    pieces = Array.from(sections.pieces)
    const width = sections.rows.length / (sections.offsets.length - 1)
    for (let at = 0; at < sections.rows.length; at += width)
      rows.push(sections.rows.subarray(at, at + width) as Float32Array)
  }
  const moment = Array.from(rows[0], (_, c) => Math.sqrt(rows.reduce((sum, row) => sum + row[c] ** 2, 0) / rows.length))
  const gradients = rows.map((row) => {
    const g: number[] = []
    for (let p = 0; p < pieces.length; p += 4) {
      const [u, us, w, ws] = pieces.slice(p, p + 4)
      for (let r = u; r < u + us; r++) {
        for (let c = w; c < w + ws; c++) g.push((row[r] * row[c]) / (moment[r] * moment[c]) ** q)
        g.push(row[r] / moment[r] ** q)
      }
    }
    return g
  })
  const v = [0, 0.5].flatMap((lambda) => direction(scope, lambda)).map((one) => one / Math.SQRT2)
  return { gradients, v }
}

const dot = (a: number[], b: number[]): number => a.reduce((sum, one, i) => sum + one * b[i], 0)

/** The loop over all windows: numbers of the picks, and the cosine of the sum after each. */
function naive({ gradients, v }: Written, count: number): { pick: number; cosine: number }[] {
  const along = gradients.map((g) => -dot(g, v))
  const norm2 = gradients.map((g) => dot(g, g))
  const sum = new Array<number>(v.length).fill(0)
  let [sumAlong, sumNorm2] = [0, 0]
  const left = new Set(gradients.keys())
  return Array.from({ length: count }, () => {
    let best = { pick: -1, cosine: -2, norm2: 0 }
    for (const i of left) {
      const own = sumNorm2 + 2 * dot(sum, gradients[i]) + norm2[i]
      const cosine = (sumAlong + along[i]) / Math.sqrt(own)
      if (cosine > best.cosine) best = { pick: i, cosine, norm2: own }
    }
    left.delete(best.pick)
    gradients[best.pick].forEach((one, j) => (sum[j] += one))
    sumAlong += along[best.pick]
    sumNorm2 = best.norm2
    return best
  })
}

// Factors and points of the path are rounded to float32, of weights below 1 that moved by some .05: 1e-5 of a cosine.
describe.each(['head', 'top'] as const)('%s', (scope) => {
  let output: string
  beforeAll(async () => {
    output = folder()
    await select(options(output, { features: scope }))
  })

  test.each([0.5, 1])('q = %d: greedy picks what the loop over written gradients picks', async (q) => {
    const expected = naive(await written(output, scope, q), 12)
    const { documents, result } = await select(options(output, { features: scope, precondition: q }))
    expect(result.reused).toBe(2)
    expect(result.precondition).toBe(q)
    expect(documents.map(({ document }) => document)).toEqual(expected.map(({ pick }) => pick))
    for (const [i, { cosine }] of documents.entries()) expect(Math.abs(cosine! - expected[i].cosine)).toBeLessThan(1e-5)
  })

  test('topk goes by the cosines of divided gradients', async () => {
    const { gradients, v } = await written(output, scope, 1)
    const cosine = gradients.map((g) => -dot(g, v) / Math.sqrt(dot(g, g)))
    const { documents } = await select(options(output, { features: scope, strategy: 'topk', precondition: 1 }))
    const best = [...cosine].sort((a, b) => b - a)
    for (const [i, { score, document }] of documents.entries()) {
      expect(Math.abs(score - cosine[document])).toBeLessThan(1e-5)
      expect(Math.abs(score - best[i])).toBeLessThan(1e-5)
    }
  })

  test.each(['linear', 'slerp', 'ties'] as const)('%s: a q that is next to nothing changes as much', async (path) => {
    const own = path === 'linear' ? output : folder()
    const asked = { features: scope, strategy: 'topk', count: 1100, path } as const
    const plain = await select(options(own, asked))
    const tiny = await select(options(own, { ...asked, precondition: 1e-12 }))
    const scores = new Map(plain.documents.map(({ document, score }) => [document, score]))
    for (const { document, score } of tiny.documents) expect(Math.abs(score - scores.get(document)!)).toBeLessThan(1e-5)
  })

  test('the same picks and numbers whatever the threads, with rows in files, and from parts', async () => {
    const asked = { features: scope, precondition: 0.5 } as const
    const expected = await select(options(output, asked))
    for (const more of [{ threads: 3 }, { memory: 2 ** 18 }]) {
      const found = await select(options(output, { ...asked, ...more }))
      expect(found.documents).toEqual(expected.documents)
    }
    const parts = folder()
    for (const index of [1, 0]) await selectPart(options(parts, { features: scope }), { index, of: 2 })
    const { documents, result } = await mergeSelection({
      ...{ parts: [parts], output: folder(), count: 12, strategy: 'greedy', precondition: 0.5 },
    })
    expect(documents).toEqual(expected.documents)
    expect(result.precondition).toBe(0.5)
  })
})

test('q = 0 is what there was without; features stay the same bytes whatever q', async () => {
  const [one, two, three] = [folder(), folder(), folder()]
  const expected = await select(options(one))
  const found = await select(options(two, { precondition: 0 }))
  expect(found.documents).toEqual(expected.documents)
  expect(expected.result.precondition).toBe(0)
  const divided = await select(options(three, { precondition: 1 }))
  expect(divided.documents).not.toEqual(expected.documents)
  for (const other of [two, three]) expect(featureDigests(other)).toEqual(featureDigests(one))
})

test('what is left out does not count in the root mean squares', async () => {
  const doubled = join(pair.folder, 'doubled.jsonl')
  const lines = readFileSync(corpus, 'utf8').trim().split('\n').slice(0, 400)
  writeFileSync(doubled, [...lines, ...lines.slice(0, 100)].join('\n'))
  const single = join(pair.folder, 'single.jsonl')
  writeFileSync(single, lines.join('\n'))
  const asked = { precondition: 1, dedupe: 'exact' } as const
  const texts = async (file: string): Promise<unknown[]> => {
    const { documents } = await select(options(folder(), { ...asked, corpus: [file] }))
    return documents.map(({ text, score, cosine }) => [text, score, cosine])
  }
  expect(await texts(doubled)).toEqual(await texts(single))
})

test('features are those that hold factors where none are said; the plan says q', async () => {
  const asked = { features: undefined, strategy: undefined, precondition: 1 }
  const { result } = await select(options(folder(), asked))
  expect([result.features, result.strategy, result.precondition]).toEqual(['head', 'greedy', 1])
  const plan = await planSelect(options(folder(), asked))
  expect([plan.features, plan.precondition]).toEqual(['head', 1])
})

test('what is out of range, or has no factors, is refused', async () => {
  const refused = (more: Partial<SelectOptions>, code: string): Promise<void> =>
    expect(select(options(folder(), { precondition: 1, ...more }))).rejects.toMatchObject({ code, exitCode: 2 })
  for (const precondition of [-0.1, 1.01, NaN]) await refused({ precondition }, 'PRECONDITION_RANGE')
  await refused({ features: 'trace', strategy: 'topk' }, 'PRECONDITION_UNSUPPORTED')
  await refused({ features: 'all', lambdas: [0.5] }, 'PRECONDITION_UNSUPPORTED')
  await refused({ strategy: 'loss-min' }, 'PRECONDITION_UNSUPPORTED')
  await refused({ strategy: 'random' }, 'PRECONDITION_UNSUPPORTED')
  const language = networkFixture('llama-language')
  await refused({ base: language, reference: language }, 'PRECONDITION_UNSUPPORTED')
  const given = ['--base', pair.base, '--reference', pair.reference, '--corpus', corpus, '--count', '5']
  const run = await warp(['select', ...given, '-o', folder(), '--features', 'all', '--precondition', '1', '--json'])
  expect(run.code).toBe(2)
  const { error } = JSON.parse(run.stdout) as ErrorDocument
  expect(error.code).toBe('PRECONDITION_UNSUPPORTED')
  expect(error.hint).toContain('--features head')
})
