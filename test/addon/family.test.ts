// `recover` of several references: each as if it were alone, side by side; what belongs to one model is refused.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { familyNames } from '../../lib/family.js'
import { merge, type RecoverResult, recover, recoverFamily, resultSchemas } from '../../lib/index.js'
import { stepsOf } from '../../lib/report/family.js'
import { Tokenizer } from '../../lib/text/tokenizer/index.js'
import { contents } from '../attack/commands.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, pairLabels } from '../support/pair.js'

const pair = makePair()
const folder = temporaryDirectory()
const references = [1, 2].map((n) => join(folder, `step-${n}`))
const options = { base: pair.base, points: 3, bootstrap: 20, threads: 1 }
const texts = Array.from({ length: 60 }, (_, i) => ({ text: `the cat sat ${i}`, label: pairLabels[i % 3] }))
const command = ['recover', '--base', pair.base, '--points', '3', '--bootstrap', '20', '-q', '--reference']
const probes = ['--probes', pair.probes]

beforeAll(async () => {
  for (const [i, output] of references.entries())
    await merge({ base: pair.base, reference: pair.reference, lambda: 0.5 * (i + 1), output })
})

/** What a document says of a model, less how long it took. */
const said = ({ timings: _t, peakMemoryBytes: _p, plannedMemoryBytes: _m, command: _c, ...rest }: RecoverResult) => rest

async function refused(...args: string[]): Promise<ErrorDocument['error'] & { exit: number | null }> {
  const { code, stdout } = await warp([...args, '--json'])
  return { ...(JSON.parse(stdout) as ErrorDocument).error, exit: code }
}

test('each member is what it would be alone, of texts that can be read once only', async () => {
  let reads = 0
  async function* once() {
    reads++
    yield* texts
  }
  const { result, alignments } = await recoverFamily({ ...options, references, probes: once() })
  expect(reads).toBe(1)
  expect(result.members.map(({ name, reference }) => [name, reference])).toEqual([
    ['step-1', references[0]],
    ['step-2', references[1]],
  ])
  for (const [m, reference] of references.entries()) {
    const alone = await recover({ ...options, reference, probes: texts })
    expect(said(result.members[m].result)).toEqual(said(alone.result))
    expect(alignments[m]).toEqual(alone.alignment)
  }
})

test('every tensor and text is looked at once: the trace takes the survey and the tokens of the run', async () => {
  const encode = jest.spyOn(Tokenizer.prototype, 'encodeBatch')
  const phases: string[] = []
  const onProgress = ({ phase }: { phase: string }): void => {
    if (phase !== phases.at(-1)) phases.push(phase)
  }
  const { result } = await recover({ ...options, reference: references[0], probes: texts, onProgress })
  const encoded = encode.mock.calls.flatMap(([batch]) => batch).filter((text) => text.startsWith('the cat'))
  encode.mockRestore()
  expect(encoded.sort()).toEqual(texts.map(({ text }) => text).sort())
  for (const once of ['tokenize', 'survey', 'hash', 'tables'])
    expect([once, phases.filter((phase) => phase === once)]).toEqual([once, [once]])
  expect(phases).not.toContain('tensors')
  expect(new Set(result.notes.map((note) => note.replace('trace: ', ''))).size).toBe(result.notes.length)
})

test('a table, a page, and a folder for each model with what it would have alone', async () => {
  const out = join(folder, 'out')
  const { code, stdout, stderr } = await warp([...command, ...references, ...probes, '-o', out])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^Recovered mixtures, shares in %\n +animals +plants +stones\n +step-1 .*\n +step-2 /)
  const files = ['alignment.npy', 'report.html', 'result.json']
  const each = ['step-1', 'step-2'].flatMap((name) => files.map((file) => `${name}/${file}`))
  expect([...contents(out).keys()]).toEqual(['report.html', 'result.json', ...each])
  const family = resultSchemas['warp.family/1'].parse(JSON.parse(readFileSync(join(out, 'result.json'), 'utf8')))
  const alone = JSON.parse(readFileSync(join(out, 'step-2/result.json'), 'utf8'))
  expect(family).toMatchObject({ domains: pairLabels, members: [{ name: 'step-1' }, { result: alone }] })
  const page = readFileSync(join(out, 'report.html'), 'utf8')
  for (const told of ['What 2 models were trained on', 'From step to step', ...pairLabels]) expect(page).toContain(told)
  const again = await warp(['recover', '--config', join(out, 'result.json'), '-q'])
  expect(again).toMatchObject({ code: 0, stdout })
})

test('a plan of each, and nothing written', async () => {
  const { stdout } = await warp([...command, ...references, ...probes, '-n', '-o', join(folder, 'planned')])
  expect(stdout).toMatch(/^step-1:\n96 probes of 3 domains.*\n(.*\n)+step-2:\n96 probes/)
  expect(existsSync(join(folder, 'planned'))).toBe(false)
})

test('what is there of any member is not replaced', async () => {
  const out = join(folder, 'taken')
  mkdirSync(join(out, 'step-2'), { recursive: true })
  writeFileSync(join(out, 'step-2/report.html'), 'mine')
  const error = await refused(...command, ...references, ...probes, '-o', out)
  expect(error).toMatchObject({ code: 'OUTPUT_EXISTS', exit: 2, details: { file: join(out, 'step-2/report.html') } })
  expect(readdirSync(out)).toEqual(['step-2'])
})

test('refusals: one model twice, another head, options of one model', async () => {
  const twice = await refused(...command, references[0], references[0], ...probes)
  expect(twice).toMatchObject({ code: 'FAMILY_TWICE', exit: 2 })
  const other = join(folder, 'other')
  await merge({ base: pair.base, reference: references[1], lambda: 1, output: other })
  const file = join(other, 'config.json')
  const config = JSON.parse(readFileSync(file, 'utf8'))
  config.id2label[2] = 'waters'
  config.label2id = Object.fromEntries(Object.entries(config.id2label).map(([id, name]) => [name, Number(id)]))
  writeFileSync(file, JSON.stringify(config))
  const labels = await refused(...command, references[0], other, ...probes)
  expect(labels).toMatchObject({ code: 'FAMILY_LABELS', exit: 3, details: { file: other } })
  for (const more of [
    ['--card', join(folder, 'CARD.md')],
    ['--path', 'trajectory', '--checkpoint', references[0]],
  ]) {
    const error = await refused(...command, ...references, ...probes, ...more)
    expect(error).toMatchObject({ code: 'FAMILY_OPTION', exit: 2 })
  }
})

test.each([
  [['a/model', 'b/model'], ['a-model', 'b-model'], undefined],
  [
    ['run/checkpoint-9', 'run/checkpoint-10'],
    ['checkpoint-9', 'checkpoint-10'],
    [9, 10],
  ],
  [
    ['hf:x/one@v1', 'hf:x/one@v2'],
    ['v1', 'v2'],
    [1, 2],
  ],
  [['run/scored', 'run/other'], ['run-scored', 'run-other'], undefined],
  [['run/10', 'run/9'], ['10', '9'], undefined],
])('%j are called %j, steps %j', (given, names, steps) => {
  expect(familyNames(given)).toEqual(names)
  expect(stepsOf(names)).toEqual(steps)
})
