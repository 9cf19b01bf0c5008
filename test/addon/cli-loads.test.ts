// What a command loads: nothing that only others need, since every start waits for it.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { makePair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'

const script = `
  process.on('exit', () => process.stderr.write(JSON.stringify(Object.keys(require.cache))))
  process.argv.splice(1, 0, 'warp')
  require(${JSON.stringify(join(repositoryRoot, 'dist/bin/warp.js'))})`

/** The packages and rooms of lib that have modules loaded when a command ends. */
function loadedBy(...args: string[]): Set<string> {
  const { status, stderr } = spawnSync(process.execPath, ['-e', script, '--', ...args], { encoding: 'utf8' })
  expect(status).toBe(0)
  const place = /.*\/node_modules\/([^/]+)|.*\/dist\/(lib\/[^/]+|bin)/
  return new Set(
    (JSON.parse(stderr) as string[]).flatMap((file) => place.exec(file.replaceAll('\\', '/'))?.slice(1) ?? []),
  )
}

test.each(['--version', '--help', 'recover --help', 'diff --help', 'train --help'])(
  'warp %s loads no more than what defines the commands',
  (line) => {
    const loaded = loadedBy(...line.split(' '))
    expect(loaded).toContain('commander')
    for (const other of ['zod', 'yaml', 'csv-parse', 'lib/models', 'lib/text', 'lib/hub'])
      expect(loaded).not.toContain(other)
  },
)

test('recover loads neither schemas nor YAML', () => {
  const { base, reference, probes } = makePair()
  const given = ['--base', base, '--reference', reference, '--probes', probes, '--points', '2', '--bootstrap', '20']
  const loaded = loadedBy('recover', ...given, '-q')
  expect(loaded).toContain('lib/trace')
  for (const other of ['zod', 'yaml', 'undici', 'lib/schemas']) expect(loaded).not.toContain(other)
})
