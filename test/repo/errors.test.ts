// docs/errors.md has every code that is raised, with cause and remedy, and none that is not.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../support/shared.js'

interface Script {
  codes(): [string, { causes: Set<string>; remedies: Set<string> }][]
  composed(files: [string, string][]): Set<string>
  everySource(): [string, string][]
}
const script = (): Promise<Script> => import(join(repositoryRoot, 'scripts/errors.cjs')) as Promise<Script>
const literal = /['"]([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|INTERNAL)['"]/g
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')

/** Names in capitals that are no codes: of variables (docs/environment.md), of files' contents, beginnings of codes. */
const other = /^(CAUSAL_LM|SEQ_CLS|F8_E\dM\d|LABEL_MAP|TRAIN_RECORD|TRAIN_STATE|CUDA_HOME|CUDA_PATH)$|^ERR_/

/** Codes as they stand in the sources, and those put together of two parts. */
async function raised(): Promise<Set<string>> {
  const { composed, everySource } = await script()
  const environment = readFileSync(join(repositoryRoot, 'docs/environment.md'), 'utf8')
  const files = everySource()
  const found = composed(files)
  for (const [name, text] of files) {
    if (name === 'lib/checkpoint/json.ts') continue // only ends of codes; `composed` has them
    const header = name === 'lib/checkpoint/header.ts'
    const ends = header ? text.matchAll(/(?:fail\(|[?:] )'((?!SAFETENSORS)[A-Z][A-Z_]+)'/g) : []
    for (const [, end] of ends) found.add(`SAFETENSORS_${end}`)
    for (const [, code] of withoutComments(text).matchAll(literal)) {
      if (other.test(code) || environment.includes(`\`${code}\``)) continue
      if (!header || code.startsWith('SAFETENSORS_')) found.add(code)
    }
  }
  return found
}

test('no code without an entry, none without a throw', async () => {
  const { codes } = await script()
  const told = new Set(codes().map(([code]) => code))
  const thrown = await raised()
  expect(thrown.size).toBeGreaterThan(380)
  expect([...thrown].filter((code) => !told.has(code)).sort()).toEqual([])
  expect([...told].filter((code) => !thrown.has(code))).toEqual([])
})

test('every code has a cause and a remedy in words', async () => {
  const { codes } = await script()
  const mute = codes().filter(
    ([, { causes, remedies }]) => ![causes, remedies].every((all) => [...all].some((words) => /[a-z]{2}/.test(words))),
  )
  expect(mute).toEqual([])
})
