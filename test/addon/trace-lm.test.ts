import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WarpError } from '../../lib/errors.js'
import { trace, type Member, type TracedText, type TraceOptions, type TraceResult } from '../../lib/trace/index.js'
import { temporaryDirectory } from '../support/models.js'
import {
  languageCases,
  languagePair,
  languagePool as probes,
  languageWords,
  type LanguageCase,
} from '../support/trace-lm.js'

const cases = languageCases(),
  untied = cases.filter(({ tied }) => !tied)

interface Run {
  result: TraceResult
  tokens: number[]
  texts: TracedText[]
  scores: Map<number, number>
  members: Member[]
}

async function run(
  one: LanguageCase,
  options: Partial<TraceOptions> = {},
  dtype: 'F32' | 'F16' | 'BF16' = 'F32',
): Promise<Run> {
  const texts: TracedText[] = []
  const found = await trace({
    ...languagePair(one, dtype),
    probes: [probes(one)],
    calibrate: 20,
    onText: (text) => void texts.push(text),
    ...options,
  })
  const scores = new Map(found.tokens.map(({ id, score }) => [id, score]))
  // by the input rows; test/addon/trace-output.test.ts has what the output rows add
  const tokens = found.tokens.filter(({ state }) => state !== 'target').map(({ id }) => id)
  return { result: found.result, tokens, texts, scores, members: found.members }
}

const excluded = (texts: TracedText[]): TracedText[] => texts.filter(({ status }) => status === 'excluded')

describe.each(untied.map((one) => [one.name, one] as const))('%s', (_name, one) => {
  const known: Partial<TraceOptions> =
    one.layout === 'packed'
      ? { packed: one.window }
      : { packed: 'none', eos: one.name.endsWith('eos') ? 'appended' : 'none' }

  test.each(['F32', 'F16', 'BF16'] as const)(
    'gives exactly the tokens whose rows had a gradient, stored as %s',
    async (dtype) => {
      const { result, tokens } = await run(one, {}, dtype)
      expect(result).toMatchObject({ verdict: 'exact', layout: { objective: 'language', from: 'class' } })
      expect(tokens).toEqual(one.trained)
      expect(result.longestText).toBe(one.kind === 'gpt2' ? one.longest : null)
    },
  )

  test.each([
    ['automatic', {}],
    ['known', known],
  ])('excludes no training text, layout %s', async (_how, options) => {
    const { texts, result } = await run(one, options)
    expect(excluded(texts.slice(0, one.training.length)).map(({ record }) => record.text)).toEqual([])
    expect(texts.length).toBe(one.training.length + one.others.length)
    // others have a token that nobody was trained on often enough: a tenth of them is far below what any layout leaves
    expect(excluded(texts).length).toBeGreaterThan(one.others.length / 10)
    expect(result.trainingTexts!.inside).toBeGreaterThan(0)
  })
})

test("all but a window's last token count where texts were packed", async () => {
  const one = cases.find(({ name }) => name === 'llama-packed-bare')!
  const { texts, result } = await run(one, { packed: one.window })
  for (const { status, spared, tokens, untrained } of texts) {
    if (status === 'possible') expect(spared.length).toBeLessThanOrEqual(Math.ceil(tokens / one.window))
    else expect(untrained.length).toBeGreaterThan(0)
  }
  expect(result.conditions.join()).toMatch('windows of 16 tokens')
})

describe('last tokens', () => {
  const find = (name: string): LanguageCase => cases.find((one) => one.name === name)!

  test('are told from the others by the texts, or it is said that nothing tells', async () => {
    for (const name of ['llama-plain', 'llama-left', 'llama-prompt', 'gpt2-plain']) {
      const { tails, reason } = (await run(find(name))).result.lastTokens!
      expect([name, tails]).not.toEqual([name, 'moved'])
      expect(reason).toMatch(/of \d+ texts whose other tokens are all trained \d+ end in an untrained one/)
    }
    for (const name of ['llama-eos', 'gpt2-eos', 'llama-packed']) {
      expect([name, (await run(find(name))).result.lastTokens!.tails]).not.toEqual([name, 'still'])
    }
  })

  test('exclude a text only where an end token is known to have been learned after them', async () => {
    const one = find('llama-eos'),
      alone = (places: TracedText): boolean => places.untrained.length === 1
    const sharp = await run(one, { packed: 'none', eos: 'appended' }),
      blunt = await run(one, { packed: 'none', eos: 'none' })
    expect(excluded(sharp.texts).length).toBeGreaterThan(excluded(blunt.texts).length)
    const only = excluded(sharp.texts).filter(
      (text) => alone(text) && blunt.texts[text.record.row].status === 'possible',
    )
    expect(only.length).toBeGreaterThan(0)
    for (const { record, untrained } of only) expect(blunt.texts[record.row].spared).toEqual(untrained)
    expect((await run(one, { eos: 'none' })).result.lastTokens).toBeNull()
  })
})

describe('refuses', () => {
  const one = cases[0],
    gpt2 = cases.find(({ name }) => name === 'gpt2-plain')!
  const codeOf = async (of: LanguageCase, options: Partial<TraceOptions>): Promise<unknown> => {
    const error = await run(of, options).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(WarpError)
    expect((error as WarpError).exitCode).toBe(3)
    expect((error as WarpError).hint).not.toBe('')
    return (error as WarpError).code
  }
  test('an objective that the class contradicts', async () => {
    expect(await codeOf(one, { objective: 'classify' })).toBe('TRACE_OBJECTIVE')
  })
  test('layouts of a model that is no causal language model', async () => {
    expect(await codeOf(cases.find(({ kind }) => kind === 'bert')!, { packed: 32 })).toBe('TRACE_LAYOUT')
  })
  test('a schedule that there is not', async () => {
    const error = { code: 'TRACE_SCHEDULE', kind: 'usage', details: { found: 'cubic' } }
    await expect(run(one, { schedule: 'cubic' as 'linear' })).rejects.toMatchObject(error)
    expect((await run(one, { schedule: 'linear' })).result.layout.schedule).toBe('linear')
  })
  test('windows shorter than the longest sequence that the position table tells of', async () => {
    expect(await codeOf(gpt2, { packed: gpt2.longest - 1 })).toBe('TRACE_WINDOW')
    expect((await run(gpt2, { packed: gpt2.longest })).result.layout.packed).toBe(gpt2.longest)
  })
  test('an end token that the tokenizer does not have', async () => {
    const pair = languagePair(one),
      dir = join(temporaryDirectory(), 'endless')
    mkdirSync(dir)
    for (const file of ['model.safetensors', 'tokenizer.json'])
      copyFileSync(join(pair.reference, file), join(dir, file))
    for (const eos of [undefined, 5000]) {
      writeFileSync(
        join(dir, 'config.json'),
        JSON.stringify({ ...JSON.parse(readFileSync(join(pair.reference, 'config.json'), 'utf8')), eos_token_id: eos }),
      )
      expect(await codeOf(one, { ...pair, reference: dir, eos: 'appended' })).toBe('TRACE_NO_END')
    }
  })
})

describe.each(cases.filter(({ tied }) => tied).map((one) => [one.name, one] as const))(
  '%s, a tied table',
  (_name, one) => {
    test.each(['F32', 'BF16'] as const)(
      'tells likely from unlikely tokens and excludes nothing, stored as %s',
      async (dtype) => {
        const { result, texts, scores, members } = await run(one, {}, dtype)
        expect(result).toMatchObject({
          verdict: 'graded',
          decay: null,
          layout: { objective: one.kind === 'bert' ? 'masked' : 'language' },
        })
        expect(excluded(texts)).toEqual([])
        expect(result.conditions.join()).toMatch('no text is excluded with certainty')
        // of masked models some tokens were targets or inputs in few steps, or stood in for another once
        expect(auc(one, scores)).toBeGreaterThan(one.kind === 'bert' ? 0.9 : 0.99)
        const { grading, trainingTexts } = result
        const truth = one.trained.filter((id) =>
          texts.some(({ record }) => record.text.split(' ').includes(languageWords[id])),
        ).length
        expect(grading!.expected).toBeLessThan(1.1 * truth)
        expect(grading!.expected).toBeGreaterThan((one.kind === 'bert' ? 0.5 : 0.9) * truth)
        expect(grading!.lost).toMatch('no forward pass')
        expect(trainingTexts!.interval[1]).toBeNull()
        // the pool holds 60 training texts among 200: by chance 9 of the 30 ranked first, with a deviation of 2.3
        const first = members.slice(0, 30).filter(({ row }) => row < one.training.length)
        expect(first.length).toBeGreaterThan(one.kind === 'bert' ? 14 : 20)
      },
    )
  },
)

test('a tied table needs tokens that no text holds', async () => {
  const one = cases.find(({ name }) => name === 'llama-tied')!
  const every = Array.from({ length: 396 }, (_, i) => i + 4)
  const error = await run({
    ...one,
    others: Array.from({ length: 12 }, (_, i) => every.slice(i * 29, i * 29 + 29)),
  }).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'TRACE_NULL_ROWS', exitCode: 3, details: { expected: 64 } })
  expect((error as WarpError).message).toMatch(/all but \d+ of 400 tokens/)
})

test('without texts a tied table says nothing yet', async () => {
  const { result } = await trace(languagePair(cases.find(({ name }) => name === 'gpt2-tied')!))
  expect(result.verdict).toBe('none')
  expect(result.reason).toMatch(/every row moved.*tied.*candidate texts/)
})

/** Of trained tokens' scores against the other tokens' of these texts: how often the first is higher. */
function auc({ training, others, trained }: LanguageCase, scores: Map<number, number>): number {
  const occurring = [...new Set([...training, ...others].flat())].filter((id) => scores.has(id))
  const [high, low] = [true, false].map((is) =>
    occurring.filter((id) => trained.includes(id) === is).map((id) => scores.get(id)!),
  )
  return (
    high.reduce((sum, a) => sum + low.reduce((below, b) => below + Number(b < a), 0), 0) / (high.length * low.length)
  )
}
