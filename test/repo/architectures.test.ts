// docs/architectures.md says what lib/models has.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../shared.js'

test('docs/architectures.md is what scripts/architectures.cjs makes', async () => {
  const { file, text } = (await import(join(repositoryRoot, 'scripts/architectures.cjs'))) as {
    file: string
    text: () => string
  }
  expect(readFileSync(file, 'utf8')).toBe(text())
})
