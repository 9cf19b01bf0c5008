// What every command prints with --json is what its schema says, no key more; small models. The demo's: demo.test.ts.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { resultSchemas } from '../../lib/index.js'
import { warp } from '../support/command.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'
import { trainedPair } from '../support/trace-models.js'
import { domainFile, trainableModel } from '../support/training.js'

const pair = makePair()
const language = makeLanguagePair()
const traced = trainedPair('adamw-decay')
const base = trainableModel()
const data = domainFile(['animals', 'plants', 'stones'], 40)
const folder = temporaryDirectory()
const out = (name: string) => ['-o', join(folder, name)]
const models = ['--base', pair.base, '--reference', pair.reference]
const probed = [...models, '--probes', pair.probes, '--points', '2']
const two = ['--base', language.base, '--reference', language.reference, '--count', '2', '--max-new-tokens', '4']
const training = ['--base', base, '--data', data, '--epochs', '1']
const lab = join(folder, 'lab')
const trials = ['--trials', '4', '--texts', '24', '--probes-per-domain', '10', '--epochs', '1']

const seen = new Set<string>()

/** In this order: some read what those before have written. */
const commands: [schema: string, args: string[], exit?: number][] = [
  ['warp.recover/1', ['recover', ...probed, '--bootstrap', '20', '--claimed', 'animals=0.5,plants=0.25,stones=0.25']],
  ['warp.plan/1', ['recover', ...probed, '-n']],
  ['warp.plan/1', ['footprint', ...probed, '-n']],
  ['warp.merge/1', ['merge', ...models, '--lambda', '0.5', ...out('half')]],
  ['warp.family/1', ['recover', ...probed, '--bootstrap', '20', '--reference', join(folder, 'half')]],
  ['warp.family.plan/1', ['recover', ...probed, '-n', '--reference', join(folder, 'half')]],
  ['warp.footprint/1', ['footprint', ...probed]],
  ['warp.trace.plan/1', ['trace', ...models, '--probes', pair.probes, '-n']],
  ['warp.trace/1', ['trace', '--base', traced.base, '--reference', traced.reference]],
  ['warp.merge/1', ['merge', ...models, '--lambda', '0.5', ...out('merged')]],
  ['warp.merge.plan/1', ['merge', ...models, '--lambda', '0.5', ...out('other'), '-n']],
  ['warp.train/1', ['train', ...training, ...out('tuned')]],
  ['warp.train.plan/1', ['train', ...training, ...out('other'), '-n']],
  ['warp.predict/1', ['predict', '--model', pair.reference, '--texts', pair.probes]],
  ['warp.select.plan/1', ['select', ...models, '--corpus', pair.probes, '--count', '9', ...out('picked'), '-n']],
  [
    'warp.select/1',
    ['select', ...models, '--corpus', pair.probes, '--count', '9', '--features', 'head', ...out('picked')],
  ],
  [
    'warp.select.part/1',
    [
      'select',
      ...models,
      '--corpus',
      pair.probes,
      '--shards',
      '1',
      '--shard',
      '0',
      '--features',
      'head',
      ...out('parts'),
    ],
  ],
  ['warp.select/1', ['select', 'merge', join(folder, 'parts'), '--count', '9', ...out('joined')]],
  ['warp.select.evaluate/1', ['select', 'evaluate', join(folder, 'picked'), '--test', pair.probes, '--epochs', '1']],
  ['warp.diff.plan/1', ['diff', '--base', traced.base, '--reference', traced.reference, '-n']],
  ['warp.diff/1', ['diff', '--base', traced.base, '--reference', traced.reference]],
  ['warp.diff/1', ['diff', '--base', language.base, '--reference', language.reference]],
  ['warp.generate/1', ['generate', ...two]],
  ['warp.generate.plan/1', ['generate', ...two, '-n']],
  ['warp.lab.plan/1', ['lab', 'plan', '--base', base, '--data', data, ...trials, ...out('lab')]],
  ['warp.lab.run-plan/1', ['lab', 'run', lab, '-n']],
  ['warp.lab.run/1', ['lab', 'run', lab]],
  ['warp.lab/1', ['lab', 'report', lab]],
  ['warp.projector/1', ['lab', 'fit', lab]],
  ['warp.inspect/1', ['inspect', pair.base]],
  ['warp.inspect/1', ['inspect', folder], 3],
  ['warp.doctor/1', ['doctor']],
  ['warp.completions/1', ['completions', 'fish']],
  ['error', ['inspect', join(folder, 'nowhere')], 3],
]

for (const [name, args, exit = 0] of commands)
  test(`${name}: warp ${args.slice(0, 2).join(' ')}`, async () => {
    const { code, stdout } = await warp([...args, '--json', '-q'])
    const document = JSON.parse(stdout) as object
    expect([code, code === exit ? null : document]).toEqual([exit, null])
    for (const one of Array.isArray(document) ? document : [document])
      expect(resultSchemas[name].parse(one)).toEqual(one)
    seen.add(name)
  }, 120_000)

test('no schema is without a command, and all of them are in the package', () => {
  expect(Object.keys(resultSchemas).filter((name) => !seen.has(name))).toEqual(['warp.demo/1'])
  expect(readdirSync(join(repositoryRoot, 'schemas'))).toHaveLength(Object.keys(resultSchemas).length)
})
