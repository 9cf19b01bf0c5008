// Every path through the main job, on real experts: the same domains, a mixture that is one.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pathFamilies } from '../../lib/paths/index.js'
import { dataFile, modelDir, repositoryRoot, whenPresent } from '../support/shared.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'warp-paths-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function warp(...args: string[]) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(repositoryRoot, 'dist/bin/warp.js'), ...args, '--json', '-q'],
    { maxBuffer: 1 << 26 },
  )
  return JSON.parse(stdout)
}

const experts: [string, string, string[]][] = [
  [
    'expert-ag',
    'ag_news_test.csv',
    [
      '--columns',
      'label,title,description',
      '--text',
      'title,description',
      '--label-map',
      '1=World,2=Sports,3=Business,4=Sci/Tech',
    ],
  ],
  ['expert-clinc', 'clinc_domains.jsonl', []],
]

for (const [expert, data, columns] of experts) {
  whenPresent(modelDir('minilm-l6'), modelDir(expert), dataFile(data))(
    `${expert}: every path gives a mixture of the same domains`,
    async () => {
      const pair = ['--base', modelDir('minilm-l6'), '--base-head', 'zeros', '--reference', modelDir(expert)]
      const checkpoints = join(folder, expert)
      await warp('merge', ...pair, '--lambdas', '0.3,0.7', '-o', checkpoints)
      let domains: string[] | undefined
      for (const family of pathFamilies) {
        const points =
          family === 'trajectory'
            ? ['--checkpoint', join(checkpoints, 'point-01'), join(checkpoints, 'point-02')]
            : ['--points', '2']
        const result = await warp(
          'recover',
          ...pair,
          '--probes',
          dataFile(data),
          ...columns,
          '--per-domain',
          '4',
          '--path',
          family,
          ...points,
        )
        expect(result.path).toBe(family)
        const names = result.domains.map(({ name }: { name: string }) => name)
        expect(names).toEqual((domains ??= names))
        for (const { mixture } of result.mixtures as { mixture: Record<string, number> }[]) {
          expect(Object.keys(mixture).sort()).toEqual([...names].sort())
          const shares = Object.values(mixture)
          expect(shares.every((share) => Number.isFinite(share) && share >= 0)).toBe(true)
          expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
        }
      }
    },
    600_000,
  )
}
