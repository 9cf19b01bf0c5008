// A power failure at the worst time: every name that says a file is whole comes after a flush. The commands run on a
// layer that empties a file which gets its name before (test/power/drop_unsynced.c); they must not notice.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { LineWriter } from '../../bin/line-writer.js'
import { contents, difference, writingCommands } from '../attack/commands.js'
import { warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'

const library = join(temporaryDirectory(), 'drop_unsynced.so')
const source = join(repositoryRoot, 'test/power/drop_unsynced.c')
const built =
  process.platform === 'linux' &&
  spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl', '-lpthread']).status === 0
if (!built) process.stderr.write('skipped: power failures: the layer needs Linux and a C compiler\n')
const withLayer = built ? test : test.skip
const env = { LD_PRELOAD: library }

function node(script: string, ...args: string[]): void {
  const run = spawnSync(process.execPath, ['-e', script, ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  expect(run).toMatchObject({ status: 0, stderr: '' })
}

withLayer('the layer loses what was not flushed, and only that', () => {
  const folder = temporaryDirectory()
  const script = (sync: string): string =>
    `const fs = require('fs'); const file = fs.openSync('a', 'w'); fs.writeSync(file, 'text'); ${sync};
    fs.closeSync(file); fs.renameSync('a', 'b')`
  node(`process.chdir(${JSON.stringify(folder)}); ${script('')}`)
  expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('')
  node(`process.chdir(${JSON.stringify(folder)}); ${script('fs.fsyncSync(file)')}`)
  expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('text')
})

const { commands } = writingCommands()

withLayer.each(commands.map((command) => [command.name, command] as const))('%s', async (_, { args, varies }) => {
  const [calm, failing] = [join(temporaryDirectory(), 'out'), join(temporaryDirectory(), 'out')]
  expect((await warp([...args(calm), '-q'])).code).toBe(0)
  expect((await warp([...args(failing), '-q'], { env })).code).toBe(0)
  expect(difference(contents(failing), contents(calm), varies)).toBeUndefined()
  for (const [name, bytes] of contents(failing))
    if (contents(calm).get(name)!.length > 0) expect([name, bytes.length > 0]).toEqual([name, true])
})

withLayer('trials of a lab', async () => {
  const folder = temporaryDirectory()
  const plan = commands.find(({ name }) => name === 'lab plan')!
  const lab = join(folder, 'lab')
  for (const args of [plan.args(lab), ['lab', 'run', lab, '--workers', '1']])
    expect((await warp([...args, '-q'], { env })).code).toBe(0)
  const files = contents(join(lab, 'trials'))
  const records = [...files].filter(([name]) => name.endsWith('trial.json'))
  expect(records).toHaveLength(2)
  for (const [, bytes] of records) expect(JSON.parse(String(bytes))).toMatchObject({ schema: 'warp.trial/1' })
})

// /dev/full takes nothing: what a full disk says, without one
test('a list of lines on a full disk', async () => {
  const writer = await LineWriter.open(join(temporaryDirectory(), 'lines.jsonl'))
  const full = await open('/dev/full', 'w')
  await writer.handle.close()
  Object.assign(writer, { handle: full })
  await writer.add('x')
  await expect(writer.commit()).rejects.toMatchObject({ code: 'DISK_FULL', exitCode: 4 })
  await writer.discard()
})
