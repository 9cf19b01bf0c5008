// What the families of lib/models refuse, and what is derived from a network.
import { readFileSync } from 'node:fs'
import { networkOf, openModel, openPair } from '../../lib/checkpoint/index.js'
import { differenceOf } from '../../lib/models/compare.js'
import { classifierOf, headTensors, layerWork, languageModelOf, requiredTensors } from '../../lib/models/facts.js'
import { Fields } from '../../lib/models/fields.js'
import { families, familyOfClass } from '../../lib/models/families.js'
import type { Network, Step } from '../../lib/models/network.js'
import type { JsonObject } from '../../lib/checkpoint/json.js'
import { directoryOf, refused } from '../support/models.js'
import { networkFixture } from '../support/networks.js'
import { modelDir, whenPresent } from '../support/shared.js'

const configOf = (name: string, change: JsonObject = {}): JsonObject =>
  ({ ...JSON.parse(readFileSync(networkFixture(name, 'config.json'), 'utf8')), ...change }) as JsonObject
/** A fixture with other fields in its config.json. */
const changed = (name: string, change: JsonObject): string =>
  directoryOf({
    'config.json': configOf(name, change),
    'model.safetensors': readFileSync(networkFixture(name, 'model.safetensors')),
  })
const blueprintOf = (name: string, change: JsonObject = {}) => {
  const config = configOf(name, change)
  const family = familyOfClass((config.architectures as string[])[0])!
  return family.read(new Fields(config, 'config.json'))
}
type Of<Op extends Step['op']> = Step & { op: Op }
const stepsOf = <Op extends Step['op']>(network: Network, op: Op): Of<Op>[] =>
  network.layers.flatMap(({ steps }) => steps.filter((step): step is Of<Op> => step.op === op))
const classifier = (name: string, change: JsonObject = {}): Network => classifierOf(blueprintOf(name, change), 3)

const scaling = (rope: JsonObject): JsonObject => ({ rope_parameters: rope })
const rows: [what: string, code: string, fixture: string, change: JsonObject][] = [
  ['YaRN', 'CONFIG_ROPE_SCALING', 'llama-classify', scaling({ rope_type: 'yarn', factor: 2 })],
  ['YaRN as it was written', 'CONFIG_ROPE_SCALING', 'llama-classify', { rope_scaling: { type: 'yarn', factor: 2 } }],
  ['dynamic scaling', 'CONFIG_ROPE_SCALING', 'qwen2-classify', scaling({ rope_type: 'dynamic', factor: 2 })],
  ['scaling of long texts', 'CONFIG_ROPE_SCALING', 'phi3-classify', scaling({ rope_type: 'longrope' })],
  ['a scaling without factor', 'CONFIG_FIELD_MISSING', 'llama-classify', scaling({ rope_type: 'linear' })],
  ['a factor of 0', 'CONFIG_FIELD', 'llama-classify', scaling({ rope_type: 'linear', factor: 0 })],
  [
    'a factor that float32 does not hold',
    'CONFIG_FIELD',
    'llama-classify',
    scaling({ rope_type: 'linear', factor: 1e39 }),
  ],
  ['an epsilon that is 0 in float32', 'CONFIG_FIELD', 'llama-classify', { rms_norm_eps: 1e-60 }],
  ['an epsilon above 1', 'CONFIG_FIELD', 'gpt2-classify', { layer_norm_epsilon: 1e5 }],
  ['a dropout rate of 1', 'CONFIG_FIELD', 'bert', { hidden_dropout_prob: 1 }],
  ['a dropout rate below 0', 'CONFIG_FIELD', 'distilbert', { attention_dropout: -0.1 }],
  ['a dropout rate that is a word', 'CONFIG_FIELD', 'bert', { classifier_dropout: '0.1' }],
  ['a theta that is a word', 'CONFIG_FIELD', 'llama-classify', { rope_parameters: null, rope_theta: 'high' }],
  ['rope_parameters that are a number', 'CONFIG_FIELD', 'llama-classify', { rope_parameters: 3 }],
  ['an odd number of turned columns', 'CONFIG_HEAD_DIM', 'gpt_neox-classify', scaling({ partial_rotary_factor: 0.2 })],
  ['heads of keys that do not divide', 'CONFIG_KV_HEADS', 'llama-classify', { num_key_value_heads: 3 }],
  ['other heads of keys than stored', 'CONFIG_KV_HEADS', 'llama-classify', { num_key_value_heads: 1 }],
  ['another size of heads than stored', 'CONFIG_HEAD_DIM', 'qwen3-classify', { head_dim: 6 }],
  ['heads that do not divide', 'CONFIG_HEADS', 'olmo2-classify', { num_attention_heads: 5 }],
  ['another inner size', 'CONFIG_INTERMEDIATE_SIZE', 'phi3-classify', { intermediate_size: 11 }],
  ['another inner size of a gate', 'CONFIG_INTERMEDIATE_SIZE', 'gemma-classify', { intermediate_size: 11 }],
  ['another vocabulary', 'CONFIG_VOCABULARY', 'modernbert-cls', { vocab_size: 54 }],
  ['another number of layers', 'CONFIG_LAYERS', 'distilbert', { n_layers: 3 }],
  ['chunked layers', 'CONFIG_LAYER_TYPES', 'gemma2-classify', { layer_types: ['full_attention', 'chunked_attention'] }],
  ['too few kinds of layers', 'CONFIG_LAYER_TYPES', 'gemma3-classify', { layer_types: ['full_attention'] }],
  ['attention to later tokens', 'CONFIG_UNSUPPORTED', 'gemma2-classify', { use_bidirectional_attention: true }],
  ['capped scores of Gemma 3', 'CONFIG_UNSUPPORTED', 'gemma3-classify', { attn_logit_softcapping: 30 }],
  ['windows by layer of Mistral', 'CONFIG_UNSUPPORTED', 'mistral-classify', { layer_types: ['full_attention'] }],
  ['another pooling', 'CONFIG_UNSUPPORTED', 'modernbert-cls', { classifier_pooling: 'max' }],
  ['relative positions', 'CONFIG_UNSUPPORTED', 'roberta', { position_embedding_type: 'relative_key' }],
  ['no padding id to count positions from', 'CONFIG_FIELD', 'roberta', { pad_token_id: null }],
  ['a padding id behind all positions', 'CONFIG_FIELD', 'roberta', { pad_token_id: 40 }],
  ['an unknown activation', 'CONFIG_ACTIVATION', 'llama-classify', { hidden_act: 'relu2' }],
  ['two activations', 'CONFIG_UNSUPPORTED', 'gemma-classify', { hidden_activation: 'gelu' }],
  ['a switch that is a number', 'CONFIG_FIELD', 'llama-classify', { attention_bias: 1 }],
  ['the type of another family', 'CONFIG_MODEL_TYPE', 'llama-classify', { model_type: 'mistral' }],
  ['a family that nobody knows', 'ARCHITECTURE_UNSUPPORTED', 'llama-classify', { architectures: ['T5Model'] }],
  ['several labels at once', 'CONFIG_PROBLEM_TYPE', 'electra', { problem_type: 'multi_label_classification' }],
]

test.each(rows)('refused: %s: %s', async (_what, code, fixture, change) => {
  await refused(() => openModel(changed(fixture, change)), code)
})

test('the refusal of an architecture lists what there is, and what still works', async () => {
  const error = await refused(
    () => openModel(changed('bert', { architectures: ['T5Model'] })),
    'ARCHITECTURE_UNSUPPORTED',
  )
  for (const { name } of families) expect(error.message).toContain(name)
  expect(error.hint).toMatch(/trace.*merge.*inspect/)
})

describe('what is read from config.json', () => {
  const rope = (change: JsonObject): Of<'rope'> => stepsOf(classifier('llama-classify', change), 'rope')[0]

  test('positions under old and new names', () => {
    const old = { rope_parameters: null, rope_theta: 5e5, rope_scaling: { type: 'linear', factor: 3 } }
    expect(rope(old)).toMatchObject({ theta: 5e5, scaling: { type: 'linear', factor: 3 } })
    const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, rope_theta: 7 }
    expect(rope({ rope_parameters: llama3 })).toMatchObject({
      theta: 7,
      scaling: { factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 20 },
    })
    expect(rope({ rope_parameters: null })).not.toHaveProperty('scaling')
    const thetas = { rope_parameters: null, rope_theta: 100, rope_local_base_freq: 7 }
    expect(stepsOf(classifier('gemma3-classify', thetas), 'rope').map(({ theta }) => theta)).toEqual([7, 7, 100, 100])
    const modern = { rope_parameters: null, global_rope_theta: 100, local_rope_theta: 7 }
    expect(stepsOf(classifier('modernbert-cls', modern), 'rope').map(({ theta }) => theta)).toEqual([100, 100, 7, 7])
  })

  test('windows: as many tokens as they see, none where no text fills them', () => {
    const windows = (name: string, change: JsonObject) =>
      stepsOf(classifier(name, change), 'attention').map(({ window }) => window)
    expect(windows('mistral-classify', { sliding_window: 19 })).toEqual([19, 19])
    expect(windows('mistral-classify', { sliding_window: 20 })).toEqual([undefined, undefined])
    expect(windows('modernbert-cls', { local_attention: 6 })).toEqual([undefined, 4])
    expect(windows('qwen2-classify', { sliding_window: 4 })).toEqual([undefined, undefined])
    const own = { use_sliding_window: true, sliding_window: 4, layer_types: ['sliding_attention', 'full_attention'] }
    expect(windows('qwen2-classify', own)).toEqual([4, undefined])
  })

  test('the gate of Gemma, as its first checkpoints have it', () => {
    const first = { hidden_act: 'gelu', hidden_activation: 'gelu_pytorch_tanh' }
    expect(stepsOf(classifier('gemma-classify', first), 'activate')[0].function).toBe('gelu_tanh')
  })

  test('heads of keys default to all heads', () => {
    expect(stepsOf(classifier('llama-classify', { num_key_value_heads: null }), 'attention')[0].kvHeads).toBe(4)
  })
})

describe('what is derived from a network', () => {
  test('every slot is written once, and read after that', () => {
    for (const name of [
      'bert',
      'gpt2-classify',
      'gpt_neox-language',
      'gemma3-classify',
      'modernbert-mean',
      'olmo2-classify',
    ]) {
      const blueprint = blueprintOf(name)
      const network = name.endsWith('language') ? languageModelOf(blueprint, 'out') : classifierOf(blueprint, 3)
      for (const { steps, output } of [network.embed, ...network.layers, network.head]) {
        const written = new Set(['x'])
        for (const step of steps) {
          const read = [
            step.op === 'attention' ? [step.q, step.k, step.v] : 'a' in step ? [step.a, step.b] : [step.from],
          ]
          for (const operand of read.flat())
            expect(written).toContain(typeof operand === 'string' ? operand : operand.slot)
          expect(written).not.toContain(step.to)
          written.add(step.to)
        }
        expect(written).toContain(output)
      }
    }
  })

  // The bits of scores and trainings that users have depend on the order of operations, and on which weights are
  // multiplied together.
  test.each([
    ['bert', 'q kv context projected projected_dropped middle_sum middle up inner down down_dropped y_sum y'],
    [
      'gpt2-classify',
      'projected_input q kv context projected projected_dropped middle down_input up inner down down_dropped y',
    ],
  ])('the steps of a layer of %s', (name, slots) => {
    const [layer] = classifier(name).layers
    expect(layer.steps.map(({ to }) => to).join(' ')).toBe(slots)
    expect(
      stepsOf(classifier(name), 'linear')
        .map(({ parts }) => parts.length)
        .slice(0, 5),
    ).toEqual([1, 2, 1, 1, 1])
    const sites = layer.steps.flatMap((step) => ('site' in step ? [step.site] : []))
    expect(sites).toEqual(['attention 0', 'projection 0', 'output 0'])
  })

  test('groups: embedding, layers, head', () => {
    const groups = new Map(requiredTensors(classifier('gpt2-classify')).map(({ name, group }) => [name, group]))
    expect(groups.get('wpe.weight')).toBe('embedding')
    expect(groups.get('h.1.ln_2.bias')).toBe(1)
    expect([groups.get('ln_f.weight'), groups.get('score.weight')]).toEqual(['head', 'head'])
  })

  test('the last linear step of the head, and all of them', () => {
    expect(headTensors(classifier('bert'))).toEqual({
      last: ['classifier.weight', 'classifier.bias'],
      all: ['pooler.dense.weight', 'pooler.dense.bias', 'classifier.weight', 'classifier.bias'],
    })
    const { last, all } = headTensors(classifier('qwen3-classify'))
    expect([last, all]).toEqual([['score.weight'], ['score.weight']])
  })

  test('the work of a layer', () => {
    const [layer] = classifier('bert').layers
    // 24 wide, 27 inside: q, output, up, down by row, k and v by token, scores and their sums by pair
    const rows = 2 * (2 * 24 * 24 + 2 * 24 * 27)
    expect(layerWork(layer, [5], false)).toBe(5 * (rows + 2 * 2 * 24 * 24) + 25 * 4 * 24)
    expect(layerWork(layer, [5, 3], true)).toBe(2 * rows + 8 * 2 * 2 * 24 * 24 + 8 * 4 * 24)
  })
})

describe('pairs', () => {
  const differs = (name: string, change: JsonObject) => differenceOf(blueprintOf(name), blueprintOf(name, change), true)

  test('the same', () => {
    for (const name of ['bert', 'gemma3-classify', 'gpt_neox-classify']) expect(differs(name, {})).toBeUndefined()
    expect(differs('mistral-classify', { max_position_embeddings: 10, sliding_window: 12 })).toBeUndefined()
  })

  test.each([
    ['llama-classify', { rope_parameters: { rope_theta: 3 } }, 'layer 0, rope', 'theta'],
    ['llama-classify', { rms_norm_eps: 0.1 }, 'layer 0, norm', 'epsilon'],
    ['gemma2-classify', { query_pre_attn_scalar: 9 }, 'layer 0, attention', 'scale'],
    ['gemma2-classify', { sliding_window: 6 }, 'layer 0, attention', 'window'],
    ['gemma3-classify', { layer_types: ['sliding_attention', 'sliding_attention'] }, 'layer 1, rope', 'theta'],
    ['modernbert-cls', { classifier_pooling: 'mean' }, 'head', 'select'],
    ['modernbert-cls', { classifier_activation: 'silu' }, 'head, activate', 'function'],
  ])('%s with %j', (name, change, place, field) => {
    expect(differs(name, change as JsonObject)).toMatchObject({ place, field })
  })

  test('what a base without a head says of heads does not count', async () => {
    const base = changed('modernbert-cls', { classifier_pooling: 'mean', architectures: ['ModernBertForMaskedLM'] })
    const { base: opened, generated } = await openPair(base, networkFixture('modernbert-cls'), { baseHead: 'zeros' })
    expect(opened.tensors.has('head.norm.weight')).toBe(true)
    expect(generated.map(({ name }) => name)).toEqual(['classifier.bias', 'classifier.weight'])
  })

  test('refused with both values; a longest text that no weight depends on is noted', async () => {
    const base = changed('llama-classify', { rms_norm_eps: 0.25 })
    const error = await refused(() => openPair(base, networkFixture('llama-classify')), 'PAIR_CONFIG')
    expect(error.message).toMatch(/layer 0, norm: epsilon 0\.25 and 0\.000001/)
    const longer = changed('llama-classify', { max_position_embeddings: 40 })
    const { notes } = await openPair(longer, networkFixture('llama-classify'))
    expect(notes.join()).toMatch(/base 40 tokens, of the reference 20/)
    const kv = changed('gpt_neox-classify', { rope_parameters: { rope_theta: 5, partial_rotary_factor: 0.25 } })
    await refused(() => openPair(kv, networkFixture('gpt_neox-classify')), 'PAIR_CONFIG')
  })

  test('two language models', async () => {
    const [dir, other] = ['llama-tied', 'llama-language'].map((name) => networkFixture(name))
    const tied = await openPair(dir, dir, { objective: 'language' })
    expect(tied.tensorNames).not.toContain('lm_head.weight')
    expect(networkOf(tied.reference, 'language').head.steps.at(-1)).toMatchObject({
      parts: [{ weight: 'embed_tokens.weight', rows: 53 }],
    })
    const own = await openPair(other, other, { objective: 'language' })
    expect(own.tensorNames).toContain('lm_head.weight')
  })

  test('a classifier is no language model, nor is an encoder', async () => {
    for (const name of ['llama-classify', 'bert']) {
      const dir = networkFixture(name)
      const error = await refused(() => openPair(dir, dir, { objective: 'language' }), 'LANGUAGE_MODEL_MISSING')
      expect(error.message).toMatch(/ForSequenceClassification is no language model/)
    }
  })

  test('a language model as the base of a classifier of its family', async () => {
    const base = changed('llama-language', { rope_parameters: { rope_type: 'linear', factor: 2.5, rope_theta: 10000 } })
    const reference = changed('llama-classify', { attention_bias: false, mlp_bias: false })
    const { base: opened, generated } = await openPair(base, reference, { baseHead: 'zeros' })
    expect(opened.unexpected).toEqual(['lm_head.weight'])
    expect(generated.map(({ name }) => name)).toEqual(['score.weight'])
  })
})

whenPresent(modelDir('smollm2-135m'))('SmolLM2: a tied language model', async () => {
  const model = await openModel(modelDir('smollm2-135m'), { objective: 'language' })
  expect(model).toMatchObject({ unexpected: [], tie: { to: 'embed_tokens.weight' } })
  const network = networkOf(model, 'language')
  expect(network).toMatchObject({ objective: 'language', select: 'all' })
  expect(requiredTensors(network)).toHaveLength(model.tensors.size)
})
