// What `recover` says of a declared mixture and writes for a model card, from outside. A tiny pair of random models,
// so the mixture is weak; real weights: experts.test.ts.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recover } from '../../lib/index.js'
import { resultSchema } from '../../lib/report/schema.js'
import { type ErrorDocument, warp } from '../support/command.js'
import { makePair, pairLabels } from '../support/pair.js'

const pair = makePair()
const given = ['--base', pair.base, '--reference', pair.reference, '--probes', pair.probes]
const command = ['recover', ...given, '--points', '3', '--bootstrap', '20', '-q']
const claimed = Object.fromEntries(pairLabels.map((name, d) => [name, [0.5, 0.3, 0.2][d]]))

test('every form of the answer has the claim; against a weak mixture nobody can tell', async () => {
  const file = join(pair.folder, 'claimed.json')
  writeFileSync(file, JSON.stringify(claimed))
  const out = join(pair.folder, 'out')
  const { code, stdout, stderr } = await warp([...command, '--json', '--claimed', file, '-o', out])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const result = resultSchema.parse(JSON.parse(stdout))
  expect(result.claimed).toMatchObject({ mixture: claimed, verdict: "can't tell", level: 0.9 })
  expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('The claimed mixture')
  const again = await warp(['recover', '--config', join(out, 'result.json'), '-q'])
  expect(again.stdout).toMatch(/^Claimed mixture {2}can't tell$/m)
})

test('a program gives an object, and the document gives its options back', async () => {
  const probes = [pair.probes]
  const { result } = await recover({
    ...{ base: pair.base, reference: pair.reference, probes, points: 3, bootstrap: 20 },
    claimed,
  })
  const file = join(pair.folder, 'result.json')
  writeFileSync(file, JSON.stringify(result))
  const { stdout } = await warp(['recover', '--config', file, '--json', '-q'])
  expect(JSON.parse(stdout)).toMatchObject({ claimed: result.claimed })
})

test.each([[[]], [['-n']]])('a claim that is not about these domains is refused before any work %j', async (more) => {
  const { code, stdout } = await warp([...command, ...more, '--json', '--claimed', `${pairLabels[0]}=1`])
  const { error } = JSON.parse(stdout) as ErrorDocument
  expect({ exit: code, code: error.code }).toEqual({ exit: 3, code: 'CLAIMED_DOMAIN_MISSING' })
  expect(error.details).toMatchObject({ expected: pairLabels.slice(1) })
})

describe('--card', () => {
  const file = join(pair.folder, 'cards/CARD.md')
  const run = (...more: string[]) => warp([...command, '--json', ...more])

  test('writes a card, beside a folder or alone, and again only when forced', async () => {
    const out = join(pair.folder, 'beside')
    expect(await run('--card', file, '-o', out)).toMatchObject({ code: 0, stderr: '' })
    expect(readdirSync(out).toSorted()).toEqual(['alignment.npy', 'report.html', 'result.json'])
    expect(readdirSync(join(file, '..'))).toEqual(['CARD.md'])
    const card = readFileSync(file, 'utf8')
    for (const label of pairLabels) expect(card).toContain(`| ${label} |`)
    const again = await run('--card', file)
    expect({ code: again.code, error: JSON.parse(again.stdout).error.code }).toEqual({
      code: 2,
      error: 'OUTPUT_EXISTS',
    })
    expect(await run('--card', file, '--force', '--seed', '3')).toMatchObject({ code: 0 })
    expect(readFileSync(file, 'utf8')).toContain('--seed 3')
  })

  test('is refused where it would be an input or a file of the folder; what fails leaves none', async () => {
    const out = join(pair.folder, 'twice')
    const refused = async (...more: string[]) => (JSON.parse((await run(...more)).stdout) as ErrorDocument).error.code
    const probes = readFileSync(pair.probes, 'utf8')
    expect(await refused('--card', pair.probes, '--force')).toBe('OUTPUT_IS_INPUT')
    expect(readFileSync(pair.probes, 'utf8')).toBe(probes)
    expect(await refused('--card', join(out, 'report.html'), '-o', out)).toBe('OUTPUT_TWICE')
    expect(await refused('--card', '')).toBe('OUTPUT_EMPTY')
    expect(await refused('--card', join(out, 'a/card.md'), '--claimed', 'x=1')).toBe('CLAIMED_DOMAIN_UNKNOWN')
    expect(existsSync(out)).toBe(false)
  })
})
