// An option that would change nothing is refused, not swallowed.
import { linkSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { diff } from '../../lib/diff/index.js'
import { planRecover } from '../../lib/recover.js'
import { generate } from '../../lib/generate/index.js'
import { planSelect, select } from '../../lib/select/index.js'
import { readProbes } from '../../lib/text/index.js'
import { planTrace } from '../../lib/plan-trace.js'
import { trace } from '../../lib/trace/index.js'
import { train } from '../../lib/train/index.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'
import { domainFile, trainableModel } from '../support/training.js'

const { base, reference, probes } = makePair('bert', { perDomain: 4 })
const pair = { base, reference }
const language = makeLanguagePair()
const both = { base: language.base, reference: language.reference, count: 1, maxNewTokens: 1 }
const model = { model: language.base, count: 1, maxNewTokens: 1 }
const corpus = { ...pair, corpus: [probes], count: 2, features: 'head' as const }
const out = (): string => join(temporaryDirectory(), 'out')

const unused: Record<string, () => Promise<unknown>> = {
  'a path of one model alone': () => generate({ ...model, path: 'linear' }),
  'tensors that move, of one model alone': () => generate({ ...model, only: ['*'] }),
  'a floor of one model alone': () => generate({ ...model, contrastFloor: 0.5 }),
  'a floor without a contrast': () => generate({ ...both, contrastFloor: 0.5 }),
  'top-k at temperature 0': () => generate({ ...both, temperature: 0, topK: 3 }),
  'ordinary texts without a part that reads them': () => diff({ ...pair, only: ['weights'], texts: ['nowhere'] }),
  'prompts without the part texts': () => diff({ ...pair, only: ['weights', 'words'], prompts: 'nowhere' }),
  'singular values without the part weights': () => diff({ ...pair, only: ['words'], singularValues: 3 }),
  'columns without texts': () => trace({ ...pair, text: ['body'] }),
  'trials without texts': () => trace({ ...pair, probes: [], calibrate: 20 }),
  'a limit without texts': () => planTrace({ ...pair, limit: 3 }),
  'a batch with another strategy': () => select({ ...corpus, output: out(), strategy: 'topk', batch: 4 }),
  'a batch with another strategy, planned': () => planSelect({ ...corpus, output: out(), strategy: 'topk', batch: 4 }),
  'a precision on the CPU': () => planRecover({ ...pair, probes: [probes], device: 'cpu', precision: 'bf16' }),
}

test.each(Object.keys(unused))('%s', async (name) => {
  await expect(unused[name]()).rejects.toMatchObject({ code: 'OPTION_UNUSED', kind: 'usage' })
})

test('where the device is chosen, a precision that it has not is noted', async () => {
  const { notes } = await planRecover({ ...pair, probes: [probes], precision: 'bf16' })
  expect(notes).toContain('precision bf16 is of a GPU: the CPU computes in f32')
})

test('no more synthetic training sets than can be waited for', async () => {
  await expect(trace({ ...pair, probes: [probes], calibrate: 1e9 })).rejects.toMatchObject({
    code: 'CALIBRATE_INVALID',
  })
})

test('on the command line too', async () => {
  const lab = [
    'lab',
    'plan',
    '--base',
    trainableModel(),
    '--data',
    domainFile(['a', 'b'], 12),
    '--texts',
    '6',
    '-o',
    out(),
  ]
  const few = ['--trials', '2', '--probes-per-domain', '3', '-n']
  const models = ['--base', base, '--reference', reference]
  const commands: [string, string[]][] = [
    ['OPTION_UNUSED', [...lab, ...few, '--alpha', '2']],
    ['LAMBDA_CONFLICT', [...lab, ...few, '--points', '3', '--lambdas', '0.1,0.2']],
    ['OPTION_UNUSED', ['trace', ...models, '--members', out()]],
    ['USAGE', ['merge', ...models, '--lambda', '0x1', '-o', out()]],
    ['CLAIMED_FORM', ['recover', ...models, '--probes', probes, '--claimed', 'animals=0x1,plants=0,stones=0']],
  ]
  for (const [code, args] of commands) {
    const { stdout } = await warp([...args, '--json', '-q'])
    expect((JSON.parse(stdout) as ErrorDocument).error.code).toBe(code)
  }
})

test('a file by another of its names is given twice', async () => {
  const link = join(temporaryDirectory(), 'link.jsonl')
  linkSync(probes, link)
  expect(readFileSync(link)).toEqual(readFileSync(probes))
  await expect(readProbes([probes, link], { labels: null })).rejects.toMatchObject({
    code: 'PROBES_SOURCE_TWICE',
  })
})

test('a classifier is not trained as a language model', async () => {
  const data = [domainFile(['a', 'b'], 4)]
  const run = train({ base: trainableModel(), data, output: out(), objective: 'language' })
  await expect(run).rejects.toMatchObject({ code: 'LANGUAGE_MODEL_MISSING' })
})
