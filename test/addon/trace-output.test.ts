import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { trace, type Member, type Traced, type TracedText, type TraceOptions } from '../../lib/trace/index.js'
import { temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'
import { languageCases, languagePair, languagePool as probes, type LanguageCase } from '../support/trace-lm.js'

const cases = languageCases(),
  untied = cases.filter(({ tied }) => !tied)

interface Run extends Traced {
  texts: TracedText[]
}

async function run(
  one: LanguageCase,
  { frozen, ...options }: Partial<TraceOptions> & { frozen?: 'input' | 'output' } = {},
): Promise<Run> {
  const texts: TracedText[] = []
  const onText = (text: TracedText): void => void texts.push(text)
  const found = await trace({
    ...languagePair(one, 'F32', frozen),
    probes: [probes(one)],
    calibrate: 20,
    onText,
    ...options,
  })
  return { ...found, texts }
}

const odds = (p: number): number => Math.log(p) - Math.log1p(-Math.min(p, 1 - 1e-9))
const isMember = (one: LanguageCase, { row }: Member): boolean => row < one.training.length
/** Of as many texts as were trained on, those ranked first that were. */
const right = (one: LanguageCase, members: readonly Member[]): number =>
  members.slice(0, one.training.length).filter((member) => isMember(one, member)).length

describe.each(untied.map((one) => [one.name, one] as const))('%s', (_name, one) => {
  test('output rows are measured against the exact input rows, and add to members only', async () => {
    const { result, tokens, members, texts } = await run(one)
    const plain = await run(one, { frozen: 'output' })
    // what the input rows say stands as it is
    expect(result).toMatchObject({ verdict: 'exact', trainedTokens: plain.result.trainedTokens })
    expect([result.trainingTexts, result.mixtures]).toEqual([plain.result.trainingTexts, plain.result.mixtures])
    expect(texts.map(({ status }) => status)).toEqual(plain.texts.map(({ status }) => status))
    const { verdict, scores, reason } = result.outputRows
    expect(verdict).toBe('graded')
    const trained = tokens.filter(({ state }) => state === 'trained').map(({ id }) => id)
    expect(trained).toEqual(one.trained)
    expect(scores!.known.trained).toBeLessThanOrEqual(trained.length)
    expect(scores!.known.untrained).toBeGreaterThan(40)
    // half a prompt's tokens are trained on the input side and no targets
    expect(scores!.separation).toBeGreaterThan(one.layout === 'prompt' ? 0.75 : 0.93)
    expect(reason).toContain(`${(100 * scores!.recall).toFixed(1)} % of the ${scores!.known.trained} tokens`)
    if (one.layout !== 'prompt') {
      expect(scores!.recall).toBeGreaterThan(0.8)
      expect(scores!.falsePositiveRate).toBeLessThan(0.1)
    }
    for (const member of members) {
      expect(odds(member.probability)).toBeCloseTo(odds(member.byTable!) + member.output!, 4)
      expect(texts[member.row].status).toBe('possible')
    }
    const open = members.filter(({ row }) => texts[row].spared.length > 0)
    expect(open.length).toBe(scores!.open.texts)
    for (const member of members) if (!open.includes(member)) expect(member.output).toBe(0)
    // by the table alone: one test for all layouts, of sets of 60
    const alone = [...members].sort((a, b) => b.byTable! - a.byTable! || a.row - b.row)
    expect(right(one, members)).toBeGreaterThanOrEqual(right(one, alone))
  })

  test('they answer alone where the input rows were frozen, and exclude nothing', async () => {
    const window = one.layout === 'packed' ? { packed: one.window } : {}
    const { result, texts, members, tokens } = await run(one, { frozen: 'input', ...window })
    expect(result).toMatchObject({
      verdict: 'graded',
      decay: null,
      grading: { table: 'lm_head.weight', rows: 'output' },
    })
    expect(result.reason).toMatch(/frozen in training; of the rows of the output layer, lm_head.weight, about \d+/)
    expect(result.outputRows).toMatchObject({ verdict: 'graded', scores: null })
    expect(texts.filter(({ status }) => status === 'excluded')).toEqual([])
    expect(result.conditions.join()).toMatch(/no text is excluded with certainty/)
    const [from, end] = [one.layout === 'packed' || one.around === 'both' ? 0 : 1, one.around !== '']
    const first = (ids: number[]): number => (one.layout === 'prompt' ? ids.length >> 1 : from)
    const targets = new Set(one.training.flatMap((ids) => ids.slice(first(ids))).concat(end ? [3] : []))
    const occurring = new Set([...one.training, ...one.others].flat())
    const known = tokens.filter(({ id }) => occurring.has(id))
    const wrong = known.filter(({ id, probability }) => probability! >= 0.5 !== targets.has(id))
    // texts cut off with a packed window's rest are no training texts here, but their beginnings were learned
    expect(wrong.length).toBeLessThan((one.layout === 'packed' ? 0.15 : 0.05) * known.length)
    if (one.layout === 'prompt')
      expect(right(one, members)).toBeGreaterThan(18) // by chance 60 of 200
    else expect(right(one, members)).toBeGreaterThan(30)
  })
})

test('last tokens that only the output rows tell of are likely targets, or their text is unlikely', async () => {
  const one = untied.find(({ name }) => name === 'llama-plain')!
  const { tokens, members, texts } = await run(one)
  const last = new Set(one.training.map((ids) => ids.at(-1)!))
  const alone = tokens.filter(({ state }) => state === 'target')
  expect(alone.length).toBeGreaterThan(0)
  for (const { id, target } of alone) {
    expect(target).toBeGreaterThanOrEqual(0.5)
    expect([id, last.has(id)]).toEqual([id, true])
  }
  const others = members.filter((member) => !isMember(one, member) && texts[member.row].spared.length > 0)
  const told = members.filter(({ output }) => output! < -1)
  expect(told.filter((member) => isMember(one, member))).toEqual([])
  expect(told.length).toBeGreaterThan(others.length / 2)
})

test('an adapter on the head gives away its targets', async () => {
  const folder = join(repositoryRoot, 'test/fixtures/trace-lm/llama-head')
  const texts: Pick<LanguageCase, 'training' | 'others'> = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8'))
  const one = { ...untied.find(({ name }) => name === 'llama-plain')!, ...texts }
  const { base } = languagePair(one),
    reference = join(temporaryDirectory(), 'adapter')
  cpSync(folder, reference, { recursive: true })
  const { result, tokens, members } = await trace({ base, reference, probes: [probes(one)], calibrate: 20 })
  expect(result).toMatchObject({ verdict: 'graded', grading: { table: 'lm_head.weight', rows: 'output' } })
  const targets = new Set(one.training.flatMap((ids) => ids.slice(1))),
    occurring = new Set([...one.training, ...one.others].flat())
  // rank 4 of 16 columns
  const wrong = tokens.filter(({ id, probability }) => occurring.has(id) && probability! >= 0.5 !== targets.has(id))
  expect(wrong.length).toBeLessThan(0.05 * occurring.size)
  expect(right(one, members)).toBeGreaterThan(30)
})

test('layers that tell nothing say why', async () => {
  const one = untied[0]
  expect((await run(one, { frozen: 'output' })).result.outputRows).toEqual({
    verdict: 'none',
    reason: 'lm_head.weight did not move: it was frozen in training',
    scores: null,
  })
  const none = async (pair: { base: string; reference: string }): Promise<string> =>
    (await trace(pair)).result.outputRows.reason
  expect(await none(languagePair(one))).toMatch('they tell of the tokens of texts')
  expect(await none(languagePair(cases.find(({ name }) => name === 'llama-tied')!))).toMatch('is the input table')
  expect(await none(languagePair(cases.find(({ kind }) => kind === 'bert')!))).toMatch('is the input table')
})

test('results do not depend on threads', async () => {
  const one = untied[0]
  const file = probes(one),
    pair = languagePair(one)
  const [a, b] = await Promise.all([1, 2].map((threads) => trace({ ...pair, probes: [file], calibrate: 20, threads })))
  expect(a).toEqual(b)
})
