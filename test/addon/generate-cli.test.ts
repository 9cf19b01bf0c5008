// warp generate from outside: lines that other commands read, starts, refusals.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readRecords } from '../../lib/index.js'
import type { GeneratedText } from '../../lib/generate/index.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { makePair } from '../support/pair.js'

const pair = makeLanguagePair()
const both = ['--base', pair.base, '--reference', pair.reference]
const few = ['--count', '6', '--max-new-tokens', '8']

async function lines(args: string[]): Promise<GeneratedText[]> {
  const { code, stdout, stderr } = await warp(['generate', ...args, '-q'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as GeneratedText)
}

async function failure(args: string[]): Promise<{ exit: number | null; code: string }> {
  const { code, stdout } = await warp(['generate', ...args, '--json', '-q'])
  return { exit: code, code: (JSON.parse(stdout) as ErrorDocument).error.code }
}

test('each line says what it is, and is the same again', async () => {
  const texts = await lines([...both, ...few, '--lambda', '1.5', '--seed', '3'])
  expect(texts).toHaveLength(6)
  for (const text of texts) {
    expect(Object.keys(text)).toEqual([
      'text',
      'prompt',
      'ids',
      'logProbability',
      'baseLogProbability',
      'lambda',
      'contrast',
      'seed',
      'trained',
      'untrained',
      'trainedScore',
    ])
    expect(text).toMatchObject({ prompt: '', lambda: 1.5, contrast: 0, seed: 3 })
    expect(text.ids.length).toBeGreaterThan(0)
    expect(text.ids.length).toBeLessThanOrEqual(8)
    expect(text.logProbability).toBeLessThan(0)
    expect(text.baseLogProbability).toBeLessThan(0)
    expect(text.text).not.toMatch(/<(unk|pad|begin|end)>/)
  }
  expect(await lines([...both, ...few, '--lambda', '1.5', '--seed', '3', '--threads', '1'])).toEqual(texts)
  expect(await lines([...both, ...few, '--lambda', '1.5', '--seed', '4'])).not.toEqual(texts)
})

test('one model alone has no base', async () => {
  const [text] = await lines(['--model', pair.reference, '--count', '1', '--temperature', '0'])
  expect(text).toMatchObject({ baseLogProbability: null, lambda: null })
  // what the path ends in is that model
  const [end] = await lines([...both, '--count', '1', '--temperature', '0'])
  expect(end).toMatchObject({ ids: text!.ids, logProbability: text!.logProbability })
})

test('prompts are part of the text, in turn; the words of others too', async () => {
  const prompts = join(pair.folder, 'prompts.txt')
  writeFileSync(prompts, 'the and\n\nan e\n')
  const texts = await lines([...both, ...few, '--prompts', prompts])
  expect(texts.map(({ prompt }) => prompt)).toEqual(['the and', 'an e', 'the and', 'an e', 'the and', 'an e'])
  for (const { text, prompt } of texts) expect(text.startsWith(prompt)).toBe(true)
})

test('a chat begins as its template does', async () => {
  const { reference } = makeLanguagePair()
  const template = (chat_template: string): void =>
    writeFileSync(
      join(reference, 'tokenizer_config.json'),
      JSON.stringify({ bos_token: '<begin>', eos_token: '<end>', chat_template }),
    )
  template('{{ anything else }}')
  expect((await failure(['--model', reference, '--start', 'chat'])).code).toBe('CHAT_TEMPLATE_UNSUPPORTED')
  template("{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endfor %}")
  for (const { text, prompt } of await lines(['--model', reference, ...few, '--start', 'chat'])) {
    expect(prompt).toBe('[INST] ')
    expect(text).not.toContain('INST')
  }
})

test('the file is one that other commands read', async () => {
  const file = join(pair.folder, 'texts.jsonl')
  const args = [...both, ...few, '--contrast', '2', '--top-k', '30', '--top-p', '0.95', '-o', file]
  const run = await warp(['generate', ...args])
  expect(run.code).toBe(0)
  expect(run.stdout).toContain('6 texts')
  const read: string[] = []
  const written = readFileSync(file, 'utf8').trimEnd().split('\n')
  expect(written).toHaveLength(6)
  for await (const { text } of readRecords([file])) read.push(text)
  expect(read).toEqual(written.map((line) => (JSON.parse(line) as GeneratedText).text))
  expect((await failure(args)).code).toBe('OUTPUT_EXISTS')
})

test('a plan makes nothing', async () => {
  const { code, stdout } = await warp(['generate', ...both, ...few, '-n'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/6 texts of at most 8 tokens from 1 starts, 6 at a time/)
})

test('what cannot be meant is refused by name', async () => {
  const classifier = makePair('gpt2')
  const long = join(pair.folder, 'long.jsonl')
  writeFileSync(long, JSON.stringify({ text: 'the and '.repeat(30) }))
  const cases: [string[], number, string][] = [
    [[], 2, 'GENERATE_MODELS'],
    [['--model', pair.base, ...both], 2, 'GENERATE_MODELS'],
    [['--model', pair.base, '--lambda', '0.5'], 2, 'GENERATE_MODELS'],
    [['--model', pair.base, '--start', 'poem'], 2, 'START_UNKNOWN'],
    [['--model', pair.base, '--start', 'begin', '--prompts', long], 2, 'START_CONFLICT'],
    [['--model', pair.base, '--start', 'chat'], 3, 'CHAT_TEMPLATE_MISSING'],
    [['--model', pair.base, '--prompts', long], 3, 'PROMPT_TOO_LONG'],
    [['--model', classifier.reference], 3, 'LANGUAGE_MODEL_MISSING'],
    [[...both, '--top-p', '0'], 3, 'GENERATE_RANGE'],
    [[...both, '--contrast', '-1'], 3, 'GENERATE_RANGE'],
    [[...both, '--path', 'slerp', '--lambda', '1.5'], 3, 'LAMBDA_RANGE'],
    [[...both, '--lambda', '1e38'], 3, 'LOGITS_NOT_FINITE'],
    [[...both, '--memory', '1KiB'], 4, 'MEMORY_BUDGET'],
  ]
  for (const [args, exit, code] of cases) expect([args, await failure(args)]).toEqual([args, { exit, code }])
})

test('λ beyond the ends is for who asks for it: a path of recover stays within', async () => {
  const classifier = makePair('gpt2')
  const args = ['--base', classifier.base, '--reference', classifier.reference, '--probes', classifier.probes]
  const { code, stdout } = await warp(['recover', ...args, '--lambdas', '0.5,1.5', '--json', '-q'])
  expect(code).toBe(3)
  expect((JSON.parse(stdout) as ErrorDocument).error.code).toBe('LAMBDA_RANGE')
})
