// Pages of diff, the lab, an evaluation and a training, from results that are made up.
import { parts, type DiffResult } from '../../lib/diff/index.js'
import { diffPage } from '../../lib/diff/page.js'
import type { LabPlan, LabReport } from '../../lib/lab/index.js'
import { evaluatePage, labPage, trainPage } from '../../lib/report/index.js'
import type { EvaluateResult } from '../../lib/select/index.js'
import type { TrainingResult } from '../../lib/train/index.js'

const tool = { name: 'warp-recover', version: '1.2.3', commit: '0123456789abcdef0123456789abcdef01234567' } as const
const file = { role: 'base', path: 'models/base/model.safetensors', size: 123_456_789, sha256: 'ab'.repeat(32) }

const figures = (i: number) => ({ elements: 1e6, relative: 0.01 + i / 100, changed: 1, moved: 0.93, rounding: 1e-6 })
const tokens = (count: number) =>
  Array.from({ length: count }, (_, id) => ({ id, token: id % 9 ? ` token${id}` : 'a-token-without-an-end'.repeat(2) }))

export function diffReport(): string {
  const result: DiffResult = {
    schema: 'warp.diff/1',
    tool: { name: 'warp-recover', version: '1.2.3' },
    command: 'diff',
    seed: 0,
    inputs: { base: 'models/base', reference: 'models/reference' },
    skipped: [{ part: 'nothing', code: 'X', reason: 'it does not apply to this pair of models' }],
    weights: {
      verdict: 'all-trained',
      summary: 'All layers were trained.',
      evidence: ['103 of 103 shared tensors changed, 98 by more than rounding'],
      unexplained: [],
      decay: { tensor: 'embeddings.word', verdict: 'exact', reason: '', decay: -1e-4, trained: 12, rows: 30522 },
      groups: Array.from({ length: 26 }, (_, i) => ({ group: `layer ${i}`, tensors: 16, ...figures(i) })),
      tensors: Array.from({ length: 40 }, (_, i) => ({
        name: `bert.encoder.layer.${i}.attention.output.LayerNorm.weight`,
        group: `layer ${i}`,
        shape: [30522, 1024],
        base: 'F32',
        reference: 'BF16',
        ...figures(i),
        cosine: 0.9,
        scale: null,
        rank: i % 2 ? null : 8,
        effectiveRank: 12.3,
        singularValues: Array.from({ length: 64 }, (_, k) => 1 / (k + 1)),
        noise: 0.01,
        noiseOf: 'BF16',
        change: 1e-3,
      })),
      onlyBase: ['cls.predictions.bias'],
      onlyReference: ['classifier.weight'],
      reshaped: [],
    },
    words: {
      verdict: 'exact',
      reason: '3 rows stand clear',
      trained: 3,
      undecided: 0,
      rows: 30522,
      falsePositiveBound: 1e-3,
      neutral: 'English Wikipedia summaries',
      textTokens: 1234,
      labels: { applies: true, reason: 'directions of two labels' },
      words: tokens(40).map(({ id, token }) => ({
        word: token.trim(),
        label: 'science & technology',
        margin: 0.12,
        tokens: [token, '##more'],
        ids: [id],
        probability: 0.99,
        chance: 0.0123,
        size: 1.5,
      })),
      tokens: tokens(60).map((one) => ({ ...one, label: null, margin: null, probability: 1, chance: 0.01, size: 1 })),
    },
    predictions: {
      neutral: 'English Wikipedia summaries',
      texts: 20,
      tokens: 4000,
      top: 8,
      divergence: { mean: 0.12, median: 0.05, most: 7.1 },
      passages: [{ mean: 2.1, tokens: tokens(16).map(({ token }, i) => ({ token, divergence: i })) }],
      promoted: tokens(40).map((one) => ({ ...one, count: 12, share: 0.03, base: 0.001, reference: 14.2, score: 5.1 })),
      suppressed: tokens(40).map((one) => ({ ...one, count: 12, share: 0.03, base: 14.2, reference: 3, score: -4 })),
      topics: [{ weight: 0.4, tokens: tokens(12).map((one) => ({ ...one, weight: 1 })) }],
      outputs: null,
    },
    lens: {
      neutral: 'English Wikipedia summaries',
      texts: 20,
      through: 'output layer',
      places: [1, 2, 3].map((layer) => ({ layer, position: 2, relative: 0.1, tokens: tokens(12), away: tokens(12) })),
    },
    notes: ['a note'],
  }
  const of = (name: string): unknown => result[name as keyof DiffResult]
  const sections = parts.filter(({ name }) => name in result).map((part) => part.page(of(part.name)))
  return diffPage(result, sections, { options: { base: 'models/base', reference: 'models/reference' }, files: [file] })
}

export function labReport(trials: number, domains: string[]): string {
  const names = [
    'uniform',
    'random',
    'membership[fixed]',
    'softmax',
    'gradient-matching',
    'blend',
    'mlp',
    'equivariant',
  ]
  const errors = names.map((_, r) =>
    Array.from({ length: trials }, (__, t) => (r === 2 && t === 0 ? null : 0.1 - r / 100 + (t % 7) / 300)),
  )
  const truth = domains.map(() => 1 / domains.length)
  const report: LabReport = {
    schema: 'warp.lab/1',
    domains,
    trials: Array.from({ length: trials }, (_, index) => ({ index, fold: index % 4, counts: [1], truth })),
    failed: [{ index: 99, code: 'TRAINING_DIVERGED', message: 'the loss is not a number' }],
    folds: 4,
    seed: 42,
    table: names.map((readout, r) => ({
      readout,
      path: r < 4 ? null : 'linear',
      mae: 0.1 - r / 100,
      maeSd: 0.01,
      mse: 0.001,
      mseSd: 0.0001,
      trials,
      oracle: r === 2,
    })),
    notes: ['membership was inferred over pools of 4000 texts'],
  }
  const plan = {
    base: { path: 'models/base', files: [{ ...file, mtimeMs: 0 }] },
    data: { files: ['texts.jsonl'], reading: {}, sha256: 'cd'.repeat(32), texts: 9000 },
    seed: 7,
    digest: 'ef'.repeat(32),
  } as unknown as LabPlan
  return labPage({ report, errors, plan, tool, folder: 'lab', options: { folds: 4, output: 'out' } })
}

const evaluation = (measure: EvaluateResult['measure']): EvaluateResult => ({
  schema: 'warp.select.evaluate/1',
  selection: 'picked',
  measure,
  labels: 'hard',
  testTexts: 400,
  seeds: 2,
  recipe: {},
  rows: (['selected', 'random', 'true', 'reference'] as const).map((name, i) => ({
    name,
    texts: name === 'reference' ? 0 : 400,
    value: [0.84, 0.44, 0.86, 0.9][i],
    sd: name === 'reference' ? null : 0.01,
    values: name === 'reference' ? [0.9] : [0.83, 0.85].map((value) => value - i / 50),
    agreement: measure === 'accuracy' ? 0.8 : null,
    divergence: measure === 'accuracy' ? 0.3 : null,
    displacement: name === 'reference' ? null : { cosine: 0.61, relativeNorm: 0.8 },
    overlap: null,
  })),
})

export const evaluationReport = (measure: EvaluateResult['measure'] = 'accuracy'): string =>
  evaluatePage({
    result: evaluation(measure),
    selection: {
      base: 'models/base',
      reference: 'models/reference',
      selected: 400,
      features: 'trace',
      strategy: 'topk-balanced',
      corpus: ['wiki.jsonl'],
      notes: [],
    },
    tool,
    files: [file],
    options: { test: ['test.jsonl'], seeds: 2 },
  })

export function trainingReport(steps: number, labels: string[]): string {
  const result: TrainingResult = {
    schema: 'warp.train/1',
    base: { architecture: 'BertForSequenceClassification', files: [], newHead: true },
    data: {
      texts: 9000,
      sha256: 'cd'.repeat(32),
      labels,
      counts: labels.map((_, i) => 40 + i),
      tokens: 1e5,
      truncated: 3,
    },
    recipe: {
      epochs: 3,
      batch: 32,
      learningRate: 5e-5,
      seed: 0,
      freeze: ['a', 'b'],
    } as unknown as TrainingResult['recipe'],
    trained: { tensors: 100, parameters: 22e6, of: 22.7e6 },
    steps,
    loss: Array.from({ length: steps }, (_, i) => 1.4 * Math.exp((-3 * i) / steps) + (i % 7) / 50),
    norm: Array.from({ length: steps }, (_, i) => 3 + (i % 11) / 5),
    checkpoints: [],
    notes: ['3 of 9000 texts were cut off'],
    output: 'models/tuned',
    seconds: 123,
    resumedAt: 0,
  }
  return trainPage({
    result,
    base: 'models/base',
    tool,
    files: [file],
    options: { base: 'models/base', data: ['a.jsonl'] },
  })
}
