// --config: options from a file, as if they had been typed.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { warp, type ErrorDocument } from '../support/command.js'
import { makePair } from '../support/pair.js'

const pair = makePair('bert')
const models = `base: ${pair.base}\nreference: ${pair.reference}\nbase-head: zeros\n`

function config(name: string, text: string | Buffer): string {
  const file = join(pair.folder, name)
  writeFileSync(file, text)
  return file
}

interface Plan {
  points: number
  probes: number
  lambdas: number[]
  domains: { truncated: number }[]
}

async function planOf(...args: string[]): Promise<Plan> {
  const { code, stdout, stderr } = await warp(['recover', '-n', '--json', ...args])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Plan
}

const quiet = 'quiet: true\n'

test('a YAML file stands for options, spelled with dashes or in camel case, and what is typed wins', async () => {
  const file = config('a.yaml', `${models}${quiet}probes: [${pair.probes}]\nperDomain: 4\npoints: 7\n`)
  expect(await planOf('--config', file)).toMatchObject({ points: 7, probes: 12 })
  expect(await planOf(`--config=${file}`, '--points', '3')).toMatchObject({ points: 3, probes: 12 })
})

test('lists of values, and lists of files that are typed replace those of the file', async () => {
  const file = config('b.yml', `${models}${quiet}probes: [nowhere.jsonl]\nlambdas: [0.25, 0.5]\n`)
  const plan = await planOf('--config', file, '--probes', pair.probes)
  expect(plan).toMatchObject({ lambdas: [0.25, 0.5], probes: 96 })
})

test('flags: true, false, and the false of a --no- option', async () => {
  const all = `${models}${quiet}probes: ${pair.probes}\nmax-length: 6\nforce: false\n`
  const cut = (plan: Plan): boolean => plan.domains.some(({ truncated }) => truncated > 0)
  expect(cut(await planOf('--config', config('c.yaml', `${all}truncate: true\n`)))).toBe(true)
  for (const key of ['truncate: false', 'no-truncate: true']) {
    const { code, stdout } = await warp(['recover', '-n', '--json', '--config', config('c.yaml', `${all}${key}\n`)])
    expect({ code, failed: (JSON.parse(stdout) as ErrorDocument).error.code }).toEqual({
      code: 3,
      failed: 'PROBES_TEXT_TOO_LONG',
    })
  }
})

test('the options in a result.json give the same result again', async () => {
  const output = join(pair.folder, 'out')
  const options = ['--points', '3', '--bootstrap', '20', '--base-head', 'seed:4', '--path', 'ties', '--seed', '9']
  const given = ['--base', pair.base, '--reference', pair.reference, '--probes', pair.probes, ...options]
  expect((await warp(['recover', ...given, '-o', output, '-q'])).code).toBe(0)
  const again = await warp(['recover', '--config', join(output, 'result.json'), '-q', '--json'])
  expect(again.code).toBe(0)
  const [one, other] = [readFileSync(join(output, 'result.json'), 'utf8'), again.stdout].map((text) => {
    const { timings: _, ...rest } = JSON.parse(text) as Record<string, unknown>
    return { ...rest, peakMemoryBytes: 0 }
  })
  expect(other).toMatchObject({ command: (one as { command?: unknown }).command })
  for (const key of ['mixtures', 'recommended', 'footprint', 'lambdas', 'diagnostics'] as const)
    expect({ [key]: (other as Record<string, unknown>)[key] }).toEqual({ [key]: (one as Record<string, unknown>)[key] })
}, 120_000)

test.each<[string, string, string | Buffer, string, string]>([
  ['a key that is no option', 'x.yaml', 'pionts: 3\n', 'OPTIONS_KEY', 'did you mean "points"?'],
  ['a key of JSON that is no option', 'x.json', '{"bass": "b"}', 'OPTIONS_KEY', 'did you mean "base"?'],
  ['a file of another command', 'x.yaml', 'command: trace\n', 'OPTIONS_COMMAND', 'warp trace'],
  ['a number for a flag', 'x.yaml', 'force: 3\n', 'OPTIONS_VALUE', '-f, --force'],
  ['a map for a number', 'x.yaml', 'points: {a: {}}\n', 'OPTIONS_VALUE', '--points'],
  ['a list with a comma in it', 'x.yaml', 'readout: ["a,b"]\n', 'OPTIONS_VALUE', '--readout'],
  ['no map', 'x.yaml', '- points\n', 'OPTIONS_FORM', 'expected options'],
  ['a result without options', 'x.json', '{"schema": "warp.doctor/1"}', 'OPTIONS_FORM', 'result.json of recover'],
  ['YAML that is none', 'x.yaml', 'base: "x\n', 'OPTIONS_NOT_YAML', 'expected options'],
  ['a key twice', 'x.yaml', 'points: 1\npoints: 2\n', 'OPTIONS_NOT_YAML', 'expected options'],
  ['YAML of another encoding', 'x.yaml', Buffer.from('base: caf\xe9\n', 'latin1'), 'OPTIONS_NOT_UTF8', 'as UTF-8'],
  ['JSON that is none', 'x.json', '{"base": }', 'OPTIONS_NOT_JSON', 'expected options'],
])('%s is refused', async (_, name, text, code, hint) => {
  const file = config(name, text)
  const run = await warp(['recover', '--json', '--config', file])
  expect(run.code).toBe(3)
  const { error } = JSON.parse(run.stdout) as ErrorDocument
  expect(error).toMatchObject({ code, details: { file } })
  expect(error.message).toContain(file)
  expect(error.hint).toContain(hint)
})

test('a value of the file is checked as a typed one', async () => {
  const run = await warp(['recover', '--config', config('d.yaml', `${models}probes: x\npoints: 0\n`)])
  expect(run.code).toBe(2)
  expect(run.stderr).toContain("option '--points <n>' argument '0' is invalid")
})

test('a file that is not there, no file, and two', async () => {
  const missing = await warp(['recover', '--config', join(pair.folder, 'none.yaml')])
  expect({ code: missing.code, told: missing.stderr }).toEqual({
    code: 3,
    told: expect.stringContaining('OPTIONS_UNREADABLE') as string,
  })
  for (const args of [['--config'], ['--config', 'a', '--config', 'b']])
    expect((await warp(['recover', ...args])).code).toBe(2)
})
