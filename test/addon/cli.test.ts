// The command line from outside: what goes where, exit codes, outputs, options. A tiny pair of random models.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listDevices } from '../../lib/index.js'
import { resultSchema } from '../../lib/report/schema.js'
import { type CommandOptions, type ErrorDocument, warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, pairLabels, pairText, type TestPair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'

const pair = makePair()
const gpt = makePair('gpt2')
const args = (of: TestPair = pair, probes = [of.probes]) => [
  '--base',
  of.base,
  '--reference',
  of.reference,
  '--probes',
  ...probes,
  '--points',
  '3',
]
const small = ['--bootstrap', '20']

/** The result of a run that must succeed. */
async function recovered(more: string[], options?: CommandOptions, given = args()) {
  const { code, stdout, stderr } = await warp(['recover', ...given, ...small, '--json', '-q', ...more], options)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return resultSchema.parse(JSON.parse(stdout))
}

/**
 * The error of a run that must fail with this exit code; the document on stdout and the lines on stderr say the same.
 */
async function failed(exitCode: number, command: string[], options?: CommandOptions) {
  const { code, stdout, stderr } = await warp([...command, '--json'], options)
  const { error } = JSON.parse(stdout) as ErrorDocument
  expect({ code, error: error.code }).toEqual({ code: exitCode, error: expect.stringMatching(/^[A-Z0-9_]+$/) })
  expect(Object.keys(error)).toEqual(['code', 'message', 'details', 'hint'])
  expect(error.hint).not.toBe('')
  expect(stderr).toContain(`warp: ${error.message} [${error.code}]`)
  expect(stderr).not.toContain('    at ')
  return error
}

describe('results and the rest', () => {
  test('stdout has the table, stderr what happens; -q silences it', async () => {
    const run = await warp(['recover', ...args(), ...small])
    expect(run.code).toBe(0)
    expect(run.stdout).toContain('Recovered mixture')
    for (const label of pairLabels) expect(run.stdout).toMatch(new RegExp(`${label} +\\d+\\.\\d %`))
    expect(run.stderr).toMatch(/^score: \d+ % of the run$/m)
    expect(run.stdout).not.toContain('score:')
    const quiet = await warp(['recover', ...args(), ...small, '-q'])
    expect(quiet).toMatchObject({ code: 0, stderr: '' })
    expect(quiet.stdout.split('\n')[0]).toBe(run.stdout.split('\n')[0])
  })

  test('no colours where nobody looks, nor with NO_COLOR', async () => {
    for (const env of [{}, { NO_COLOR: '1', FORCE_COLOR: '1' }] as Record<string, string>[]) {
      const { stdout, stderr } = await warp(['recover', ...args(), ...small], { env })
      expect(stdout + stderr).not.toContain('\u001b')
    }
  })

  test('--json prints one document with every field of the schema', async () => {
    const { stdout } = await warp(['recover', ...args(), ...small, '--json'])
    const document = JSON.parse(stdout)
    expect(resultSchema.parse(document)).toEqual(document)
    expect(document).toMatchObject({
      schema: 'warp.recover/1',
      seed: 0,
      path: 'linear',
      scope: 'head',
      command: { base: pair.base, probes: [pair.probes], points: 3 },
      domains: pairLabels.map((name) => ({ name, probes: 32, truncated: 0 })),
      tool: {
        name: 'warp-recover',
        device: listDevices().cpu,
        addon: expect.stringMatching(/^(build|prebuilds)\/.+\.node$/),
        library: 'builtin',
      },
      // weights, then config.json and tokenizer.json of each
      inputs: ['base', 'reference', 'base', 'base', 'reference', 'reference', 'probes'].map((role) => ({
        role,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      })),
    })
    expect(document.lambdas).toEqual([0.05, 0.5, 0.95].map((x) => expect.closeTo(x, 12)))
    expect(document.loss.map((row: number[]) => row.length)).toEqual([5, 5, 5])
    expect(document.footprint.mean.map((row: number[]) => row.length)).toEqual([3, 3, 3])
    for (const { mixture } of document.mixtures) {
      expect(Object.values<number>(mixture).reduce((a, b) => a + b)).toBeCloseTo(1, 12)
    }
    expect(document.peakMemoryBytes).toBeLessThanOrEqual(document.plannedMemoryBytes)
  })

  test('recovers from GPT-2 models as well', async () => {
    const result = await recovered([], {}, args(gpt))
    expect(result.mixtures.map(({ readout }) => readout)).toContain('gradient-matching')
    expect(result.recommended.readout).toBe('gradient-matching')
  })

  test('help goes to stdout, with every command; the version is the package’s', async () => {
    const help = await warp(['--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    for (const name of ['recover', 'footprint', 'inspect', 'doctor'])
      expect(help.stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
    expect((await warp(['recover', '--help'])).stdout).toContain('--base-head')
    const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as { version: string }
    expect(await warp(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('footprint, inspect and doctor print documents too', async () => {
    const footprint = await warp(['footprint', ...args(), '--json', '-q'])
    expect(JSON.parse(footprint.stdout)).toMatchObject({ schema: 'warp.footprint/1', scope: 'head' })
    expect((await warp(['footprint', ...args(), '-q'])).stdout).toMatch(/^animals( +-?\d\.\d{4}){3}$/m)
    expect(JSON.parse((await warp(['inspect', pair.base, '--json'])).stdout)).toMatchObject({ usable: 'forward' })
    expect(JSON.parse((await warp(['doctor', '--json'])).stdout)).toMatchObject({ schema: 'warp.doctor/1' })
  })

  test('a reader that has had enough does not hide that a run failed', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
    const script = '"$0" "$1" recover --json 2>/dev/null | true; echo "${PIPESTATUS[0]}"'
    const { stdout } = spawnSync('bash', ['-c', script, process.execPath, join(repositoryRoot, 'dist/bin/warp.js')], {
      encoding: 'utf8',
    })
    expect(stdout).toBe('2\n')
  })

  test('a reader that has had enough is no error', () => {
    const { status, stderr } = spawnSync(
      'bash',
      [
        '-c',
        'set -o pipefail; "$0" "$1" recover --help | true',
        process.execPath,
        join(repositoryRoot, 'dist/bin/warp.js'),
      ],
      { encoding: 'utf8' },
    )
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})

describe('exit codes', () => {
  const usage: [string, string[]][] = [
    ['no command', []],
    ['an unknown command', ['recver', '--base', 'x']],
    ['an unknown option', ['recover', ...args(), '--bse', 'x']],
    ['no base', ['recover', '--reference', pair.reference, '--probes', pair.probes]],
    ['no points', ['recover', ...args(), '--points', '0']],
    ['half a point', ['recover', ...args(), '--points', '1.5']],
    ['a number in words', ['recover', ...args(), '--lambdas', '0.5,half']],
    ['a negative seed', ['recover', ...args(), '--seed', '-1']],
    ['no threads', ['recover', ...args(), '--threads', '0']],
    ['too many threads', ['recover', ...args(), '--threads', '100000']],
    ['a size that is none', ['recover', ...args(), '--memory', 'much']],
    ['a negative size', ['recover', ...args(), '--memory', '-5']],
    ['a head that is none', ['recover', ...args(), '--base-head', 'ones']],
    ['a format that is none', ['recover', ...args(), '--format', 'xml']],
    ['a device that is none', ['recover', ...args(), '--device', 'nonsense']],
    ['a path that is none', ['recover', ...args(), '--path', 'crooked']],
    ['a scope that is none', ['recover', ...args(), '--scope', 'tail']],
    ['a readout that is none', ['recover', ...args(), '--readout', 'tea-leaves']],
    ['the pooler of a model without', ['recover', ...args(gpt), '--scope', 'top']],
    ['an output without a name', ['recover', ...args(), '-o', '']],
    ['no directory to inspect', ['inspect']],
  ]
  test.each(usage)('2: %s', async (_, command) => {
    await failed(2, command)
  })

  test('a readout that is none is refused before any scoring, and the others are named', async () => {
    const { stderr } = await warp(['recover', ...args(), '--readout', 'tea-leaves'])
    expect(stderr).not.toContain('score:')
    expect(stderr).toContain('gradient-matching')
  })

  test('4: a device that is not there; nothing falls back', async () => {
    if (listDevices().cuda.available) return
    const error = await failed(4, ['recover', ...args(), '--device', 'cuda'])
    expect(error.code).toMatch(/^CUDA_(NOT_COMPILED|NO_DEVICE|DRIVER_TOO_OLD)$/)
  })

  test('4: too small a budget; the smallest that would do is named, and does', async () => {
    const error = await failed(4, ['recover', ...args(), ...small, '--memory', '100kB'])
    expect(error.code).toBe('MEMORY_BUDGET')
    expect(error.message).toContain('the budget is 100000 bytes')
    const least = Number(/at least (\d+) bytes/.exec(error.message)![1])
    await recovered(['--memory', String(least)])
    expect((await failed(4, ['recover', ...args(), '--memory', String(least - 1)])).message).toContain(
      `at least ${least} bytes`,
    )
    const hinted = /--memory (\d+MiB)/.exec(error.hint)![1]
    await recovered(['--memory', hinted])
  })

  test('5: with --strict, when the verdict is not ok', async () => {
    const { code, stdout } = await warp(['recover', ...args(), ...small, '--json', '-q', '--strict'])
    expect(resultSchema.parse(JSON.parse(stdout)).diagnostics.verdict).not.toBe('ok') // models of random weights
    expect(code).toBe(5)
  })

  test('2: a group of commands alone asks for one of them', async () => {
    expect(await warp(['lab'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('a command is needed'),
    })
  })

  test('colours: asked for by FORCE_COLOR, forbidden by --no-color before that, none in a pipe', async () => {
    const told = async (more: string[], env: Record<string, string>): Promise<boolean> =>
      (await warp(['recover', ...args(), ...small, ...more], { env: { NO_COLOR: '', ...env } })).stdout.includes(
        '\u001b[',
      )
    expect(await told([], { FORCE_COLOR: '1' })).toBe(true)
    expect(await told(['--no-color'], { FORCE_COLOR: '1' })).toBe(false)
    expect(await told([], { FORCE_COLOR: '' })).toBe(false)
  })

  test('-v says where an error comes from', async () => {
    expect((await warp(['inspect', '/nowhere', '-v'])).stderr).toContain('    at ')
  })
})

describe('outputs', () => {
  const names = ['alignment.npy', 'report.html', 'result.json']

  test('-o writes the document, the page and a matrix that NumPy reads', async () => {
    const out = join(temporaryDirectory(), 'a', 'b')
    const result = await recovered(['-o', out])
    expect(readdirSync(out).sort()).toEqual(names)
    expect(JSON.parse(readFileSync(join(out, 'result.json'), 'utf8'))).toEqual(result)
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/)
    const bytes = readFileSync(join(out, 'alignment.npy'))
    expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x93NUMPY\x01\x00')
    const start = 10 + bytes.readUInt16LE(8)
    expect(start % 64).toBe(0)
    expect(bytes.toString('latin1', 10, start)).toMatch(
      /^\{'descr': '<f8', 'fortran_order': False, 'shape': \(96, 3\), \} *\n$/,
    )
    expect(bytes.length).toBe(start + 96 * 3 * 8)
    // rows are probes, labels taking turns: the first domain's mean is the footprint's
    const sum = [0, 0, 0]
    for (let i = 0; i < 96; i += 3) for (let k = 0; k < 3; k++) sum[k] += bytes.readDoubleLE(start + (i * 3 + k) * 8)
    sum.forEach((value, k) => expect(value / 32).toBeCloseTo(result.footprint.mean[0][k], 12))
  })

  test('output that is there is refused before any work, and left as it was; --force replaces it', async () => {
    const out = temporaryDirectory()
    writeFileSync(join(out, 'report.html'), 'mine')
    expect((await failed(2, ['recover', ...args(), '-o', out])).code).toBe('OUTPUT_EXISTS')
    expect(readdirSync(out)).toEqual(['report.html'])
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toBe('mine')
    await recovered(['-o', out, '--force'])
    expect(readdirSync(out).sort()).toEqual(names)
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toMatch(/^<!doctype/)
  })

  test.each([
    ['recover', 'result.json'],
    ['footprint', 'footprint.json'],
  ])('%s leaves nothing behind when it fails', async (command, taken) => {
    const out = temporaryDirectory()
    await failed(3, [command, ...args(), '--max-length', '4096', '-o', join(out, 'new')])
    expect(readdirSync(out)).toEqual([])
    // a folder in the place of the last file or the first: found only when it is written
    mkdirSync(join(out, taken))
    await failed(4, [command, ...args(), '--force', '-o', out])
    expect(readdirSync(out)).toEqual([taken])
  })

  test('a place that cannot be written is refused before any work', async () => {
    for (const out of [pair.probes, join(pair.probes, 'below')]) {
      const { code, stderr } = await warp(['recover', ...args(), '-o', out])
      expect(code).toBe(4)
      expect(stderr).toContain('[OUTPUT_NOT_WRITABLE]')
      expect(stderr).not.toContain('read:')
    }
  })

  test('--dry-run prints the plan and writes nothing', async () => {
    const out = join(temporaryDirectory(), 'out')
    const { code, stdout } = await warp(['recover', ...args(), '-n', '-o', out])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^96 probes of 3 domains, \d+ tokens, 3 points and both ends$/m)
    expect(stdout).toMatch(/memory +\d+ MiB at the peak/)
    const plan = JSON.parse((await warp(['recover', ...args(), '--dry-run', '--json', '-o', out])).stdout)
    expect(plan).toMatchObject({ schema: 'warp.plan/1', probes: 96, points: 3, chunks: 1 })
    for (const key of [
      'tokens',
      'flops',
      'estimatedSeconds',
      'workingMemoryBytes',
      'smallestMemoryBytes',
      'peakMemoryBytes',
    ])
      expect(plan[key]).toBeGreaterThan(0)
    expect(plan.smallestMemoryBytes).toBeLessThanOrEqual(plan.workingMemoryBytes)
    expect(existsSync(out)).toBe(false)
  })
})

describe('options', () => {
  const numbers = ({ mixtures, loss, footprint, diagnostics }: Awaited<ReturnType<typeof recovered>>) => ({
    mixtures,
    loss,
    footprint,
    diagnostics,
  })
  const labelled = pairLabels.flatMap((label, c) =>
    Array.from({ length: 10 }, (_, i) => ({ label, c, text: pairText(label, i) })),
  )

  test('the same bits for any number of threads and any budget', async () => {
    const one = await recovered(['--threads', '1'])
    const { smallestMemoryBytes } = JSON.parse(
      (await warp(['recover', ...args(), '--threads', '2', '-n', '--json'])).stdout,
    ) as { smallestMemoryBytes: number }
    for (const more of [
      ['--threads', '2'],
      ['--threads', '2', '--memory', String(smallestMemoryBytes)],
      ['--threads', '5', '--memory', '1GiB'],
    ]) {
      expect(numbers(await recovered(more))).toEqual(numbers(one))
    }
  })

  test('probes from stdin are those of the file', async () => {
    const result = await recovered([], { input: readFileSync(pair.probes, 'utf8') }, args(pair, ['-']))
    expect(numbers(result)).toEqual(numbers(await recovered([])))
  })

  test('a CSV without header, its columns named, its labels mapped, text in two columns', async () => {
    const rows = labelled.map(({ text, c }) => [
      c + 1,
      ...[text.slice(0, text.indexOf(' ')), text.slice(text.indexOf(' ') + 1)],
    ])
    const csv = join(temporaryDirectory(), 'probes.csv')
    writeFileSync(csv, rows.map((row) => `${row.join(',')}\n`).join(''))
    const map = join(temporaryDirectory(), 'map.json')
    writeFileSync(map, JSON.stringify(Object.fromEntries(pairLabels.map((label, c) => [c + 1, label]))))
    const lines = labelled.map(({ text, label }) => `${JSON.stringify({ text, label })}\n`).join('')
    const want = numbers(await recovered([], { input: lines }, args(pair, ['-'])))
    for (const labels of [pairLabels.map((label, c) => `${c + 1}=${label}`).join(','), map]) {
      const got = await recovered(
        ['--columns', 'class,first,rest', '--text', 'first,rest', '--label', 'class', '--label-map', labels],
        {},
        args(pair, [csv]),
      )
      expect(numbers(got)).toEqual(want)
      expect(got.domains.map(({ probes }) => probes)).toEqual([10, 10, 10])
    }
  })

  test('a subsample is seeded, of each domain, and noted', async () => {
    const [a, b, c] = [
      await recovered(['--per-domain', '5', '--seed', '1']),
      await recovered(['--per-domain', '5', '--seed', '1']),
      await recovered(['--per-domain', '5', '--seed', '2']),
    ]
    expect(a.domains.map(({ probes }) => probes)).toEqual([5, 5, 5])
    expect(numbers(b)).toEqual(numbers(a))
    expect(c.loss).not.toEqual(a.loss)
    expect(a.notes).toContainEqual(expect.stringMatching(/^15 of 96 texts were chosen at random \(seed 1\)$/))
  })

  test('longer texts are cut off and counted, or refused', async () => {
    const result = await recovered(['--max-length', '8'])
    expect(result.domains.every(({ truncated }) => truncated > 0)).toBe(true)
    expect(result.notes).toContainEqual(expect.stringMatching(/longer than 8 tokens and cut off/))
    await failed(3, ['recover', ...args(), '--max-length', '8', '--no-truncate'])
  })

  test('only the readouts asked for', async () => {
    const { mixtures, recommended } = await recovered(['--readout', 'softmax,uniform'])
    expect(mixtures.map(({ readout }) => readout).sort()).toEqual(['softmax', 'uniform'])
    expect(recommended.readout).toBe('softmax')
  })

  test('a head generated for the base is in the notes', async () => {
    const zeros = await recovered(['--base-head', 'zeros'])
    expect(zeros.notes).toContainEqual(expect.stringContaining('head generated from zeros'))
    // without a head every class is as likely: ln 3 at the base
    for (const [atBase] of zeros.loss) expect(atBase).toBeCloseTo(Math.log(3), 6)
    expect((await recovered(['--base-head', 'seed:7'])).notes).toContainEqual(expect.stringContaining('from seed 7'))
  })
})
