import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeLanguagePair } from '../support/language-pair.js'
import { makePair, type TestPair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'
import { domainFile, trainableModel } from '../support/training.js'

export interface CommandEnd {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  late: boolean
}

export interface RunCommand {
  /** milliseconds after its start at which it gets the signal */
  kill?: { after: number; signal: NodeJS.Signals }
  /** what is done after so many milliseconds */
  meanwhile?: { after: number; work: () => void }
  seconds?: number
}

/** The command line in a process of its own. */
export function runCommand(args: string[], { kill, meanwhile, seconds = 60 }: RunCommand = {}): Promise<CommandEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(repositoryRoot, 'dist/bin/warp.js'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const end: CommandEnd = { code: null, signal: null, stdout: '', stderr: '', late: false }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      end.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      end.stderr += text
    })
    const timers = [
      setTimeout(() => {
        end.late = true
        child.kill('SIGKILL')
      }, seconds * 1000),
      kill && setTimeout(() => child.kill(kill.signal), kill.after),
      meanwhile && setTimeout(meanwhile.work, meanwhile.after),
    ]
    child.on('error', reject)
    child.on('close', (code, signal) => {
      for (const timer of timers) clearTimeout(timer)
      resolve({ ...end, code, signal })
    })
  })
}

export const place = (): string => mkdtempSync(join(tmpdir(), 'warp-attack-'))

/** Every command that writes, with what it reads; `output` is where it writes. */
export interface WritingCommand {
  name: string
  args(output: string): string[]
  /** files whose bytes differ between two undisturbed runs, or hold times */
  varies: RegExp
}

const quick = ['--epochs', '3', '--batch', '4', '--threads', '1', '--save-steps', '4']

export function writingCommands(): { pair: TestPair; commands: WritingCommand[] } {
  const pair = makePair()
  const base = trainableModel()
  const data = domainFile(['animals', 'plants', 'stones'], 12)
  const language = makeLanguagePair()
  const models = ['--base', pair.base, '--reference', pair.reference]
  const probes = ['--probes', pair.probes, '--points', '2']
  const command = (name: string, varies: RegExp, ...args: string[]): WritingCommand => ({
    name,
    varies,
    args: (output) => [...args, '-o', output],
  })
  // those whose output is one file, in a folder of its own
  const lines = (name: string, ...args: string[]): WritingCommand => ({
    name,
    varies: /^$/,
    args: (output) => [name, ...args, '--force', '-o', join(output, 'lines.jsonl')],
  })
  return {
    pair,
    commands: [
      command('train', /^warp\.train\.html$/, 'train', '--base', base, '--data', data, ...quick),
      command('merge', /^$/, 'merge', ...models, '--points', '4', '--max-shard', '20KB'),
      command(
        'recover',
        /^(result\.json|report\.html)$/,
        'recover',
        ...models,
        ...probes,
        '--bootstrap',
        '50',
        '--force',
      ),
      command('footprint', /^footprint\.json$/, 'footprint', ...models, ...probes, '--force'),
      command(
        'select',
        /^result\.json$/,
        'select',
        ...models,
        '--corpus',
        pair.probes,
        '--features',
        'head',
        '--strategy',
        'topk',
        '--count',
        '5',
        '--force',
      ),
      command('trace', /^report\.html$/, 'trace', ...models, '--force'),
      command('diff', /^(result\.json|report\.html)$/, 'diff', ...models, '--force'),
      lines('predict', '--model', pair.reference, '--texts', pair.probes),
      lines('generate', '--model', language.reference, '--count', '6', '--max-new-tokens', '8'),
      command(
        'lab plan',
        /^plan\.json$/,
        'lab',
        'plan',
        '--base',
        base,
        '--data',
        data,
        '--texts',
        '6',
        '--trials',
        '2',
        '--probes-per-domain',
        '3',
        '--force',
      ),
    ],
  }
}

/** Every file below a folder with its bytes. */
export function contents(folder: string): Map<string, Buffer> {
  if (!existsSync(folder)) return new Map()
  const names = (readdirSync(folder, { recursive: true }) as string[]).sort()
  return new Map(
    names
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => [name, readFileSync(join(folder, name))]),
  )
}

/** What a folder has that another has not, or otherwise. */
export function difference(
  found: Map<string, Buffer>,
  expected: Map<string, Buffer>,
  varies: RegExp,
): string | undefined {
  const extra = [...found.keys()].filter((name) => !expected.has(name))
  if (extra.length > 0) return `left behind: ${extra.join(', ')}`
  for (const [name, bytes] of expected) {
    if (!found.has(name)) return `${name} is missing`
    if (!varies.test(name) && !found.get(name)!.equals(bytes)) return `${name} has other bytes`
  }
}
