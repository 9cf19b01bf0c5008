import {
  fitProjectors,
  labReportSchema,
  labTable,
  reportTable,
  statisticsToTrial,
  trialsCsv,
  type Trial,
} from '../../lib/lab/index.js'
import { absoluteError, foldsOf, predictFold, type CrossValidation } from '../../lib/lab/crossval.js'
import { learnersFor, type Learner } from '../../lib/lab/learners.js'
import { errorsOf, type Reported } from '../../lib/lab/report.js'
import { failedTrial, samplingOf } from '../../lib/lab/trial-record.js'
import { Random } from '../../lib/random.js'
import { readMixtures } from '../../lib/readouts/index.js'
import type { Example } from '../../lib/readouts/spread.js'
import { modelStatistics, syntheticTrials } from '../support/synthetic-trials.js'

const trials = syntheticTrials({ trials: 30 })
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
const examplesOf = (all: Trial[]) => all.map(({ paths: [summary], truth }) => ({ summary, truth }))

const crossValidate = async (learner: Learner, examples: Example[], options: CrossValidation): Promise<number[][]> => {
  const shares: number[][] = []
  for (let f = 0; f < options.folds; f++)
    (await predictFold(learner, examples, options, f)).forEach((row, i) => (shares[i] = row))
  return shares
}

describe('folds', () => {
  test.each([
    [40, 10],
    [16, 10],
    [10, 10],
    [23, 3],
  ])('of %i trials in %i differ by at most one trial', (n, folds) => {
    const fold = foldsOf(n, folds, 42)
    const sizes = Array.from({ length: folds }, (_, f) => fold.filter((own) => own === f).length)
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
    expect(sizes.reduce((a, b) => a + b)).toBe(n)
    expect([...fold]).not.toEqual([...fold].sort((a, b) => a - b))
    expect(foldsOf(n, folds, 42)).toEqual(fold)
  })
})

test('covered: how often the intervals that `recover` gives hold the true share', async () => {
  const inside: Record<string, number[]> = {}
  const own: Trial[] = []
  for (const [index, { counts, truth }] of trials.slice(0, 6).entries()) {
    const statistics = modelStatistics(new Random(9, 'covered', index), truth)
    const { domains } = statistics
    const { mixtures } = await readMixtures(statistics, { seed: 4, bootstrap: 200 })
    for (const { readout, interval } of mixtures)
      domains.forEach((name, d) => {
        const [low, high] = interval[name]
        ;(inside[readout] ??= []).push(Number(low <= truth[d] && truth[d] <= high))
      })
    const footprints = [{ statistics, sampling: await samplingOf(statistics, { seed: 4 }) }]
    own.push(
      statisticsToTrial({ index, seed: 4, domains, counts, recipe: {}, timings: {} }, footprints, {
        containsTraining: false,
      }),
    )
  }
  const { report } = await reportTable([...own, ...trials.slice(6, 12)])
  const rows = report.table.filter(({ readout }) => inside[readout])
  expect(rows.map(({ readout }) => readout).toSorted()).toEqual(Object.keys(inside).toSorted())
  for (const { readout, coverage } of rows)
    expect([readout, coverage]).toEqual([readout, expect.closeTo(mean(inside[readout]), 12)])
  expect(rows.some(({ coverage }) => coverage! > 0 && coverage! < 1)).toBe(true)
  expect(report.table.find(({ readout }) => readout === 'equivariant')).toMatchObject({ coverage: null })
  expect(labTable(report)).toMatch(/trials {2}covered\n/)
})

describe('cross-validation', () => {
  const few = examplesOf(trials.slice(0, 12))
  const [mlp, equivariant] = learnersFor(few, { seed: 42 })

  test('a trial’s own truth has no say in its estimate', async () => {
    const fold = foldsOf(few.length, 4, 42)
    const changed = few.map((example, i) => (fold[i] === 0 ? { ...example, truth: [0.97, 0.01, 0.01, 0.01] } : example))
    for (const learner of [{ ...mlp, candidates: mlp.candidates.slice(3) }, equivariant]) {
      const [honest, misled] = await Promise.all(
        [few, changed].map((examples) => crossValidate(learner, examples, { folds: 4, seed: 42 })),
      )
      few.forEach((_, i) =>
        fold[i] === 0 ? expect(misled[i]).toEqual(honest[i]) : expect(misled[i]).not.toEqual(honest[i]),
      )
    }
  })

  test('with the mixtures dealt out at random, nothing is learned', async () => {
    const order = new Random(4, 'permuted').permutation(trials.length)
    const examples = examplesOf(trials).map(({ summary }, i) => ({ summary, truth: trials[order[i]].truth }))
    const D = 4
    const mean = Array.from({ length: D }, (_, d) =>
      examples.reduce((sum, { truth }) => sum + truth[d] / examples.length, 0),
    )
    const chance = examples.reduce((sum, { truth }) => sum + absoluteError(mean, truth) / examples.length, 0)
    for (const learner of [{ ...mlp, candidates: mlp.candidates.slice(3) }, equivariant]) {
      const shares = await crossValidate(learner, examples, { folds: 5, seed: 42 })
      const error = shares.reduce((sum, own, i) => sum + absoluteError(own, examples[i].truth) / examples.length, 0)
      // The best constant has error `chance`; its sd over 30 trials is .08/√30 = .015, and less for the difference.
      expect(error).toBeGreaterThan(chance - 0.015)
    }
  })
})

describe('the report', () => {
  let reported: Reported
  const done: number[] = []
  beforeAll(async () => {
    const failed = failedTrial({ ...trials[0], index: 30 }, { code: 'TRAIN_DIVERGED', message: 'the loss is NaN' })
    reported = await reportTable([...trials, failed], {
      onProgress: ({ done: fits, total }) => done.push(fits / total),
    })
  })
  const row = (name: string) => reported.report.table.find(({ readout }) => readout === name)!

  test('has every readout once, baselines first, and keeps to its schema', () => {
    const { table, failed } = labReportSchema.parse(JSON.parse(JSON.stringify(reported.report)))
    expect(table.map(({ readout }) => readout)).toEqual([
      'uniform',
      'random',
      'membership[fixed]',
      'membership[best]',
      'membership',
      'mean-probability',
      'stationary',
      'prior-shift',
      'softmax',
      'gradient-matching',
      'projection',
      'blend',
      'mlp',
      'equivariant',
    ])
    expect(table.filter(({ oracle }) => oracle).map(({ readout }) => readout)).toEqual(['membership[best]'])
    expect(table.filter(({ path }) => path !== null).map(({ readout }) => readout)).toEqual([
      'softmax',
      'gradient-matching',
      'projection',
      'blend',
      'mlp',
      'equivariant',
    ])
    expect(table.every(({ trials: n }) => n === 30)).toBe(true)
    expect(failed).toEqual([{ index: 30, code: 'TRAIN_DIVERGED', message: 'the loss is NaN' }])
  })

  test('errors are those of the mixtures', () => {
    const errors = trials.map(({ truth }) => absoluteError([0.25, 0.25, 0.25, 0.25], truth))
    const mean = errors.reduce((a, b) => a + b) / 30
    expect(row('uniform').mae).toBeCloseTo(mean, 12)
    expect(row('uniform').maeSd).toBeCloseTo(Math.sqrt(errors.reduce((sum, e) => sum + (e - mean) ** 2, 0) / 29), 12)
    expect(row('uniform').mse).toBeCloseTo(
      trials.reduce((sum, { truth }) => sum + truth.reduce((all, share) => all + (share - 0.25) ** 2, 0) / 4, 0) / 30,
      12,
    )
  })

  test('what was learned beats equal shares by far; a random mixture does worse', () => {
    expect(row('mlp').mae).toBeLessThan(0.5 * row('uniform').mae)
    expect(row('equivariant').mae).toBeLessThan(0.5 * row('uniform').mae)
    expect(row('random').mae).toBeGreaterThan(row('uniform').mae)
    expect(row('membership[best]').mae).toBeLessThanOrEqual(row('membership[fixed]').mae)
  })

  test('progress grows to the end', () => {
    expect(done).toEqual([...done].sort((a, b) => a - b))
    expect(done.at(-1)).toBe(1)
  })

  test('as a table for people', () => {
    const text = labTable(reported.report)
    for (const word of [
      'readout',
      'MAE',
      '± sd',
      'membership[best] (oracle)',
      'mlp',
      'linear',
      row('mlp').mae.toFixed(4),
      'trial 30 failed: TRAIN_DIVERGED',
      'not trained on',
    ])
      expect(text).toContain(word)
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
    expect(labTable(reported.report, { color: true })).toContain('\u001b[')
  })

  test('trial by trial as CSV', () => {
    const lines = trialsCsv(reported).split('\r\n')
    expect(lines[0]).toBe(
      'trial,fold,readout,path,oracle,mae,mse,true domain 0,true domain 1,true domain 2,true domain 3,' +
        'estimated domain 0,estimated domain 1,estimated domain 2,estimated domain 3',
    )
    expect(lines).toHaveLength(1 + 14 * 30 + 1)
    const mlp = lines.filter((line) => line.includes(',mlp,linear,false,')).map((line) => line.split(','))
    expect(mlp.map(([index]) => Number(index))).toEqual(trials.map(({ index }) => index))
    expect(mlp.reduce((sum, cells) => sum + Number(cells[5]) / 30, 0)).toBeCloseTo(row('mlp').mae, 12)
    const named = { ...reported, report: { ...reported.report, domains: ['a,b', 'say "x"', 'c', 'd'] } }
    expect(trialsCsv(named).split('\r\n')[0]).toContain('"true a,b","true say ""x""",true c')
  })

  test('a readout that did not apply to a trial has one trial less', () => {
    const shares = [[0.5, 0.5], null]
    expect(
      errorsOf({ readout: 'x', path: null, oracle: false, shares }, [
        [1, 0],
        [0, 1],
      ]),
    ).toEqual([{ mae: 0.5, mse: 0.25 }, null])
  })

  test('fewer trials than folds are refused, with both numbers', async () => {
    await expect(reportTable(trials.slice(0, 9), { folds: 10 })).rejects.toMatchObject({
      code: 'TRIALS_FEW',
      exitCode: 3,
      message: '10 folds need at least 10 trials, there are 9',
    })
  })

  test('fewer trials than ten are left out one at a time, and a fit has the errors of the report', async () => {
    const few = trials.slice(0, 6)
    const { report } = await reportTable(few)
    expect(report.folds).toBe(6)
    expect(new Set(report.trials.map(({ fold }) => fold)).size).toBe(6)
    expect(labTable(report).replace(/\s+/g, ' ')).toContain(
      'mlp and equivariant by leave-one-out cross-validation, seed 42',
    )
    for (const { model, path, training } of await fitProjectors(few)) {
      const row = report.table.find((one) => one.readout === model.kind && one.path === path)!
      expect(training).toMatchObject({ trials: 6, folds: 6 })
      expect(Math.abs(training.error - row.mae)).toBeLessThan(1e-12)
    }
  })

  test('stops when told to', async () => {
    const signal = AbortSignal.timeout(50)
    await expect(reportTable(trials, { signal })).rejects.toThrow(/timeout|abort/i)
  })
})
