// The documents that are made from the code say what the code has.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../support/shared.js'

test.each([
  ['docs/architectures.md', 'scripts/architectures.cjs'],
  ['docs/commands.md', 'scripts/commands.cjs'],
  ['docs/errors.md', 'scripts/errors.cjs'],
  ['man/warp.1', 'scripts/man.cjs'],
])('%s is what %s makes', async (_, script) => {
  const { file, text } = (await import(join(repositoryRoot, script))) as { file: string; text: () => string }
  expect(readFileSync(file, 'utf8')).toBe(text())
})

test('schemas/ is what scripts/schemas.cjs makes', async () => {
  const { folder, texts } = (await import(join(repositoryRoot, 'scripts/schemas.cjs'))) as {
    folder: string
    texts: () => Record<string, string>
  }
  const there = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')])
  expect(Object.fromEntries(there)).toEqual(texts())
})

test('examples in the help use options that their commands have', () => {
  const page = readFileSync(join(repositoryRoot, 'docs/commands.md'), 'utf8')
  const helps = new Map(page.split(/^## warp /m).map((part) => [part.split('\n')[0], part]))
  const lines = [...page.matchAll(/^ {2}warp (.*)$/gm)].map(([, line]) => line)
  expect(lines.length).toBeGreaterThan(15)
  for (const line of lines) {
    const words = line.split(' ')
    const help = helps.get(words.slice(0, 2).join(' ')) ?? helps.get(words[0])!
    for (const option of words.filter((word) => word.startsWith('-'))) {
      expect([line, option, new RegExp(`^ +(-\\w, )?${option}[ ,]`, 'm').test(help)]).toEqual([line, option, true])
    }
  }
})
