// --dry-run: everything is checked, nothing is written, and the figures are those of the run.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DiffPlan, FootprintPlan, SelectPlan, SelectResult, TracePlan } from '../../lib/index.js'
import { partNames } from '../../lib/diff/index.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { makePair } from '../support/pair.js'

const pair = makePair()
const models = ['--base', pair.base, '--reference', pair.reference]
const folder = join(pair.folder, 'out')

async function documentOf<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await warp([...args, '--json', '-q'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
async function refusalOf(...args: string[]): Promise<string> {
  return (JSON.parse((await warp([...args, '--json', '-q'])).stdout) as ErrorDocument).error.code
}

describe('footprint', () => {
  const args = ['footprint', ...models, '--probes', pair.probes, '--points', '4', '-o', folder]

  test('is planned as recover is, less what recover alone does', async () => {
    const plan = await documentOf<FootprintPlan>(...args, '-n')
    const whole = await documentOf<FootprintPlan>('recover', ...args.slice(1), '-n')
    expect(plan).toMatchObject({ schema: 'warp.plan/1', probes: 96, points: 4, tokens: whole.tokens })
    expect(plan.flops).toBeLessThanOrEqual(whole.flops)
    expect(plan.workingMemoryBytes).toBeLessThanOrEqual(whole.workingMemoryBytes)
    expect((await warp([...args, '-n'])).stdout).toMatch(/^96 probes of 3 domains.*\n {2}memory .*\n {2}work /)
    expect(existsSync(folder)).toBe(false)
  })

  test('refuses what the run refuses', async () => {
    expect(await refusalOf(...args, '-n', '--memory', '1000')).toBe('MEMORY_BUDGET')
    expect(await refusalOf(...args, '-n', '--scope', 'nothing*')).toBe(await refusalOf(...args, '--scope', 'nothing*'))
  })
})

describe.each(['trace', 'head', 'all'])('select, features %s', (features) => {
  const output = join(pair.folder, features)
  const args = ['select', ...models, '--corpus', pair.probes, '--features', features, '--window', '8', '-o', output]
  // the trace of random weights says nothing of the tokens: what follows the features cannot be run
  const strategy = features === 'trace' ? [] : ['--strategy', 'topk']

  test('is planned from the whole corpus and the features of some of it, and writes nothing', async () => {
    const plan = await documentOf<SelectPlan>(...args, '--count', '9', '-n')
    expect(plan).toMatchObject({ documents: 96, shards: 1, reused: 0, tried: 64, features })
    expect(plan.windows).toBeGreaterThan(96)
    expect(plan.diskBytes).toBeGreaterThan(2 * plan.tokens) // 16 bits each, and more
    expect(plan.estimatedSeconds).toBeGreaterThanOrEqual(0)
    expect(existsSync(output)).toBe(false)
    expect(await refusalOf(...args, '--count', String(plan.windows + 1), '-n')).toBe('CORPUS_SMALL')
  })

  if (features !== 'trace')
    test('the run is as planned, and afterwards nothing is left to be made', async () => {
      const plan = await documentOf<SelectPlan>(...args, '--count', '9', '-n')
      const result = await documentOf<SelectResult>(...args, ...strategy, '--count', '9')
      const { documents, windows, split, truncated } = plan
      expect(result).toMatchObject({ documents, windows, split, truncated })
      expect(result.featureBytes.total / plan.diskBytes).toBeGreaterThan(0.5)
      expect(result.featureBytes.total / plan.diskBytes).toBeLessThan(2)
      const again = await documentOf<SelectPlan>(...args, '--count', '9', '-n')
      expect(again).toMatchObject({ windows, reused: 1, tried: 0, estimatedSeconds: 0, diskBytes: 0 })
      const other = [...args, '--count', '9', '-n', '--stride', '4']
      expect(await refusalOf(...other)).toBe('FEATURES_OTHER')
      expect(await documentOf<SelectPlan>(...other, '--force')).toMatchObject({ reused: 0, tried: 64 })
    })
})

describe('trace', () => {
  const args = ['trace', ...models, '--probes', pair.probes, '-o', folder]

  test('counts texts and what there is to read, and writes nothing', async () => {
    const plan = await documentOf<TracePlan>(...args, '-n')
    expect(plan).toMatchObject({
      table: { rows: 120 },
      texts: { count: 96, domains: { animals: 32, plants: 32, stones: 32 }, tried: 96, sets: 60 },
    })
    // two models in float32, both small enough to be tried whole
    expect(plan.bytes).toBe(8 * plan.elements)
    expect(plan.tried).toBe(plan.elements)
    expect((await documentOf<TracePlan>('trace', ...models, '-n')).texts).toBeNull()
    expect((await warp([...args, '-n'])).stdout).toMatch(
      /^table .*, 120 rows of \d+; .* to read\n {2}memory .*\n {2}work /,
    )
    expect(existsSync(folder)).toBe(false)
  })

  test('of language models says what is not in the times', async () => {
    const { base, reference } = makeLanguagePair()
    const options = ['--probes', pair.probes, '-n', '--predictions']
    const plan = await documentOf<TracePlan>('trace', '--base', base, '--reference', reference, ...options)
    expect(plan.notes).toContainEqual(expect.stringContaining('(--predictions) is not in the times'))
  })

  test('refuses what the run refuses before it reads a table', async () => {
    expect(await refusalOf(...args, '-n', '--predictions')).toBe('PREDICTIONS_OBJECTIVE')
    expect(await refusalOf(...args, '-n', '--eos', 'none')).toBe(await refusalOf(...args, '--eos', 'none'))
    expect(await refusalOf(...args, '-n', '--text', 'nothing')).toBe('PROBES_COLUMN_UNKNOWN')
  })
})

describe('diff', () => {
  const args = ['diff', ...models, '-o', folder]

  test('names the parts and what there is to read, and writes nothing', async () => {
    const plan = await documentOf<DiffPlan>(...args, '-n')
    expect(plan.parts.map(({ part }) => part)).toEqual(partNames)
    expect(plan).toMatchObject({ bytes: 8 * plan.elements, tried: plan.elements, texts: { count: 256 } })
    const words = await documentOf<DiffPlan>(...args, '-n', '--only', 'words')
    expect(words).toMatchObject({ tried: 0, weightsSeconds: null, texts: null })
    expect((await warp([...args, '-n', '-q'])).stdout).toMatch(
      / tensors in both models[\s\S]*\n {2}weights: which weights/,
    )
    expect(existsSync(folder)).toBe(false)
  })

  test('refuses what the run refuses', async () => {
    expect(await refusalOf(...args, '-n', '--only', 'poem')).toBe('DIFF_PART_UNKNOWN')
    expect(await refusalOf(...args, '-n', '--singular-values', '65')).toBe('OPTION_RANGE')
  })
})
