// Scores that a stopped run left: the next one goes on from them, to the same bits.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spoolIn } from '../../bin/spool.js'
import { footprint, type FootprintOptions, ScoreSpool } from '../../lib/footprint/index.js'
import { recover } from '../../lib/recover.js'
import { warp } from '../support/command.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, type TestPair } from '../support/pair.js'

const bert = makePair('bert')
const common = { points: 3, baseHead: 'zeros' as const }
const given = ({ base, reference, probes }: TestPair): FootprintOptions => ({ base, reference, probes: [probes] })

const words = ['the', 'sun', 'and', 'a', 'stone', 'rain', 'in', 'earth', 'tea', 'oats']
const { base, reference } = makeLanguagePair()
const texts = Array.from({ length: 40 }, (_, i) => ({
  text: Array.from({ length: 3 + (i % 5) }, (_, j) => words[(i * 7 + j * 3 + (i % 3)) % words.length]).join(' '),
  domain: ['one', 'two'][i % 2],
}))
const cases: [string, FootprintOptions][] = [
  ['a classifier, closed forms', { ...given(bert), ...common }],
  ['a classifier, every tensor', { ...given(bert), ...common, scope: 'all' }],
  ['GPT-2 with a head, along ties', { ...given(makePair('gpt2')), ...common, path: 'ties' }],
  ['a language model', { base, reference, probes: texts, points: 2 }],
]

/** Runs until `parts` files are there, and stops: by what is kept, as progress is told now and then only. */
async function stopped(options: FootprintOptions, folder: string, parts: number): Promise<void> {
  const controller = new AbortController()
  const spool = new ScoreSpool({ folder, texts: 7 })
  let kept = 0
  Object.defineProperty(spool, 'kept', {
    get: () => kept,
    set: (texts: number) => {
      kept = texts
      if (kept >= 7 * parts) controller.abort(new Error('stopped'))
    },
  })
  await expect(footprint({ ...options, spool, signal: controller.signal })).rejects.toThrow('stopped')
  expect(readdirSync(folder).filter((name) => name.endsWith('.bin'))).toHaveLength(parts)
}

test.each(cases)('%s: the same bits, however often it was stopped', async (_, options) => {
  const folder = join(temporaryDirectory(), 'scored')
  const { alignment, footprint: means } = await footprint(options)
  await stopped(options, folder, 1)
  await stopped(options, folder, 3)
  const notes: string[] = []
  const spool = new ScoreSpool({ folder, texts: 11, onNote: (line) => notes.push(line) })
  const again = await footprint({ ...options, spool })
  expect(notes).toEqual([`${folder}: 21 texts were scored by an earlier run, which goes on here`])
  expect(again.alignment).toEqual(alignment)
  expect(again.footprint).toEqual(means)
  expect(alignment.some((value) => value !== 0)).toBe(true)
  expect(spool.kept).toBe(alignment.length / options.points!)
  await spool.remove()
  expect(existsSync(folder)).toBe(false)
})

test('recover reads the same mixtures and diagnostics from what was kept', async () => {
  const folder = join(temporaryDirectory(), 'scored')
  const options = { ...cases[0][1], bootstrap: 20 }
  const whole = await recover(options)
  await stopped(cases[0][1], folder, 2)
  const { result, alignment } = await recover({ ...options, spool: new ScoreSpool({ folder, texts: 9 }) })
  expect(alignment).toEqual(whole.alignment)
  for (const key of ['command', 'mixtures', 'recommended', 'diagnostics', 'loss', 'footprint', 'notes'] as const)
    expect(result[key]).toEqual(whole.result[key])
})

test('scores of other texts, points or heads are not used, and stay', async () => {
  const folder = join(temporaryDirectory(), 'scored')
  const options = cases[0][1]
  await stopped(options, folder, 2)
  for (const other of [{ points: 4 }, { limit: 60 }, { baseHead: { seed: 3 } }, { path: 'ties' }, { scope: 'top' }]) {
    const notes: string[] = []
    const spool = new ScoreSpool({ folder, texts: 20, onNote: (line) => notes.push(line) })
    const { alignment } = await footprint({ ...options, ...other, spool })
    const told = `${folder}: scores of other models, texts, paths or versions are not used (2 files)`
    expect({ other, notes }).toEqual({ other, notes: [told] })
    expect(alignment).toEqual((await footprint({ ...options, ...other })).alignment)
    await spool.remove()
    expect(readdirSync(folder)).toHaveLength(2)
  }
})

test('a byte that was changed is noticed, and the file named', async () => {
  const folder = join(temporaryDirectory(), 'scored')
  const options = cases[0][1]
  await stopped(options, folder, 2)
  const file = join(folder, readdirSync(folder).sort()[1])
  const bytes = readFileSync(file)
  for (const at of [10, bytes.indexOf(10) - 90, bytes.length - 1]) {
    const changed = Buffer.from(bytes)
    changed[at] ^= 1
    writeFileSync(file, changed)
    const run = footprint({ ...options, spool: new ScoreSpool({ folder, texts: 7 }) })
    await expect(run).rejects.toMatchObject({ code: 'SCORES_DAMAGED', kind: 'input', details: { file } })
  }
})

test('a run that is short keeps nothing', async () => {
  const folder = join(temporaryDirectory(), 'scored')
  const spool = new ScoreSpool({ folder })
  await footprint({ ...cases[0][1], spool })
  expect({ kept: spool.kept, there: existsSync(folder) }).toEqual({ kept: 0, there: false })
})

test('scores of models that changed meanwhile are removed', async () => {
  const folder = join(temporaryDirectory(), 'scored')
  const pair = makePair('bert')
  const onProgress = (): void => {
    if (existsSync(folder)) writeFileSync(join(pair.base, 'config.json'), readFileSync(join(pair.base, 'config.json')))
  }
  const options = { ...given(pair), ...common, onProgress, spool: new ScoreSpool({ folder, texts: 40 }) }
  await expect(footprint(options)).rejects.toMatchObject({ code: 'FILE_CHANGED' })
  expect(existsSync(folder)).toBe(false)
})

test('warp recover -o goes on, says so, and leaves what an uninterrupted run leaves', async () => {
  const args = ['recover', '--base', bert.base, '--reference', bert.reference, '--probes', bert.probes]
  args.push('--base-head', 'zeros', '--points', '3', '--bootstrap', '20')
  const [whole, output] = [join(temporaryDirectory(), 'whole'), join(temporaryDirectory(), 'out')]
  expect((await warp([...args, '-o', whole])).code).toBe(0)
  const folder = join(output, 'scored')
  await stopped({ ...cases[0][1], path: 'linear' }, folder, 2)
  const { code, stderr } = await warp([...args, '-o', output])
  expect(code).toBe(0)
  expect(stderr).toContain(`${folder}: 14 texts were scored by an earlier run, which goes on here`)
  expect(readdirSync(output).sort()).toEqual(readdirSync(whole).sort())
  const npy = (dir: string): Buffer => readFileSync(join(dir, 'alignment.npy'))
  expect(npy(output).equals(npy(whole))).toBe(true)
  const result = (dir: string): unknown => {
    const all = JSON.parse(readFileSync(join(dir, 'result.json'), 'utf8')) as Record<string, unknown>
    return { ...all, timings: null, peakMemoryBytes: null, plannedMemoryBytes: null }
  }
  expect(result(output)).toEqual(result(whole))
})

test('who stops a run is told what is kept, and not where there is nothing', async () => {
  const told = async (kept: number): Promise<string[]> => {
    const [notes, controller] = [[] as string[], new AbortController()]
    const spool = await spoolIn('out', { signal: controller.signal, note: (line) => notes.push(line) })
    spool!.kept = kept
    controller.abort()
    return notes
  }
  expect(await told(0)).toEqual([])
  expect(await told(40)).toEqual(['stopping; 40 texts are scored (out/scored): the same command goes on from there'])
  expect(await spoolIn(undefined, { signal: new AbortController().signal, note: () => {} })).toBeUndefined()
})
