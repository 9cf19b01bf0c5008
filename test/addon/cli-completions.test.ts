// The scripts that `warp completions` prints, in the shells that are there.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { shells } from '../../bin/completions.js'
import { commandFacts } from '../../bin/definitions.js'
import { examplesOf } from '../../bin/examples.js'
import { makeProgram } from '../../bin/program.js'
import { warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'

const folder = temporaryDirectory()
const commands = commandFacts(makeProgram(), examplesOf)

async function script(shell: string): Promise<string> {
  const { code, stdout } = await warp(['completions', shell])
  expect(code).toBe(0)
  const file = join(folder, `warp.${shell}`)
  writeFileSync(file, stdout)
  return file
}

/** What bash offers for the last of the words. */
function offered(file: string, ...words: string[]): string[] {
  const typed = words.map((word) => `'${word}'`).join(' ')
  const run = spawnSync('bash', [
    '-c',
    `source ${file}; COMP_WORDS=(${typed}); COMP_CWORD=${words.length - 1}; _warp; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ])
  expect({ status: run.status, stderr: run.stderr.toString() }).toEqual({ status: 0, stderr: '' })
  return run.stdout.toString().split('\n').filter(Boolean)
}

test('bash completes every command, every option and the values of options that have a choice', async () => {
  const file = await script('bash')
  for (const { path, options, below } of commands) {
    const names = options.flatMap(({ short, long }) => (short ? [short, long] : [long]))
    const all = offered(file, 'warp', ...path, '')
    expect({ path, missing: [...below, ...names].filter((word) => !all.includes(word)) }).toEqual({ path, missing: [] })
  }
  for (const { path, options } of commands.filter(({ path: [first] }) => first === 'lab')) {
    for (const { long, choices } of options.filter((option) => option.choices.length > 0))
      expect(offered(file, 'warp', ...path, 'x', long, '')).toEqual(choices)
  }
  expect(offered(file, 'warp-recover', 'lab', 'ru')).toEqual(['run'])
  expect(offered(file, 'warp', 'recover', '--base', 'x', '--bootst')).toEqual(['--bootstrap'])
  // a value that may be anything: names of files, which the shell itself offers
  expect(offered(file, 'warp', 'recover', '--base', '')).toEqual([])
})

test.each(shells)('%s reads its script', async (shell) => {
  const file = await script(shell)
  const { error, status, stderr } = spawnSync(shell, ['-n', file])
  if (error) {
    process.stderr.write(`skipped: ${shell} reads its script: there is no ${shell}\n`)
    return
  }
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' })
})

test('fish offers what bash does', async () => {
  const file = await script('fish')
  const ask = (line: string) => spawnSync('fish', ['-c', `source ${file}; complete -C '${line}'`])
  if (ask('warp ').error) {
    process.stderr.write('skipped: fish offers what bash does: there is no fish\n')
    return
  }
  const words = (line: string): string[] =>
    ask(line)
      .stdout.toString()
      .split('\n')
      .map((one) => one.split('\t')[0])
  expect(words('warp ')).toEqual(expect.arrayContaining(commands[0].below))
  expect(words('warp lab ')).toEqual(expect.arrayContaining(['plan', 'run', 'fit', 'report']))
  expect(words('warp lab run --executor ')).toEqual(expect.arrayContaining(['local', 'slurm']))
})
