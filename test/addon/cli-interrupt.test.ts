// SIGINT and SIGTERM: the exit code says so, nothing is left behind. A tiny pair with so many probes and points that
// scoring would take a minute.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type ErrorDocument, warp } from '../support/command.js'
import { makePair, pairProbes } from '../support/pair.js'

const pair = makePair('bert', { perDomain: 4000 })
const given = ['--base', pair.base, '--reference', pair.reference, '--points', '200']
const before = readdirSync(pair.folder)

test.each([
  ['SIGINT', 130, 'read', /^read:/m],
  ['SIGINT', 130, 'score', /^score:/m],
  ['SIGTERM', 143, 'score', /^score:/m],
] as const)('%s ends the run with %i (%s)', async (signal, code, _phase, when) => {
  const out = join(pair.folder, 'out')
  const run = await warp(['recover', ...given, '--probes', pair.probes, '-o', out, '--json'], {
    kill: { signal, when },
  })
  expect(run.code).toBe(code)
  expect((JSON.parse(run.stdout) as ErrorDocument).error).toMatchObject({
    code: 'INTERRUPTED',
    message: `interrupted by ${signal}`,
  })
  expect(run.stderr).toContain(`interrupted by ${signal} [INTERRUPTED]`)
  expect(run.stderr).not.toContain('resample:')
  expect(existsSync(out)).toBe(false)
  expect(readdirSync(pair.folder)).toEqual(before)
})

test('a footprint is interrupted likewise', async () => {
  const run = await warp(['footprint', ...given, '--probes', pair.probes], {
    kill: { signal: 'SIGINT', when: /^score:/m },
  })
  expect(run).toMatchObject({ code: 130, stdout: '' })
})

test('SIGINT ends a run that waits for stdin', async () => {
  const run = await warp(['recover', ...given, '--probes', '-'], {
    input: pairProbes(2),
    waiting: true,
    kill: { signal: 'SIGINT', when: /^read:/m },
  })
  expect(run).toMatchObject({ code: 130, stdout: '' })
})
