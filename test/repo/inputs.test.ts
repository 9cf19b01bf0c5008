// docs/inputs.md against the code: formats, endings, options of the command line, codes.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { fileOptions, pairOptions, textOptions } from '../../bin/probe-options.js'
import { compressionExtensions } from '../../lib/text/compression.js'
import { byExtension, probeFormats } from '../../lib/text/sources.js'
import { repositoryRoot } from '../support/shared.js'

const text = readFileSync(join(repositoryRoot, 'docs/inputs.md'), 'utf8')
const codeLike = /\b(?:PROBES|TOKENIZER|TEXT|LABEL_MAP|OPTION|PAIR_TOKENIZER)(?:_[A-Z0-9]+)+\b|\bPAIR_TOKENIZER\b/g

/** The sources of the rooms that the document is about. */
function sources(): string {
  const files = readdirSync(join(repositoryRoot, 'lib/text'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join('lib/text', name))
  return [...files, 'lib/checkpoint/tokenizers.ts', 'lib/options.ts', 'lib/errors.ts']
    .map((name) => readFileSync(join(repositoryRoot, name), 'utf8'))
    .join('\n')
}

test('every code that is thrown has its row, and no row is of a code that is not', () => {
  // those that stand in quotes are thrown
  const thrown = new Set(
    [...sources().matchAll(/'([A-Z][A-Z0-9_]+)'/g)]
      .map(([, code]) => code)
      .filter((code) => code.match(codeLike)?.[0] === code),
  )
  const listed = new Set(text.slice(text.indexOf('## Codes')).match(codeLike))
  expect(thrown.size).toBeGreaterThan(60)
  expect([...listed].filter((code) => !thrown.has(code))).toEqual([])
  expect([...thrown].filter((code) => !listed.has(code)).sort()).toEqual([])
})

test('every format and every ending', () => {
  const rows = [...text.matchAll(/^\| `([a-z]+)` \| (.*?) \|/gm)]
  expect(rows.map(([, format]) => format).sort()).toEqual([...probeFormats].sort())
  const endings = rows.flatMap(([, format, cell]) =>
    [...cell.matchAll(/`(\.\w+)`/g)].map(([, ending]) => [ending, format]),
  )
  expect(Object.fromEntries(endings)).toEqual(byExtension)
  for (const ending of Object.keys(compressionExtensions)) expect(text).toContain(`\`${ending}\``)
})

test('every option that it names is one', () => {
  const command = new Command()
  for (const add of [pairOptions, textOptions]) add(command)
  const known = new Set([...command.options.map(({ long }) => long), '--probes', '--data'])
  const named = new Set(text.match(/--[a-z][a-z-]+/g))
  expect([...named].filter((option) => !known.has(option))).toEqual([])
  // and the other way round, of those that say how files are read
  const own = fileOptions(new Command()).options.map(({ long }) => long as string)
  const sampling = ['--limit', '--per-domain']
  expect(own.filter((option) => !named.has(option) && !sampling.includes(option))).toEqual([])
})
