// The commands and the program of README.md run as they stand, in a folder where their inputs lie: `warp` lines of
// `sh` blocks, in their order (`recover` as a dry run: the forward passes are tested elsewhere; the lab with fewer and
// smaller trials), the `js` block whole.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { dataFile, modelDir, repositoryRoot, whenPresent } from '../support/shared.js'

const run = promisify(execFile)
const readme = readFileSync(join(repositoryRoot, 'README.md'), 'utf8')
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text]) => text)
const commands = blocks('sh')
  .flatMap((text) => text.replaceAll('\\\n', ' ').split('\n'))
  .filter((line) => line.startsWith('warp '))
const words = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare)

const smaller: [start: string, added: string[]][] = [
  ['recover', ['--dry-run']],
  ['lab plan', ['--trials', '5', '--texts', '16', '--probes-per-domain', '2', '--points', '1']],
  ['lab report', ['--folds', '4']],
]

/** Of a command that ran as it stands: its stdout. */
const printed = new Map<string, string>()
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'warp-docs-'))
  for (const name of ['minilm-l6', 'expert-ag', 'smollm2-135m'])
    if (existsSync(modelDir(name))) symlinkSync(modelDir(name), join(folder, name))
  const news = dataFile('ag_news_test.csv')
  if (existsSync(news)) symlinkSync(news, join(folder, 'ag_news_test.csv'))
  symlinkSync(join(repositoryRoot, 'assets'), join(folder, 'assets'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(repositoryRoot, join(folder, 'node_modules/warp-recover'))
  writeFileSync(join(folder, 'package.json'), '{}') // whatever package the folders above it may be
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('there are commands, a program and files to look at', () => {
  expect(commands.length).toBeGreaterThan(2)
  expect(blocks('js')).toHaveLength(1)
  for (const [, place] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g))
    expect([place, existsSync(join(repositoryRoot, place))]).toEqual([place, true])
})

const present = whenPresent(modelDir('minilm-l6'), modelDir('expert-ag'), dataFile('ag_news_test.csv'))

for (const line of commands) {
  present(
    line,
    async () => {
      const args = words(line).slice(1)
      const [, added = []] = smaller.find(([start]) => args.join(' ').startsWith(start)) ?? []
      const program = join(repositoryRoot, 'dist/bin/warp.js')
      const { stdout } = await run(process.execPath, [program, ...args, ...added], { cwd: folder, maxBuffer: 1 << 26 })
      if (added.length === 0) printed.set(line, stdout)
    },
    300_000,
  )
}

present('what the README shows of an output is what was printed', () => {
  let compared = 0
  for (const [, shell, shown] of readme.matchAll(/```sh\n([^`]*)```\n\n```text\n([^`]*)```/g)) {
    const lines = commands.filter((line) => shell.replaceAll('\\\n', ' ').includes(line))
    if (!lines.every((line) => printed.has(line))) continue
    const output = lines.flatMap((line) => printed.get(line)!.split('\n'))
    for (const line of shown.trimEnd().split('\n')) {
      if (line.trim() === '…') continue
      expect(output).toContain(line)
      compared++
    }
  }
  expect(compared).toBeGreaterThan(15)
})

present(
  'the program',
  async () => {
    writeFileSync(join(folder, 'program.mjs'), blocks('js')[0])
    const { stdout } = await run(process.execPath, ['program.mjs'], { cwd: folder })
    expect(stdout).toContain('Sports')
  },
  300_000,
)
