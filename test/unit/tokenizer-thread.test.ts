import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { repositoryRoot } from '../support/shared.js'

const room = JSON.stringify(join(repositoryRoot, 'dist/lib/text/tokenizer/index.js'))

test.each([
  ['nobody asks it', ''],
  ['it has answered', `loadTokenizer('nowhere').catch(({ code }) => console.log(code))`],
])('the thread does not keep a process that has ended: %s', (_, ask) => {
  const script = `const { loadTokenizer, startTokenizers } = require(${room}); startTokenizers(); ${ask}`
  const { signal, status, stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 50_000 })
  expect({ signal, status, stdout }).toEqual({ signal: null, status: 0, stdout: ask && 'TOKENIZER_MISSING\n' })
})
