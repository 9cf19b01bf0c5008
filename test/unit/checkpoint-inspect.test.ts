import { join } from 'node:path'
import { inspect } from '../../lib/checkpoint/index.js'
import {
  bertConfig,
  bertTensors,
  directoryOf,
  fixtureModel,
  modelOf,
  refused,
  safetensors,
  temporaryDirectory,
} from '../support/models.js'
import { networkFixture } from '../support/networks.js'

test('a model that can be scored: sizes, types, head, no problems', async () => {
  const found = await inspect(fixtureModel('bert/base'))
  expect(found).toMatchObject({
    schema: 'warp.inspect/1',
    usable: 'forward',
    architectureName: 'BertForSequenceClassification',
    problems: [],
    unexpected: [],
    dtypes: { F32: 41 },
    head: { present: true, labels: ['animals', 'plants', 'stones'] },
    objective: 'classify',
    tokenizer: [],
  })
  // counted by hand from the sizes: tables, embedding norm, 2 layers, pooler, classifier
  const layer = 4 * (36 * 36 + 36) + 2 * 36 * 50 + 50 + 36 + 4 * 36
  expect(found.parameters).toBe((120 + 48 + 2 + 2) * 36 + 2 * layer + 36 * 36 + 36 + 3 * 36 + 3)
  expect(JSON.parse(JSON.stringify(found))).toEqual(found)
})

test.each([
  ['llama-language', 'language'],
  ['llama-classify', 'classify'],
])('%s is scored as %s', async (name, objective) => {
  expect(await inspect(networkFixture(name))).toMatchObject({ objective, usable: 'forward' })
})

test('buffers are listed but are no parameters', async () => {
  const found = await inspect(fixtureModel('bert/base-old'))
  expect(found.ignored).toEqual(['embeddings.position_ids'])
  expect(found.dtypes).toEqual({ BF16: 39, I64: 1 })
  const full = await inspect(fixtureModel('bert/base'))
  expect(found.parameters).toBe(full.parameters - 3 * 36 - 3)
})

test('another architecture: its tensors can be used, the forward pass is the problem', async () => {
  const config = { architectures: ['OPTForCausalLM'], model_type: 'opt', vocab_size: 5 }
  const found = await inspect(
    modelOf(config, [{ name: 'model.embed_tokens.weight', shape: [5, 2] }], { 'tokenizer.json': '{}' }),
  )
  expect(found).toMatchObject({
    usable: 'weights',
    objective: null,
    parameters: 10,
    tie: { to: 'embed_tokens.weight' },
    tokenizer: ['tokenizer.json'],
  })
  expect(found.problems.map((p) => p.code)).toEqual(['ARCHITECTURE_UNSUPPORTED'])
})

test('a damaged configuration: the tensors are still listed', async () => {
  const found = await inspect(directoryOf({ 'config.json': '{', 'model.safetensors': safetensors(bertTensors()) }))
  expect(found).toMatchObject({ usable: 'no', architecture: null })
  expect(found.problems.map((p) => p.code)).toEqual(['CONFIG_NOT_JSON'])
  expect(found.tensors).toHaveLength(bertTensors().length)
})

test('no weights: the configuration is not enough', async () => {
  const found = await inspect(directoryOf({ 'config.json': bertConfig, 'pytorch_model.bin': '' }))
  expect(found.usable).toBe('no')
  expect(found.problems[0]!.code).toBe('WEIGHTS_PICKLE')
})

test('a directory that is not there is an error', async () => {
  await refused(() => inspect(join(temporaryDirectory(), 'absent')), 'MODEL_DIRECTORY_NOT_FOUND')
})
