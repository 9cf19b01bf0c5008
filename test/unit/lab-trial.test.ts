import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { sealed } from '../../lib/document.js'
import { failedTrial, readTrial, readTrials, statisticsToTrial, trialFile } from '../../lib/lab/index.js'
import { membersAt, tallyMembers, thresholds } from '../../lib/lab/membership.js'
import { trialSet } from '../../lib/lab/trial-set.js'
import { Random } from '../../lib/random.js'
import { footprintOf, readMixtures } from '../../lib/readouts/index.js'
import { modelStatistics, syntheticTrials } from '../support/synthetic-trials.js'

const truth = [0.5, 0.3, 0.1, 0.1]
const statistics = modelStatistics(new Random(1, 'trial'), truth)
const facts = {
  index: 3,
  seed: 1,
  domains: statistics.domains,
  counts: [250, 150, 50, 50],
  recipe: { epochs: 3 },
  timings: { train: 2 },
}
const trial = statisticsToTrial(facts, [{ statistics }, { statistics, path: 'ties' }], { containsTraining: false })

describe('the record of a trial', () => {
  test('has the realised mixture, the footprint and what readMixtures says', async () => {
    expect(trial.truth).toEqual(truth)
    const { mean, standardError, loss } = footprintOf(statistics)
    const [linear, ties] = trial.paths
    expect(linear.mean).toEqual(mean)
    expect(linear.loss).toEqual(loss)
    linear.deviation.forEach((row, d) =>
      row.forEach((value, k) => expect(value).toBeCloseTo(standardError[d][k]! * Math.sqrt(20), 12)),
    )
    expect(linear).toMatchObject({ path: 'linear', scope: 'head', probes: [20, 20, 20, 20] })
    expect(ties.path).toBe('ties')
    const { mixtures } = await readMixtures(statistics, { seed: 1, bootstrap: 20 })
    expect(Object.keys(linear.mixtures)).toEqual(mixtures.map(({ readout }) => readout))
    for (const { readout, mixture } of mixtures) expect(linear.mixtures[readout]).toEqual(Object.values(mixture))
  })

  describe('in files', () => {
    let folder: string
    beforeEach(async () => {
      folder = await mkdtemp(path.join(os.tmpdir(), 'lab-trial-'))
    })
    afterEach(() => rm(folder, { recursive: true }))
    const put = async (index: number, text: string) => {
      const file = path.join(folder, trialFile(index))
      await mkdir(path.dirname(file), { recursive: true })
      await writeFile(file, text)
      return file
    }

    test('comes back as it was, in the order of the indices, unfinished ones left out', async () => {
      const failed = failedTrial({ ...facts, index: 12 }, { code: 'TRAIN_DIVERGED', message: 'the loss is NaN' })
      await put(12, sealed(failed))
      await put(3, sealed(trial))
      await mkdir(path.join(folder, '0007'))
      await mkdir(path.join(folder, '.0008.part'))
      expect(await readTrials(folder)).toEqual([trial, failed])
    })

    test.each([
      ['of another version', JSON.stringify({ ...trial, schema: 'warp.trial/2' }), 'TRIAL_VERSION'],
      ['that is no object', '[]', 'TRIAL_VERSION'],
      ['cut off', JSON.stringify(trial).slice(0, 200), 'TRIAL_NOT_JSON'],
      ['with a row missing', JSON.stringify({ ...trial, paths: [{ ...trial.paths[0], mean: [[1]] }] }), 'TRIAL_FORM'],
      ['with shares of too few domains', JSON.stringify({ ...trial, truth: [1] }), 'TRIAL_FORM'],
      ['without a digest', JSON.stringify(trial), 'TRIAL_EDITED'],
      ['whose seed was changed', sealed(trial).replace('"seed":1', '"seed":2'), 'TRIAL_EDITED'],
      ['with another key', sealed({ ...trial, more: 1 }), 'TRIAL_FORM'],
      ['with a key named __proto__', sealed(trial).replace('{', '{"__proto__":{"error":1},'), 'TRIAL_FORM'],
      ['with a key twice', sealed(trial).replace('{', '{"seed":1,'), 'TRIAL_DUPLICATE_KEY'],
    ])('a file %s is refused', async (_, text, code) => {
      const file = await put(1, text)
      await expect(readTrial(file)).rejects.toMatchObject({ code, exitCode: 3, message: expect.stringContaining(file) })
    })

    test('a folder that is not there is named', async () => {
      await expect(readTrials(path.join(folder, 'none'))).rejects.toMatchObject({ code: 'TRIALS_MISSING' })
    })
  })
})

describe('membership', () => {
  test('counts the texts above each threshold and leaves out those without a loss to lose', () => {
    const tally = tallyMembers(
      {
        domain: [0, 0, 1, 1, 1],
        base: [1, 1, 1, 2, 1e-5],
        reference: [0.5, 0.005, 0.9, 0.2, 0],
      },
      2,
      true,
    )
    // falls of 50, 99.5, 10 and 90 per cent
    expect(tally.pool).toEqual([2, 3])
    expect(tally.above[0]).toEqual(thresholds.map((threshold) => (threshold < 50 ? 2 : 1)))
    expect(tally.above[1]).toEqual(thresholds.map((threshold) => (threshold < 90 ? 1 : 0)))
    expect([...membersAt(tally, 0)]).toEqual([2 / 3, 1 / 3])
    expect([thresholds[0], thresholds[49], thresholds.length]).toEqual([30, 99, 50])
  })

  test('no member at all gives equal shares', () => {
    const tally = tallyMembers({ domain: [0, 1], base: [1, 1], reference: [1, 1] }, 2, true)
    expect([...membersAt(tally, 0)]).toEqual([0.5, 0.5])
  })
})

describe('trials together', () => {
  const [first, second] = syntheticTrials({ trials: 2 })
  test('failures are set aside', () => {
    const failed = failedTrial({ ...facts, index: 9 }, { message: 'out of memory' })
    const set = trialSet([first, failed, second])
    expect(set.trials).toEqual([first, second])
    expect(set.failed).toEqual([{ index: 9, code: 'INTERNAL', message: 'out of memory' }])
    expect(() => trialSet([failed])).toThrow(expect.objectContaining({ code: 'TRIALS_NONE', exitCode: 3 }))
    expect(() => trialSet([])).toThrow(expect.objectContaining({ code: 'TRIALS_NONE' }))
  })

  test.each([
    ['domains', { domains: ['a', 'b', 'c', 'd'] }],
    ['paths', { paths: [] }],
    ['scope', { paths: [{ ...second.paths[0], scope: 'top' }] }],
    ['points', { paths: [{ ...second.paths[0], lambdas: [0.1, 0.2, 0.3, 0.4, 0.5] }] }],
  ])('that differ in their %s are refused', (what, change) => {
    expect(() => trialSet([first, { ...second, ...change }])).toThrow(
      expect.objectContaining({ code: 'TRIALS_DIFFER', message: expect.stringContaining(what) }),
    )
  })
})
