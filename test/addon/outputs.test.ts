// Outputs: one run at a time, none that is an input, nothing carried along that is not a file of the model directory.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { claimFile, withClaim } from '../../lib/claim.js'
import { merge } from '../../lib/merge/index.js'
import { train } from '../../lib/train/index.js'
import { contents, writingCommands } from '../attack/commands.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, type TestPair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'
import { domainFile, trainableModel } from '../support/training.js'

const base = trainableModel()
const data = domainFile(['animals', 'plants', 'stones'], 8)
const place = (): string => join(temporaryDirectory(), 'out')
const recipe = { epochs: 1, batch: 8, threads: 1 }

/** A process that holds a claim until it is killed. */
async function holder(folder: string): Promise<ChildProcess> {
  const script = `
    const { withClaim } = require(${JSON.stringify(join(repositoryRoot, 'dist/lib/claim.js'))});
    void withClaim(${JSON.stringify(folder)}, {}, async () => {
      console.log('held')
      await new Promise((done) => setTimeout(done, 60000))
    })`
  const child = spawn(process.execPath, ['-e', script, 'first', 'run'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return child
}

const gone = (child: ChildProcess): Promise<unknown> => {
  const over = new Promise((resolve) => child.on('exit', resolve))
  child.kill('SIGKILL')
  return over
}

async function failure(args: string[]): Promise<ErrorDocument['error'] & { exit: number | null }> {
  const { code, stdout } = await warp([...args, '--json', '-q'])
  return { ...(JSON.parse(stdout) as ErrorDocument).error, exit: code }
}

describe('a folder that another run holds', () => {
  let pair: TestPair
  let output: string
  let first: ChildProcess
  beforeAll(async () => {
    pair = makePair()
    output = place()
    first = await holder(output)
  })
  afterAll(() => gone(first))

  const commands = (): Record<string, string[]> => {
    const models = ['--base', pair.base, '--reference', pair.reference]
    return {
      train: ['train', '--base', base, '--data', data, '-o', output],
      merge: ['merge', ...models, '--lambda', '0.5', '-o', output],
      recover: ['recover', ...models, '--probes', pair.probes, '--points', '2', '-o', output],
      footprint: ['footprint', ...models, '--probes', pair.probes, '--points', '2', '-o', output],
      trace: ['trace', ...models, '-o', output],
      'lab plan': [
        'lab',
        'plan',
        '--base',
        base,
        '--data',
        data,
        '--texts',
        '5',
        '--probes-per-domain',
        '3',
        '-o',
        output,
      ],
      demo: ['demo', '-o', output],
    }
  }

  test.each(['train', 'merge', 'recover', 'footprint', 'trace', 'lab plan', 'demo'])('%s is refused', async (name) => {
    const error = await failure(commands()[name])
    expect(error).toMatchObject({ code: 'OUTPUT_BUSY', exit: 4, details: { file: output, pid: first.pid } })
    expect(error.message).toContain(`process ${first.pid} `)
    expect(error.details.command).toContain('first run')
    expect(readdirSync(output)).toEqual([claimFile])
  })
})

test('with --wait a run waits, and goes on when the other is done or dead', async () => {
  const output = place()
  const first = await holder(output)
  const phases: string[] = []
  const onProgress = ({ phase }: { phase: string }): void => {
    phases.push(phase)
    if (phase !== `wait for process ${first.pid}`) return
    expect(readdirSync(output)).toEqual([claimFile])
    void gone(first)
  }
  await train({ base, data: [data], output, ...recipe, wait: true, onProgress })
  expect(phases).toContain(`wait for process ${first.pid}`)
  expect(existsSync(join(output, claimFile))).toBe(false)
})

test('a wait can be interrupted', async () => {
  const output = place()
  const first = await holder(output)
  const kill = { signal: 'SIGINT' as const, when: /wait for process/ }
  expect(await warp(['train', '--base', base, '--data', data, '--wait', '-o', output], { kill })).toMatchObject({
    code: 130,
  })
  await gone(first)
})

test('claims exclude each other, within and across processes, and leave no folder', async () => {
  const parent = temporaryDirectory()
  const folder = join(parent, 'a', 'b')
  const log = join(parent, 'log')
  const script = `
    const { withClaim } = require(${JSON.stringify(join(repositoryRoot, 'dist/lib/claim.js'))})
    const { appendFileSync } = require('node:fs')
    const { setTimeout: sleep } = require('node:timers/promises')
    const one = () => withClaim(${JSON.stringify(folder)}, { wait: true }, async () => {
      appendFileSync(${JSON.stringify(log)}, '(')
      await sleep(3)
      appendFileSync(${JSON.stringify(log)}, ')')
    })
    void Promise.all([one(), one(), one(), one()])`
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, ['-e', script], { stdio: 'inherit' }))
  const codes = await Promise.all(children.map((child) => new Promise((resolve) => child.on('exit', resolve))))
  expect(codes).toEqual([0, 0, 0, 0])
  expect(readFileSync(log, 'utf8')).toBe('()'.repeat(16))
  expect(readdirSync(parent)).toEqual(['log'])
})

test('what is in the place of the lock', async () => {
  for (const put of [(path: string) => mkdirSync(path), (path: string) => symlinkSync(data, path)]) {
    const output = place()
    mkdirSync(output)
    put(join(output, claimFile))
    await expect(withClaim(output, {}, async () => 0)).rejects.toMatchObject({
      code: 'OUTPUT_NOT_WRITABLE',
      exitCode: 4,
    })
  }
  expect(readFileSync(data, 'utf8')).toContain('animals')
})

test('temporary files of a killed run go with the next', async () => {
  const output = place()
  mkdirSync(output)
  for (const name of ['.model.safetensors.0123456789ab.part', '.other.0123456789ab.part', '.model.safetensors.part'])
    writeFileSync(join(output, name), 'x')
  await train({ base, data: [data], output, ...recipe })
  expect(readdirSync(output).sort()).toEqual([
    '.model.safetensors.part',
    '.other.0123456789ab.part',
    'config.json',
    'model.safetensors',
    'tokenizer.json',
    'warp.train.json',
  ])
})

describe('temporary files of whatever a killed run was writing first', () => {
  const { commands } = writingCommands()
  test.each(commands.map((command) => [command.name, command] as const))('%s', async (_, { args }) => {
    const [whole, output] = [place(), place()]
    await expect(warp(args(whole))).resolves.toMatchObject({ code: 0 })
    // a merge has folders only behind its journal
    const all = [...contents(whole).keys()]
    const merging = args(whole)[0] === 'merge'
    const names = merging ? ['warp.merge.part', ...all.filter((name) => !name.includes('/'))] : all
    for (const name of names) {
      mkdirSync(join(output, dirname(name)), { recursive: true })
      writeFileSync(join(output, dirname(name), `.${basename(name)}.0123456789ab.part`), 'x')
    }
    await expect(warp(args(output))).resolves.toMatchObject({ code: 0 })
    expect([...contents(output).keys()]).toEqual([...contents(whole).keys()])
  })
})

describe('outputs that are inputs', () => {
  test('train', async () => {
    const own = trainableModel()
    const before = readFileSync(join(own, 'model.safetensors'))
    const link = join(temporaryDirectory(), 'link')
    symlinkSync(own, link)
    for (const output of [own, link, `${own}/`, join(own, '..', own.split('/').pop()!)]) {
      await expect(train({ base: own, data: [data], output, force: true })).rejects.toMatchObject({
        code: 'OUTPUT_IS_INPUT',
        exitCode: 2,
      })
    }
    expect(readFileSync(join(own, 'model.safetensors')).equals(before)).toBe(true)
  })

  test('data that the output would replace', async () => {
    const output = temporaryDirectory()
    cpSync(data, join(output, 'probes.jsonl'))
    linkSync(join(output, 'probes.jsonl'), join(output, 'config.json'))
    const texts = join(output, 'probes.jsonl')
    expect(await failure(['train', '--base', base, '--data', texts, '--force', '-o', output])).toMatchObject({
      code: 'OUTPUT_IS_INPUT',
      exit: 2,
    })
    const plan = ['lab', 'plan', '--base', base, '--data', texts, '--texts', '9', '--probes-per-domain', '3', '--force']
    expect(await failure([...plan, '-o', output])).toMatchObject({ code: 'OUTPUT_IS_INPUT' })
    expect(readFileSync(texts).equals(readFileSync(data))).toBe(true)
  })

  test('recover, footprint, trace, merge', async () => {
    const pair = makePair()
    const models = ['--base', pair.base, '--reference', pair.reference]
    const probes = ['--probes', pair.probes]
    for (const args of [
      ['recover', ...models, ...probes, '-o', pair.base],
      ['footprint', ...models, ...probes, '-o', pair.reference],
      ['trace', ...models, ...probes, '-o', pair.base],
      ['trace', ...models, ...probes, '--members', pair.probes],
      ['merge', ...models, '--lambda', '0.5', '-o', pair.reference],
    ]) {
      expect(await failure([...args, '--force'])).toMatchObject({ code: 'OUTPUT_IS_INPUT', exit: 2 })
    }
    expect(readdirSync(pair.base).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json'])
  })
})

describe('files carried along', () => {
  const outside = (): string => {
    const file = join(temporaryDirectory(), 'secret')
    writeFileSync(file, 'secret')
    return file
  }
  const odd: Record<string, [(path: string) => void, string]> = {
    'a link that leaves the directory': [(path) => symlinkSync(outside(), path), 'CARRIED_LINK_ESCAPES'],
    'a named pipe': [(path) => void spawnSync('mkfifo', [path]), 'FILE_NOT_REGULAR'],
    'a device': [(path) => symlinkSync('/dev/zero', path), 'CARRIED_LINK_ESCAPES'],
    'a folder': [(path) => mkdirSync(path), 'FILE_NOT_REGULAR'],
    'a file beyond the cap': [
      (path) => {
        writeFileSync(path, '')
        truncateSync(path, 2 ** 28 + 1)
      },
      'FILE_TOO_LARGE',
    ],
  }
  test.each(Object.keys(odd))('%s is refused by name', async (what) => {
    const [put, code] = odd[what]
    const own = trainableModel()
    put(join(own, 'vocab.txt'))
    const output = place()
    const refused = { code, exitCode: 3, message: expect.stringContaining('vocab.txt') }
    await expect(train({ base: own, data: [data], output, ...recipe })).rejects.toMatchObject(refused)
    const pair = makePair()
    put(join(pair.reference, 'merges.txt'))
    await expect(merge({ base: pair.base, reference: pair.reference, lambda: 0.5, output })).rejects.toMatchObject({
      code,
      message: expect.stringContaining('merges.txt'),
    })
    expect(existsSync(output)).toBe(false)
  })

  test('others are hashed, and a link inside the directory is followed', async () => {
    const own = trainableModel()
    writeFileSync(join(own, 'words'), 'w0\nw1\n')
    symlinkSync('words', join(own, 'vocab.txt'))
    const { base: record, output } = await train({ base: own, data: [data], output: place(), ...recipe })
    expect(readFileSync(join(output, 'vocab.txt'), 'utf8')).toBe('w0\nw1\n')
    expect(record.files.map(({ name }) => name)).toEqual(['weights 1', 'config.json', 'tokenizer.json', 'vocab.txt'])
    expect(record.files.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256))).toBe(true)
  })
})
