// What `recover` says of a declared mixture, from outside. A tiny pair of random models, so against a weak mixture;
// real weights: experts.test.ts.
import { readFileSync, writeFileSync } from 'node:fs'
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
