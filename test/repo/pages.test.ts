// The pages people read: links resolve, commands have the options they are given, figures are those of the results.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { readoutsFor } from '../../lib/readouts/index.js'
import { repositoryRoot } from '../support/shared.js'

const read = (file: string): string => readFileSync(join(repositoryRoot, file), 'utf8')
const docs = readdirSync(join(repositoryRoot, 'docs')).filter((name) => name.endsWith('.md'))
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'benchmarks/README.md',
  ...docs.map((name) => `docs/${name}`),
]
const outsideBlocks = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')

/** As GitHub makes them. */
const anchors = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

test.each(pages)('%s: links lead somewhere', (page) => {
  for (const [, target] of outsideBlocks(read(page)).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)) {
    const [file, anchor] = target.split('#')
    const place = file === '' ? page : relative('.', join(dirname(page), file))
    expect([target, existsSync(join(repositoryRoot, place))]).toEqual([target, true])
    if (anchor) expect([target, anchors(read(place))]).toEqual([target, expect.arrayContaining([anchor])])
  }
})

test('every page of docs is reached from README.md or from one that is', () => {
  const reached = new Set<string>()
  const follow = (page: string): void => {
    if (reached.has(page) || !existsSync(join(repositoryRoot, page))) return
    reached.add(page)
    for (const [, target] of read(page).matchAll(/\]\(([^):#]+\.md)[^)]*\)/g)) follow(join(dirname(page), target))
  }
  follow('README.md')
  expect(docs.filter((name) => !reached.has(`docs/${name}`))).toEqual([])
})

test('commands have the options that they are shown with', () => {
  const helps = new Map(
    read('docs/commands.md')
      .split(/^## warp /m)
      .map((part) => [part.split('\n')[0], part]),
  )
  let seen = 0
  for (const page of pages.filter((name) => name !== 'docs/commands.md')) {
    const blocks = [...read(page).matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block]) => block)
    for (const line of blocks.flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))) {
      const [, command] = /^(?:\$ )?(?:npx )?warp(?:-recover)? (.*)$/.exec(line) ?? []
      if (command === undefined) continue
      const words = command.split(/\s+/)
      const help = helps.get(words.slice(0, 2).join(' ')) ?? helps.get(words[0])
      expect([page, line, help !== undefined]).toEqual([page, line, true])
      for (const option of words.filter((word) => /^--?[a-z]/.test(word)))
        expect([line, option, new RegExp(`^ +(-\\w, )?${option}[ ,\\n]`, 'm').test(help!)]).toEqual([
          line,
          option,
          true,
        ])
      seen++
    }
  }
  expect(seen).toBeGreaterThan(10)
})

test('docs/method.md has every readout, and the errors that were measured', () => {
  const method = read('docs/method.md')
  const gradients = [{ scope: 'top' as const, q: 1 }]
  const names = readoutsFor({ gradients }).map(({ name }) => name)
  for (const name of [...names, 'mlp', 'equivariant', 'trace']) expect(method).toContain(`| \`${name}\` |`)
  const rows = [...method.matchAll(/^\| ([a-z-]+) \| (0\.\d{4}) \| (0\.\d{4}) \|$/gm)]
  expect(rows).toHaveLength(names.length + 2)
  for (const [, name, ag, clinc] of rows) {
    expect(read('benchmarks/results/lab-ag.md')).toContain(`| ${name} | ${ag} ±`)
    expect(read('benchmarks/results/lab-clinc.md')).toContain(`| ${name} | ${clinc} ±`)
  }
  const traces = [...method.matchAll(/^\| (none|half|all) \| (0\.\d{4}), (0\.\d\d) \| (0\.\d{4}), (0\.\d\d) \|$/gm)]
  expect(traces).toHaveLength(3)
  const drawn = (data: string, texts: number, pool: string, mae: string, covered: string): RegExp =>
    new RegExp(
      `^\\| ${data} \\| \\d+ \\| ${texts} \\| ${pool} \\| all \\| ${mae} ± \\S+ \\| \\S+ \\| ${covered} \\|`,
      'm',
    )
  for (const [, pool, ag, agCovered, clinc, clincCovered] of traces) {
    expect(read('benchmarks/results/trace.md')).toMatch(drawn('AG News', 800, pool, ag, agCovered))
    expect(read('benchmarks/results/trace.md')).toMatch(drawn('CLINC', 1000, pool, clinc, clincCovered))
  }
})
