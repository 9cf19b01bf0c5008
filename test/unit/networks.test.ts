// Networks as lib/models emits them, against what `transformers` makes of the same configuration and weights
// (test/fixtures/networks): the tensors they read, and the logits a naive evaluation of their steps gives.
import { networkOf, openModel, type ModelDirectory } from '../../lib/checkpoint/index.js'
import { classesOf } from '../../lib/models/architecture.js'
import { families, objectiveOf } from '../../lib/models/families.js'
import { requiredTensors, storedName } from '../../lib/models/facts.js'
import type { Network } from '../../lib/models/network.js'
import { readTensors } from '../support/models.js'
import { networkFixture, networkFixtures, referenceLogits } from '../support/networks.js'

async function open(name: string): Promise<{ model: ModelDirectory; network: Network }> {
  const { architectureName } = await openModel(networkFixture(name))
  const objective = objectiveOf(architectureName)!
  const model = await openModel(networkFixture(name), { objective })
  return { model, network: networkOf(model, objective) }
}

test('there is a fixture for every class that is computed', async () => {
  const there = await Promise.all(
    networkFixtures().map(async (name) => (await openModel(networkFixture(name))).architectureName),
  )
  const computed = families.flatMap(classesOf).filter((name) => objectiveOf(name))
  expect(computed.filter((name) => !there.includes(name))).toEqual([])
})

test.each(networkFixtures())('%s: the tensors it reads are those of the file', async (name) => {
  const { model, network } = await open(name)
  const required = requiredTensors(network).map((r) => [storedName(model.family!, r.name), r.shape])
  const stored = [...readTensors(networkFixture(name, 'model.safetensors'))].map(([stored, { shape }]) => [
    stored,
    shape,
  ])
  expect(new Map(required as [string, number[]][])).toEqual(new Map(stored as [string, number[]][]))
  expect(model).toMatchObject({ unexpected: [], ignored: [] })
  // plain data: nothing undefined, no number that JSON does not have
  expect(JSON.parse(JSON.stringify(network))).toStrictEqual(network)
})

// The golden logits are float64 rounded to float32: half a unit in the last place, 2^-24 of a value. Their own float64
// has frequencies and masks as `transformers` forms them, within 1e-12.
test.each(networkFixtures())('%s: the logits', async (name) => {
  const { model, network } = await open(name)
  const values = readTensors(networkFixture(name, 'model.safetensors'))
  const gold = readTensors(networkFixture(name, 'golden.safetensors'))
  const [ids, types, offsets, logits] = ['ids', 'types', 'offsets', 'logits'].map((key) => [...gold.get(key)!.data])
  const weights = (tensor: string) => values.get(model.tensors.get(tensor)!.storedName)!.data
  const rows = Array.from({ length: offsets.length - 1 }, (_, text) => {
    const part = [offsets[text], offsets[text + 1]] as const
    return referenceLogits(network, weights, ids.slice(...part), types.slice(...part))
  }).flat(2)
  const own = rows.flatMap((row) => [...row])
  expect(own).toHaveLength(logits.length)
  const worst = Math.max(
    ...own.map((value, i) => Math.abs(value - logits[i]) / (Math.abs(logits[i]) * 2 ** -24 + 1e-11)),
  )
  expect(worst).toBeLessThan(1.01)
})

// Losses are float64; from logits rounded to float32 each of their terms may be off by two roundings of the largest.
test.each(networkFixtures())('%s: the losses are what make.py says they are', (name) => {
  const gold = readTensors(networkFixture(name, 'golden.safetensors'))
  const { shape, data: logits } = gold.get('logits')!
  const [ids, offsets, losses] = ['ids', 'offsets', 'losses'].map((key) => [...gold.get(key)!.data])
  const labels = gold.get('labels')?.data
  const row = (index: number) => [...logits.slice(index * shape[1], (index + 1) * shape[1])]
  const surprise = (z: number[], target: number): number =>
    Math.log(z.reduce((sum, value) => sum + Math.exp(value - z[target]), 0))
  const top = Math.max(...[...logits].map(Math.abs))
  let targets = 0
  let total = 0
  losses.forEach((loss, text) => {
    const next = Array.from({ length: offsets[text + 1] - offsets[text] - 1 }, (_, i) => offsets[text] + i)
    const terms = labels ? [surprise(row(text), labels[text])] : next.map((at) => surprise(row(at), ids[at + 1]))
    const sum = terms.reduce((a, b) => a + b, 0)
    expect(Math.abs(sum - loss)).toBeLessThanOrEqual(terms.length * 2 * top * 2 ** -24)
    targets += terms.length
    total += loss
  })
  expect(gold.get('loss')!.data[0]).toBeCloseTo(total / targets, 12)
})
