// Real weights: MiniLM experts whose mixtures are known. Recovers them through the command line and prints how far
// every readout errs; compares the alignment matrix with PyTorch's (test/fixtures/experts/make.py).
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { footprint } from '../../lib/index.js'
import { dataFile, modelDir, repositoryRoot, whenPresent } from '../support/shared.js'

const warp = join(repositoryRoot, 'dist/bin/warp.js')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'warp-experts-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const agColumns = [
  '--columns',
  'label,title,description',
  '--text',
  'title,description',
  '--label-map',
  '1=World,2=Sports,3=Business,4=Sci/Tech',
]

interface Truth {
  domains: string[]
  mixture: number[]
  /** rows of the data file that were not trained on, from 0 */
  heldOut: number[]
}

const truthOf = (expert: string): Truth => JSON.parse(readFileSync(join(modelDir(expert), 'truth.json'), 'utf8'))

/** The rows of a data file, one a line, that the expert was not trained on. */
function heldOut(expert: string, file: string): string {
  const lines = readFileSync(dataFile(file), 'utf8').split('\n')
  const probes = join(folder, `${expert}-${file}`)
  writeFileSync(
    probes,
    truthOf(expert)
      .heldOut.map((row) => `${lines[row]}\n`)
      .join(''),
  )
  return probes
}

interface Result {
  mixtures: { readout: string; mixture: Record<string, number> }[]
  recommended: { readout: string; interval: Record<string, [number, number]> }
  claimed?: { verdict: string; pValue: number }
  peakMemoryBytes: number
  plannedMemoryBytes: number
}

/** Mean |π̂ − π| of every readout, as the command line reports it. */
async function errors(expert: string, args: string[]): Promise<{ byReadout: Map<string, number>; result: Result }> {
  const truth = truthOf(expert)
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      warp,
      'recover',
      '--base',
      modelDir('minilm-l6'),
      '--base-head',
      'zeros',
      '--reference',
      modelDir(expert),
      ...args,
      '--per-domain',
      '100',
      '--points',
      '5',
      '--seed',
      '1',
      '--json',
      '-q',
    ],
    { maxBuffer: 1 << 26 },
  )
  const result = JSON.parse(stdout) as Result
  const byReadout = new Map(
    result.mixtures.map(({ readout, mixture }) => [
      readout,
      truth.domains.reduce((sum, name, d) => sum + Math.abs(mixture[name] - truth.mixture[d]), 0) /
        truth.domains.length,
    ]),
  )
  process.stderr.write(
    `${expert}: mean error by readout\n` +
      `${[...byReadout].map(([name, error]) => `  ${name.padEnd(28)} ${error.toFixed(4)}`).join('\n')}\n`,
  )
  return { byReadout, result }
}

/**
 * The truth within the recommended interval for most domains: 90 % each, so of D domains hardly more than a third
 * misses.
 */
function coverage(expert: string, result: Result): number {
  const truth = truthOf(expert)
  const hit = truth.domains.filter((name, d) => {
    const [low, high] = result.recommended.interval[name]
    return low <= truth.mixture[d] && truth.mixture[d] <= high
  })
  return hit.length / truth.domains.length
}

const present = (expert: string, data: string) => whenPresent(modelDir('minilm-l6'), modelDir(expert), dataFile(data))

present('expert-ag', 'ag_news_test.csv')(
  'AG News: gradient matching errs at most .06, softmax about .10',
  async () => {
    const { byReadout, result } = await errors('expert-ag', [
      '--probes',
      heldOut('expert-ag', 'ag_news_test.csv'),
      ...agColumns,
      ...['--strict', '--claimed', 'World=0.46,Sports=0.07,Business=0.3,Sci/Tech=0.17'],
    ])
    expect(byReadout.get('gradient-matching')).toBeLessThan(0.06)
    expect(Math.abs(byReadout.get('softmax')! - 0.1)).toBeLessThan(0.02)
    expect(byReadout.get('uniform')).toBeCloseTo(0.13, 3)
    expect(coverage('expert-ag', result)).toBeGreaterThan(0.6)
    expect(result.claimed!.verdict).toBe('consistent')
    expect(result.peakMemoryBytes).toBeLessThanOrEqual(result.plannedMemoryBytes)
  },
  600_000,
)

present('expert-ag', 'ag_news_test.csv')(
  'AG News: a claim of equal shares is refused, with exit code 5 under --strict',
  async () => {
    const claim = join(folder, 'equal.json')
    writeFileSync(claim, JSON.stringify({ World: 0.25, Sports: 0.25, Business: 0.25, 'Sci/Tech': 0.25 }))
    const probes = ['--probes', heldOut('expert-ag', 'ag_news_test.csv'), ...agColumns]
    const failed = await errors('expert-ag', [...probes, '--claimed', claim, '--strict']).then(
      () => undefined,
      (error: { code: number; stdout: string }) => error,
    )
    expect(failed?.code).toBe(5)
    const { diagnostics, claimed } = JSON.parse(failed!.stdout) as Result & { diagnostics: { verdict: string } }
    expect({ verdict: diagnostics.verdict, claimed: claimed!.verdict }).toEqual({ verdict: 'ok', claimed: 'not' })
    expect(claimed!.pValue).toBeLessThan(0.05)
  },
  600_000,
)

present('expert-clinc', 'clinc_domains.jsonl')(
  'CLINC: gradient matching errs at most .035, softmax about .054',
  async () => {
    const { byReadout, result } = await errors('expert-clinc', [
      '--probes',
      heldOut('expert-clinc', 'clinc_domains.jsonl'),
    ])
    expect(byReadout.get('gradient-matching')).toBeLessThan(0.035)
    expect(Math.abs(byReadout.get('softmax')! - 0.054)).toBeLessThan(0.01)
    expect(coverage('expert-clinc', result)).toBeGreaterThan(0.6)
  },
  600_000,
)

present('expert-ag', 'ag_news_test.csv')(
  'the alignment matrix is that of PyTorch, recipe and fast',
  async () => {
    const gold = JSON.parse(readFileSync(join(repositoryRoot, 'test/fixtures/experts/alignment-ag.json'), 'utf8')) as {
      step: number
      points: number
      recipe: number[][]
      fast: number[][]
    }
    // one row a line in this file
    const lines = readFileSync(dataFile('ag_news_test.csv'), 'utf8').trimEnd().split('\n')
    const probes = join(folder, 'probes.csv')
    writeFileSync(probes, lines.filter((_, i) => i % gold.step === 0).join('\n') + '\n')
    const { alignment } = await footprint({
      base: modelDir('minilm-l6'),
      baseHead: 'zeros',
      reference: modelDir('expert-ag'),
      probes: [probes],
      points: gold.points,
      columns: ['label', 'title', 'description'],
      text: ['title', 'description'],
      labelMap: { 1: 'World', 2: 'Sports', 3: 'Business', 4: 'Sci/Tech' },
    })
    const largest = Math.max(...gold.recipe.flat().map(Math.abs))
    expect(alignment).toHaveLength(gold.recipe.length * gold.points)
    for (const want of [gold.recipe.flat(), gold.fast.flat()]) {
      want.forEach((value, i) => expect(Math.abs(alignment[i] - value)).toBeLessThan(1e-4 * largest))
    }
  },
  600_000,
)
