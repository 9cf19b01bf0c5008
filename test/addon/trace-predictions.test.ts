import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { trace, type Member } from '../../lib/trace/index.js'
import { train } from '../../lib/train/index.js'
import { warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { networkFixture } from '../support/networks.js'
import { wordPieceOf } from '../support/tokenizer-json.js'

const words = Array.from({ length: 49 }, (_, i) => `w${i}`)
let state = 7
const below = (n: number): number => (state = (state * 48271) % 2147483647) % n
/** Texts of the first `vocabulary` words, two kinds. */
const texts = (count: number, vocabulary: number) =>
  Array.from({ length: count }, (_, i) => ({
    text: Array.from({ length: 6 + below(5) }, () => words[below(vocabulary)]).join(' '),
    label: i % 2 ? 'odd' : 'even',
  }))

/** A language model with its own output layer, or not, fine-tuned until it knows its 30 texts. */
async function pair(fixture: string) {
  const base = temporaryDirectory(),
    reference = join(temporaryDirectory(), 'reference')
  for (const file of ['config.json', 'model.safetensors']) cpSync(networkFixture(fixture, file), join(base, file))
  writeFileSync(
    join(base, 'tokenizer.json'),
    JSON.stringify(wordPieceOf(['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...words])),
  )
  const training = texts(30, 25)
  await train({ base, data: training, output: reference, epochs: 25, batch: 10, learningRate: 3e-3, seed: 1 })
  return { base, reference, training, pool: [...training, ...texts(120, 25), ...texts(60, 49)] }
}

let models: Awaited<ReturnType<typeof pair>>
beforeAll(async () => {
  models = await pair('llama-language')
}, 120_000)

const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length

test('texts that a model was trained on stand out in its predictions, and the ranking follows', async () => {
  const { base, reference, training, pool } = models
  const options = { base, reference, probes: pool, calibrate: 20 }
  const [with_, without] = [await trace({ ...options, predictions: true }), await trace(options)]
  expect(without.result.predictions).toBeNull()
  expect(without.members.every((member: Member) => !('byTable' in member) && !('predictions' in member))).toBe(true)
  // the table's part is the same
  expect({ ...with_.result, predictions: null, notes: [] }).toEqual({ ...without.result, notes: [] })
  const { predictions } = with_.result
  expect(with_.result.outputRows).toMatchObject({ verdict: 'none', scores: null })
  expect(with_.result.outputRows.reason).toMatch(/the texts hold all but \d+ of \d+ tokens; lm_head.weight needs 64/)
  expect(predictions).toMatchObject({ texts: pool.length, unpredicted: 0, truncated: 0 })
  const true_ = (member: Member): boolean => member.row < training.length
  const members = with_.members.filter(true_),
    others = with_.members.filter((member) => !true_(member))
  expect(members).toHaveLength(training.length)
  expect(mean(members.map((member) => member.predictions!))).toBeGreaterThan(
    mean(others.map((member) => member.predictions!)) + 2,
  )
  const right = (all: Member[]): number => all.slice(0, training.length).filter(true_).length
  expect(right(with_.members)).toBeGreaterThan(right(without.members))
  for (const { probability, byTable, predictions: evidence } of with_.members) {
    const odds = Math.log(byTable!) - Math.log1p(-Math.min(byTable!, 1 - 1e-9)) + evidence!
    expect(probability).toBeCloseTo(1 / (1 + Math.exp(-odds)), 3)
  }
  expect(with_.result.notes.join()).toContain('predictions: texts get their probabilities')
})

test('results do not depend on threads', async () => {
  const { base, reference, pool } = models
  const [one, two] = await Promise.all(
    [1, 2].map((threads) => trace({ base, reference, probes: pool, calibrate: 20, predictions: true, threads })),
  )
  expect(one).toEqual(two)
})

test('the command ranks by them, and its lists say both parts', async () => {
  const { base, reference, pool } = models
  const out = join(temporaryDirectory(), 'out'),
    file = join(temporaryDirectory(), 'pool.jsonl')
  writeFileSync(file, pool.map((row) => JSON.stringify(row) + '\n').join(''))
  const common = ['trace', '--base', base, '--reference', reference]
  const found = await warp([...common, '--probes', file, '--predictions', '--calibrate', '20', '-o', out, '--json'])
  expect(found.code).toBe(0)
  expect(JSON.parse(found.stdout).predictions.texts).toBe(pool.length)
  const [header, first] = readFileSync(join(out, 'members.csv'), 'utf8').split('\n')
  expect(header).toBe('rank,probability,byTable,predictions,domain,source,row,text')
  expect(first.split(',')).toHaveLength(8)
  expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('by the table alone')
  const refused = await warp([...common, '--predictions', '--json'])
  expect([refused.code, JSON.parse(refused.stdout).error.code]).toEqual([2, 'PREDICTIONS_NO_TEXTS'])
})

describe('where the table says nothing', () => {
  const frozen = async (epochs: number, learningRate: number): Promise<string> => {
    const output = join(temporaryDirectory(), 'frozen')
    const { base: given, training: data } = models
    await train({ base: given, data, output, epochs, batch: 10, learningRate, seed: 1, freeze: ['*embed_tokens*'] })
    return output
  }
  const read = async (reference: string, probes = models.pool) =>
    trace({ base: models.base, reference, probes, calibrate: 20, predictions: true })

  test('predictions alone tell members from others, with the rate of false ones', async () => {
    const { result, members, tokens } = await read(await frozen(25, 3e-3))
    expect([result.verdict, result.trainingTexts, result.mixtures, tokens]).toEqual(['none', null, [], []])
    const { alone, expected, texts } = result.predictions!
    expect(alone!.gain).toBeGreaterThan(alone!.needed)
    expect(texts).toBe(models.pool.length)
    const { length } = models.training
    // 30 of 210 texts, learned by heart: the expected number errs by a few
    expect(Math.abs(expected - length)).toBeLessThan(10)
    expect(members).toHaveLength(models.pool.length)
    expect(members.slice(0, length).filter(({ row }) => row < length).length).toBeGreaterThan(0.8 * length)
    const called = members.filter(({ row, probability }) => row >= length && probability >= 0.5)
    // of 180 others, the rate with three deviations
    const most = 180 * alone!.falsePositiveRate
    expect(called.length).toBeLessThanOrEqual(most + 3 * Math.sqrt(most) + 1)
    expect(members.every((member) => !('byTable' in member))).toBe(true)
    expect(result.notes.join()).toContain('predictions alone: two kinds of text explain their sums better than one')
  }, 120_000)

  test('or it is said that they tell nothing', async () => {
    // texts of one kind, of which none was trained on
    const { result, members } = await read(await frozen(25, 3e-3), models.pool.slice(30, 150))
    expect([result.verdict, result.predictions, members]).toEqual(['none', null, []])
    expect(result.notes.join()).toContain(
      'predictions alone tell nothing: one kind of text explains their sums as well',
    )
  })
})

test('a classifier is refused', async () => {
  const { base, pool } = models
  const classifier = temporaryDirectory(),
    reference = join(temporaryDirectory(), 'classifier')
  for (const file of ['config.json', 'model.safetensors'])
    cpSync(networkFixture('llama-classify', file), join(classifier, file))
  cpSync(join(base, 'tokenizer.json'), join(classifier, 'tokenizer.json'))
  await train({ base: classifier, data: pool.slice(0, 20), output: reference, labels: ['even', 'odd'], epochs: 1 })
  await expect(trace({ base: classifier, reference, probes: pool, predictions: true })).rejects.toMatchObject({
    code: 'PREDICTIONS_OBJECTIVE',
  })
})
