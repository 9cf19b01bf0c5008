// The documents that are made from the code say what the code has.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../shared.js'

test.each([
  ['docs/architectures.md', 'scripts/architectures.cjs'],
  ['docs/commands.md', 'scripts/commands.cjs'],
])('%s is what %s makes', async (_, script) => {
  const { file, text } = (await import(join(repositoryRoot, script))) as { file: string; text: () => string }
  expect(readFileSync(file, 'utf8')).toBe(text())
})
