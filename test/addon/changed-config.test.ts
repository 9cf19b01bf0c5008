// What a model's weights mean belongs to what was made of them: a config.json that changed is another model.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { planLab, runLab } from '../../lib/lab/index.js'
import { select } from '../../lib/select/index.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'
import { domainFile, trainableModel } from '../support/training.js'

function edit(dir: string, change: Record<string, unknown>): void {
  const file = join(dir, 'config.json')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }))
}

test.each<[string, Record<string, unknown>]>([
  ['numbers', { layer_norm_eps: 1e-2 }],
  ['labels', { id2label: { 0: 'stones', 1: 'plants', 2: 'animals' }, label2id: { stones: 0, plants: 1, animals: 2 } }],
])('select: features of models with other %s are refused', async (_, change) => {
  const { folder, base, reference, probes } = makePair('bert', { perDomain: 6 })
  const own = join(folder, 'own')
  cpSync(reference, own, { recursive: true })
  const output = join(folder, 'out')
  const run = { base, reference: own, corpus: [probes], count: 3, features: 'head' as const, output }
  await select(run)
  expect((await select(run)).result.reused).toBe(1)
  for (const dir of [base, own]) edit(dir, change)
  await expect(select(run)).rejects.toMatchObject({ code: 'FEATURES_OTHER' })
})

test('lab: a base whose config.json changed since the plan is refused', async () => {
  const [base, data] = [trainableModel(), domainFile(['animals', 'plants', 'stones'], 12)]
  const lab = join(temporaryDirectory(), 'lab')
  await planLab({ base, data: [data], output: lab, trials: 2, texts: 6, probesPerDomain: 3 })
  edit(base, { layer_norm_eps: 1e-2 })
  await expect(runLab({ lab })).rejects.toMatchObject({
    code: 'BASE_CHANGED',
    details: { file: join(base, 'config.json') },
  })
})
