import { openModel } from '../../lib/checkpoint/index.js'
import {
  bertConfig,
  bertTensors,
  directoryOf,
  gpt2Config,
  gpt2Tensors,
  modelOf,
  refused,
  safetensors,
  type TestTensor,
} from '../support/models.js'

const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(bertConfig).filter(([name]) => !names.includes(name)))
const gpt2Classifier = {
  ...gpt2Config,
  architectures: ['GPT2ForSequenceClassification'],
  id2label: bertConfig.id2label,
}
const resized = (name: string, shape: number[]): TestTensor[] =>
  bertTensors().map((t) => (t.name === name ? { ...t, shape } : t))
const lacking = (name: string): TestTensor[] => bertTensors().filter((t) => t.name !== name)
const bare = (): TestTensor[] => bertTensors().slice(0, -2)

describe('what is accepted', () => {
  test('labels default to LABEL_0, LABEL_1 and to num_labels', async () => {
    expect((await openModel(modelOf(without('id2label', 'label2id'), bertTensors()))).architecture.labels).toEqual([
      'LABEL_0',
      'LABEL_1',
    ])
    const three = [...bare(), { name: 'classifier.weight', shape: [3, 4] }, { name: 'classifier.bias', shape: [3] }]
    const config = { ...without('id2label', 'label2id'), num_labels: 3 }
    expect((await openModel(modelOf(config, three))).architecture.labels).toHaveLength(3)
  })

  test('num_labels that disagrees with id2label is a note', async () => {
    const model = await openModel(modelOf({ ...bertConfig, num_labels: 7 }, bertTensors()))
    expect(model.notes.join()).toMatch(/num_labels is 7, id2label has 2 names, which alone count/)
  })

  test('a GPT-2 classifier: score.weight without bias', async () => {
    const score = { name: 'score.weight', shape: [2, 4] }
    const model = await openModel(modelOf(gpt2Classifier, [...gpt2Tensors(), score]))
    expect(model).toMatchObject({ hasHead: true, architecture: { kind: 'gpt2', labels: ['no', 'yes'] } })
  })

  test('a language model with a pooler, its head unexpected; without pooler that is known', async () => {
    const config = { ...bertConfig, architectures: ['BertForMaskedLM'] }
    const table = { name: 'cls.predictions.bias', shape: [10] }
    const model = await openModel(modelOf(config, [...bare(), table]))
    expect(model).toMatchObject({
      hasHead: false,
      unexpected: ['cls.predictions.bias'],
      architecture: { pooler: true, labels: [] },
    })
    expect(model.tie).toEqual({ name: 'cls.predictions.decoder.weight', to: 'embeddings.word_embeddings.weight' })
    const lean = await openModel(modelOf(config, bare().slice(0, -2)))
    expect(lean.architecture.pooler).toBe(false)
  })

  test('the head of another task is not a classification head', async () => {
    const model = await openModel(
      modelOf({ ...bertConfig, architectures: ['BertForTokenClassification'] }, bertTensors()),
    )
    expect(model).toMatchObject({ hasHead: false, unexpected: ['classifier.weight', 'classifier.bias'] })
  })

  test('every weight type', async () => {
    for (const dtype of ['F64', 'F32', 'F16', 'BF16']) {
      const model = await openModel(
        modelOf(
          bertConfig,
          bertTensors().map((t) => ({ ...t, dtype })),
        ),
      )
      expect(model.tensors.get('classifier.weight')!.dtype).toBe(dtype)
    }
  })

  test('a pad token out of range is no pad token', async () => {
    const model = await openModel(modelOf({ ...bertConfig, pad_token_id: 10 }, bertTensors()))
    expect(model.architecture.padTokenId).toBeUndefined()
  })

  test.each([{ no: 1, yes: 0 }, { no: 0, yes: 1, maybe: 2 }, 'none'])(
    'a stale label2id is a note: %j',
    async (label2id) => {
      const model = await openModel(modelOf({ ...bertConfig, label2id }, bertTensors()))
      expect(model.architecture.labels).toEqual(['no', 'yes'])
      expect(model.notes.join()).toMatch(/label2id is not the inverse of id2label/)
    },
  )

  test('numbers as names are names; ids may be strings', async () => {
    const config = { ...bertConfig, id2label: { 0: 5, 1: 3 }, label2id: { 5: '0', 3: '1' } }
    const model = await openModel(modelOf(config, bertTensors()))
    expect(model).toMatchObject({ architecture: { labels: ['5', '3'] }, notes: [] })
  })

  test('without forward pass, labels that do not fit are said, not refused', async () => {
    const dir = modelOf({ ...bertConfig, id2label: { 0: 'only' } }, bertTensors())
    const model = await openModel(dir, { forward: false })
    expect(model.architecture.labels).toEqual([])
    expect(model.notes.join()).toMatch(/labels not known/)
  })
})

test('labels of other classifiers, whose heads have several layers', async () => {
  const labels = { id2label: { 0: 'a', 1: 'b', 2: 'c' } }
  const config = { model_type: 'x', architectures: ['XForSequenceClassification'], ...labels }
  for (const [first, last] of [
    ['pre_classifier', 'classifier'],
    ['classifier.dense', 'classifier.out_proj'],
  ]) {
    const tensors = [
      { name: `${first}.weight`, shape: [4, 4] },
      { name: `${last}.weight`, shape: [3, 4] },
    ]
    for (const order of [tensors, [...tensors].reverse()]) {
      const model = await openModel(modelOf(config, order), { forward: false })
      expect(model).toMatchObject({ hasHead: true, architecture: { labels: ['a', 'b', 'c'] } })
    }
  }
})

type Row = [what: string, code: string, config: object | string, tensors?: TestTensor[]]
const rows: Row[] = [
  ['config.json that is not JSON', 'CONFIG_NOT_JSON', '{'],
  ['config.json that is not UTF-8', 'CONFIG_NOT_UTF8', Buffer.from('{"a":"\xff"}', 'latin1')],
  ['config.json that is a list', 'CONFIG_NOT_OBJECT', '[]'],
  ['a key given twice', 'CONFIG_DUPLICATE_KEY', '{"hidden_size":4,"hidden_size":8}'],
  ['no architectures', 'CONFIG_ARCHITECTURES', without('architectures')],
  ['empty architectures', 'CONFIG_ARCHITECTURES', { ...bertConfig, architectures: [] }],
  [
    'an unknown architecture',
    'ARCHITECTURE_UNSUPPORTED',
    { ...bertConfig, architectures: ['T5Model'], model_type: 't5' },
  ],
  [
    'code of its own',
    'ARCHITECTURE_UNSUPPORTED',
    { ...bertConfig, architectures: ['MyBert'], auto_map: { AutoModel: 'x.MyBert' } },
  ],
  ['a model_type of another architecture', 'CONFIG_MODEL_TYPE', { ...bertConfig, model_type: 'gpt2' }],
  ['no model_type', 'CONFIG_MODEL_TYPE', without('model_type')],
  ['no hidden_size', 'CONFIG_FIELD_MISSING', without('hidden_size')],
  ['no layer count', 'CONFIG_FIELD_MISSING', without('num_hidden_layers')],
  ['a hidden_size that is a string', 'CONFIG_FIELD', { ...bertConfig, hidden_size: '4' }],
  ['a vocabulary of 0', 'CONFIG_FIELD', { ...bertConfig, vocab_size: 0 }],
  ['half a layer', 'CONFIG_FIELD', { ...bertConfig, num_hidden_layers: 0.5 }],
  ['an epsilon of 0', 'CONFIG_FIELD', { ...bertConfig, layer_norm_eps: 0 }],
  ['an activation that is a number', 'CONFIG_FIELD', { ...bertConfig, hidden_act: 1 }],
  ['an unknown activation', 'CONFIG_ACTIVATION', { ...bertConfig, hidden_act: 'mish' }],
  ['heads that do not divide the hidden size', 'CONFIG_HEADS', { ...bertConfig, num_attention_heads: 3 }],
  ['relative positions', 'CONFIG_UNSUPPORTED', { ...bertConfig, position_embedding_type: 'relative_key' }],
  ['a BERT decoder', 'CONFIG_UNSUPPORTED', { ...bertConfig, is_decoder: true }],
  ['cross attention', 'CONFIG_UNSUPPORTED', { ...gpt2Config, add_cross_attention: true }, gpt2Tensors()],
  ['unscaled attention', 'CONFIG_UNSUPPORTED', { ...gpt2Config, scale_attn_weights: false }, gpt2Tensors()],
  [
    'attention scaled by layer',
    'CONFIG_UNSUPPORTED',
    { ...gpt2Config, scale_attn_by_inverse_layer_idx: true },
    gpt2Tensors(),
  ],
  ['too many layers in the configuration', 'CONFIG_LAYERS', { ...bertConfig, num_hidden_layers: 2 }],
  ['a layer count beyond all bounds', 'CONFIG_LAYERS', { ...bertConfig, num_hidden_layers: 2_000_000_000 }],
  [
    'too few layers in the configuration',
    'CONFIG_LAYERS',
    bertConfig,
    [...bertTensors(), { name: 'bert.encoder.layer.1.output.dense.bias', shape: [4] }],
  ],
  ['another hidden size', 'CONFIG_HIDDEN_SIZE', { ...bertConfig, hidden_size: 6 }],
  ['another vocabulary', 'CONFIG_VOCABULARY', { ...bertConfig, vocab_size: 11 }],
  ['other positions', 'CONFIG_POSITIONS', { ...bertConfig, max_position_embeddings: 16 }],
  ['other segment types', 'CONFIG_TYPE_VOCABULARY', { ...bertConfig, type_vocab_size: 1 }],
  ['another inner size', 'CONFIG_INTERMEDIATE_SIZE', { ...bertConfig, intermediate_size: 8 }],
  ['another inner size of GPT-2', 'CONFIG_INTERMEDIATE_SIZE', { ...gpt2Config, n_inner: 8 }, gpt2Tensors()],
  [
    'another label count',
    'CONFIG_LABELS',
    { ...bertConfig, id2label: { 0: 'a', 1: 'b', 2: 'c' }, label2id: { a: 0, b: 1, c: 2 } },
  ],
  ['ids that start at 1', 'CONFIG_ID2LABEL', { ...bertConfig, id2label: { 1: 'no', 2: 'yes' } }],
  ['a gap in the ids', 'CONFIG_ID2LABEL', { ...bertConfig, id2label: { 0: 'no', 2: 'yes' } }],
  ['ids that are words', 'CONFIG_ID2LABEL', { ...bertConfig, id2label: { no: 0, yes: 1 } }],
  ['a label given twice', 'CONFIG_ID2LABEL', { ...bertConfig, id2label: { 0: 'yes', 1: 'yes' } }],
  ['id2label that is a list', 'CONFIG_ID2LABEL', { ...bertConfig, id2label: ['no', 'yes'] }],
  ['several labels at once', 'CONFIG_PROBLEM_TYPE', { ...bertConfig, problem_type: 'multi_label_classification' }],
  [
    'regression',
    'CONFIG_PROBLEM_TYPE',
    { ...bertConfig, id2label: { 0: 'x' }, label2id: { x: 0 } },
    [...bare(), { name: 'classifier.weight', shape: [1, 4] }, { name: 'classifier.bias', shape: [1] }],
  ],
  ...[
    'bert.embeddings.word_embeddings.weight',
    'bert.embeddings.LayerNorm.bias',
    'bert.encoder.layer.0.attention.self.key.bias',
    'bert.pooler.dense.weight',
    'classifier.weight',
    'classifier.bias',
  ].map((name): Row => [`no ${name}`, 'TENSOR_MISSING', bertConfig, lacking(name)]),
  ['no score.weight', 'TENSOR_MISSING', gpt2Classifier, gpt2Tensors()],
  ['no ln_f', 'TENSOR_MISSING', gpt2Config, gpt2Tensors().slice(0, -1)],
  [
    'a matrix of another shape',
    'TENSOR_SHAPE',
    bertConfig,
    resized('bert.encoder.layer.0.attention.self.query.weight', [4, 5]),
  ],
  [
    'a matrix that is a vector',
    'TENSOR_SHAPE',
    bertConfig,
    resized('bert.encoder.layer.0.attention.self.query.weight', [16]),
  ],
  ['a bias of another length', 'TENSOR_SHAPE', bertConfig, resized('classifier.bias', [3])],
  [
    'a GPT-2 matrix the other way round',
    'TENSOR_SHAPE',
    gpt2Config,
    gpt2Tensors().map((t) => (t.name.endsWith('c_attn.weight') ? { ...t, shape: [12, 4] } : t)),
  ],
  ...['I8', 'C64', 'I64', 'BOOL'].map(
    (dtype): Row => [
      `weights of type ${dtype}`,
      'DTYPE_UNSUPPORTED',
      bertConfig,
      bertTensors().map((t) => (t.name === 'classifier.weight' ? { ...t, dtype } : t)),
    ],
  ),
]

describe('what is refused', () => {
  test.each(rows)('%s: %s', async (...[, code, config, tensors = bertTensors()]) => {
    const error = await refused(() => openModel(modelOf(config, tensors)), code)
    if (code.startsWith('TENSOR_') || code === 'DTYPE_UNSUPPORTED') expect(error.details.tensor).toBeTruthy()
  })

  test('complex numbers without a forward pass too', async () => {
    const dir = directoryOf({
      'config.json': { model_type: 'x' },
      'model.safetensors': safetensors([{ name: 'a', shape: [4], dtype: 'C64' }]),
    })
    await refused(() => openModel(dir, { forward: false }), 'DTYPE_UNSUPPORTED')
  })

  test('both sizes are named', async () => {
    const error = await refused(
      () => openModel(modelOf({ ...bertConfig, vocab_size: 11 }, bertTensors())),
      'CONFIG_VOCABULARY',
    )
    expect(error.details).toMatchObject({
      tensor: 'embeddings.word_embeddings.weight',
      found: [10, 4],
      expected: [11, 4],
    })
    expect(error.message).toMatch(/\[10,4\].*\[11,4\]/)
  })
})
