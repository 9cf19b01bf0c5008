// Outputs that are one file: never over an input, a folder or a pipe, never over what another run writes.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { withFile } from '../../bin/output-folder.js'
import { train } from '../../lib/train/index.js'
import { demo } from '../../lib/demo/demo.js'
import { planLab } from '../../lib/lab/index.js'
import { merge } from '../../lib/merge/index.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'
import { domainFile, trainableModel } from '../support/training.js'

const pair = makePair('bert', { perDomain: 6 })
const language = makeLanguagePair()
const prompts = join(language.folder, 'prompts.jsonl')
writeFileSync(prompts, '{"text":"an old tree"}\n')
const models = ['--base', pair.base, '--reference', pair.reference]
const probes = ['--probes', pair.probes]
const few = ['--count', '2', '--max-new-tokens', '3', '--prompts', prompts]

interface Writer {
  args: string[]
  option: string
  inputs: string[]
}

const writers: Record<string, Writer> = {
  predict: {
    args: ['predict', '--model', pair.reference, '--texts', pair.probes],
    option: '-o',
    inputs: [pair.probes, join(pair.reference, 'config.json')],
  },
  generate: {
    args: ['generate', '--base', language.base, '--reference', language.reference, ...few],
    option: '-o',
    inputs: [prompts, join(language.base, 'model.safetensors')],
  },
  'recover --card': {
    args: ['recover', ...models, ...probes, '--points', '2', '--bootstrap', '20'],
    option: '--card',
    inputs: [pair.probes, join(pair.base, 'tokenizer.json')],
  },
  'trace --members': {
    args: ['trace', ...models, ...probes, '--calibrate', '20'],
    option: '--members',
    inputs: [pair.probes, join(pair.base, 'config.json')],
  },
}
const names = Object.keys(writers)

async function refused(args: string[]): Promise<string> {
  const { code, stdout } = await warp([...args, '--json', '-q'])
  expect(code).not.toBe(0)
  return (JSON.parse(stdout) as ErrorDocument).error.code
}

test.each(names)('%s never replaces an input, or a file of a model', async (name) => {
  const { args, option, inputs } = writers[name]
  for (const input of inputs) {
    const before = readFileSync(input)
    expect(await refused([...args, option, input, '--force'])).toBe('OUTPUT_IS_INPUT')
    expect(readFileSync(input)).toEqual(before)
  }
})

test.each(names)('%s refuses folders, pipes and no name before any work, and leaves them as they are', async (name) => {
  const { args, option } = writers[name]
  const folder = temporaryDirectory()
  const [pipe, link] = [join(folder, 'pipe'), join(folder, 'link')]
  spawnSync('mkfifo', [pipe])
  symlinkSync(pipe, link)
  mkdirSync(join(folder, 'there'))
  for (const file of [pipe, link, join(folder, 'there'), join(folder, 'new/')])
    expect(await refused([...args, option, file, '--force'])).toBe('OUTPUT_NOT_WRITABLE')
  expect(await refused([...args, option, ''])).toBe('OUTPUT_EMPTY')
  expect(lstatSync(pipe).isFIFO() && lstatSync(link).isSymbolicLink()).toBe(true)
  expect(readdirSync(folder).sort()).toEqual(['link', 'pipe', 'there'])
})

test.each(names)('%s of two runs into one file the second is refused', async (name) => {
  const { args, option } = writers[name]
  const file = join(temporaryDirectory(), 'out')
  const first = await holder(file)
  expect(await refused([...args, option, file])).toBe('OUTPUT_BUSY')
  const over = new Promise((resolve) => first.on('exit', resolve))
  first.kill('SIGKILL')
  await over
  expect((await warp([...args, option, file, '-q'])).code).toBe(0)
  // what the killed run left is gone too
  expect(readdirSync(dirname(file))).toEqual(['out'])
})

/** A process that writes a file until it is killed. */
async function holder(file: string): Promise<ChildProcess> {
  const script = `
    const { withFile } = require(${JSON.stringify(join(repositoryRoot, 'dist/bin/output-folder.js'))});
    void withFile(${JSON.stringify(file)}, { inputs: [] }, async (lines) => {
      await lines.add({})
      console.log('held')
      await new Promise((done) => setTimeout(done, 60000))
    })`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return child
}

test('a file that appears during the work is not replaced without --force', async () => {
  const file = join(temporaryDirectory(), 'out')
  const work = async (): Promise<void> => writeFileSync(file, 'of somebody else')
  await expect(withFile(file, { inputs: [] }, work)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
  expect(readFileSync(file, 'utf8')).toBe('of somebody else')
  await withFile(file, { inputs: [], force: true }, async (lines) => lines?.addLine('mine'))
  expect(readFileSync(file, 'utf8')).toBe('mine\n')
  expect(readdirSync(dirname(file))).toEqual(['out'])
})

test('a card may replace the one beside the weights', async () => {
  const [card, { args }] = [join(pair.reference, 'README.md'), writers['recover --card']]
  writeFileSync(card, '')
  expect((await warp([...args, '--card', card, '--force', '-q'])).code).toBe(0)
  expect(readFileSync(card, 'utf8')).not.toBe('')
})

test('diff looks at every file that it may write before any work, and removes those of an earlier run', async () => {
  const out = join(temporaryDirectory(), 'out')
  const args = ['diff', '--base', language.base, '--reference', language.reference, '-q', '-o', out]
  mkdirSync(out)
  writeFileSync(join(out, 'generated.jsonl'), '{"text":"an old tree"}\n')
  expect(await refused([...args, '--prompts', join(out, 'generated.jsonl'), '--force'])).toBe('OUTPUT_IS_INPUT')
  expect(await refused(args)).toBe('OUTPUT_EXISTS')
  expect((await warp([...args, '--only', 'weights', '--force'])).code).toBe(0)
  expect(existsSync(join(out, 'weights.csv'))).toBe(true)
  expect(existsSync(join(out, 'generated.jsonl'))).toBe(false)
})

test('an output without a name is refused by every call that writes', async () => {
  const [base, data] = [trainableModel(), domainFile(['animals', 'plants', 'stones'], 8)]
  const given = { base, data: [data], output: '' }
  const calls = [
    () => train(given),
    () => planLab({ ...given, trials: 2, texts: 5 }),
    () => merge({ base: pair.base, reference: pair.reference, output: '', lambdas: [0.5] }),
    () => demo({ output: '' }),
  ]
  for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'OUTPUT_EMPTY' })
})
