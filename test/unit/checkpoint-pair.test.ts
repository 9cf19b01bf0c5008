import { openPair } from '../../lib/checkpoint/index.js'
import {
  bertConfig,
  bertTensors,
  fixtureModel,
  gpt2Config,
  gpt2Tensors,
  modelOf,
  refused,
  type TestTensor,
} from '../support/models.js'
import { modelDir, whenPresent } from '../support/shared.js'

const classifier = (): string => modelOf(bertConfig, bertTensors())
const bertModel = { ...bertConfig, architectures: ['BertModel'] }
const encoder = (): string =>
  modelOf(
    bertModel,
    bertTensors()
      .slice(0, -2)
      .map((t) => ({ ...t, name: t.name.replace('bert.', '') })),
  )
const resize = (name: string, shape: number[]): TestTensor[] =>
  bertTensors().map((t) => (t.name.endsWith(name) ? { ...t, shape } : t))
const loose = { forward: false }

describe('pairs that are accepted', () => {
  test('two classifiers', async () => {
    const pair = await openPair(classifier(), classifier())
    expect(pair.tensorNames).toHaveLength(bertTensors().length)
    expect(pair.tensorNames).toEqual([...pair.tensorNames].sort())
    expect(pair).toMatchObject({ generated: [], notes: [] })
  })

  test('element types and names may differ', async () => {
    const half = bertTensors().map((t) => ({ ...t, dtype: 'BF16', name: t.name.replace('bert.', '') }))
    const pair = await openPair(modelOf(bertConfig, half), classifier())
    expect(pair.base.tensors.get('classifier.weight')!.dtype).toBe('BF16')
    expect(pair.reference.tensors.get('classifier.weight')!.dtype).toBe('F32')
  })

  test('a base without a head, given zeros', async () => {
    const pair = await openPair(encoder(), classifier(), { baseHead: 'zeros' })
    expect(pair.generated).toEqual([
      { name: 'classifier.weight', dtype: 'F32', shape: [2, 4], fill: 'zeros' },
      { name: 'classifier.bias', dtype: 'F32', shape: [2], fill: 'zeros' },
    ])
    expect(pair.tensorNames).toContain('classifier.bias')
    expect(pair.notes.join()).toMatch(/generated from zeros/)
  })

  test('a base without a head, drawn from a seed: normal weights, zero biases', async () => {
    const { generated, notes } = await openPair(encoder(), classifier(), { baseHead: { seed: 7 } })
    expect(generated[0]).toEqual({
      name: 'classifier.weight',
      dtype: 'F32',
      shape: [2, 4],
      fill: 'normal',
      seed: 7,
      deviation: 0.02,
    })
    expect(generated[1]).toMatchObject({ name: 'classifier.bias', fill: 'zeros' })
    expect(notes.join()).toMatch(/generated from seed 7/)
  })

  test('a head that is asked for replaces the stored one, and that is said', async () => {
    const { generated, notes } = await openPair(classifier(), classifier(), { baseHead: 'zeros' })
    expect(generated).toHaveLength(2)
    expect(notes.join()).toMatch(/stored classifier\.weight, classifier\.bias set aside/)
  })

  test('labels with other names', async () => {
    const renamed = { ...bertConfig, id2label: { 0: 'a', 1: 'b' }, label2id: { a: 0, b: 1 } }
    expect((await openPair(modelOf(renamed, bertTensors()), classifier())).notes.join()).toMatch(
      /labels are named a, b/,
    )
  })

  test('a language model as the base of a GPT-2 classifier; merging minds its output layer', async () => {
    const own = { name: 'lm_head.weight', shape: [10, 4], data: new Uint8Array(160) }
    const base = modelOf({ ...gpt2Config, tie_word_embeddings: false }, [...gpt2Tensors(), own])
    const config = { ...gpt2Config, architectures: ['GPT2ForSequenceClassification'] }
    const reference = modelOf(config, [...gpt2Tensors(), { name: 'score.weight', shape: [2, 4] }])
    const pair = await openPair(base, reference, { baseHead: 'zeros' })
    expect(pair.tensorNames).toHaveLength(gpt2Tensors().length + 1)
    const merged = await openPair(base, reference, loose)
    expect(merged.tensorNames).toHaveLength(gpt2Tensors().length)
    expect(merged.notes.join()).toMatch(/lm_head\.weight.*left out/)
    expect(merged.notes.join()).toMatch(/score\.weight.*taken from there as they are/)
  })

  test('any architecture, with and without the prefix of its head class', async () => {
    const config = { model_type: 'llama', vocab_size: 5 }
    const bare = [
      { name: 'embed_tokens.weight', shape: [5, 2] },
      { name: 'norm.weight', shape: [2] },
    ]
    const base = modelOf({ ...config, architectures: ['LlamaModel'] }, bare)
    const named = bare.map((t) => ({ ...t, name: `model.${t.name}` }))
    const reference = modelOf({ ...config, architectures: ['LlamaForSequenceClassification'] }, [
      ...named,
      { name: 'score.weight', shape: [3, 2] },
    ])
    const pair = await openPair(base, reference, { ...loose, baseHead: 'zeros' })
    expect(pair.tensorNames).toEqual(['embed_tokens.weight', 'norm.weight', 'score.weight'])
    expect((await openPair(base, reference, loose)).tensorNames).toEqual(['embed_tokens.weight', 'norm.weight'])
  })

  test('tokenizers that differ only in settings of a run', async () => {
    const tokenizer = { version: '1.0', model: { type: 'WordPiece', vocab: { a: 0, b: 1 } }, truncation: null }
    const again = {
      model: { vocab: { b: 1, a: 0 }, type: 'WordPiece' },
      truncation: { max_length: 5 },
      version: '1.0',
      normalizer: null,
    }
    await openPair(
      modelOf(bertConfig, bertTensors(), { 'tokenizer.json': tokenizer }),
      modelOf(bertConfig, bertTensors(), { 'tokenizer.json': again }),
    )
    const one = await openPair(modelOf(bertConfig, bertTensors(), { 'tokenizer.json': tokenizer }), classifier())
    expect(one.notes.join()).toMatch(/no tokenizer\.json/)
  })

  test.each(['bert', 'gpt2'])('the fixtures of %s', async (kind) => {
    const pair = await openPair(fixtureModel(`${kind}/base`), fixtureModel(`${kind}/reference`))
    expect(pair.tensorNames).toHaveLength(kind === 'bert' ? 41 : 29)
  })

  test('the old BF16 shards as the base', async () => {
    const pair = await openPair(fixtureModel('bert/base-old'), fixtureModel('bert/reference'), { baseHead: 'zeros' })
    expect(pair.tensorNames).toHaveLength(41)
  })

  whenPresent(
    modelDir('minilm-l6'),
    modelDir('expert-ag'),
    modelDir('expert-clinc'),
  )('real weights', async () => {
    for (const expert of ['expert-ag', 'expert-clinc']) {
      await refused(() => openPair(modelDir('minilm-l6'), modelDir(expert)), 'BASE_HEAD_MISSING')
      const pair = await openPair(modelDir('minilm-l6'), modelDir(expert), { baseHead: 'zeros' })
      expect(pair.tensorNames).toHaveLength(105)
    }
    await refused(() => openPair(modelDir('expert-ag'), modelDir('expert-clinc')), 'PAIR_LABELS')
  })
})

const dressed = (vocabulary: object): string =>
  modelOf(bertConfig, bertTensors(), { 'tokenizer.json': { model: { vocab: vocabulary } } })
type Row = [what: string, code: string, base: () => string, reference: () => string, options?: { forward: boolean }]
const rows: Row[] = [
  ['different architectures', 'PAIR_ARCHITECTURE', () => modelOf(gpt2Config, gpt2Tensors()), classifier],
  [
    'different model types',
    'PAIR_ARCHITECTURE',
    () => modelOf({ model_type: 'a' }, []),
    () => modelOf({ model_type: 'b' }, []),
    loose,
  ],
  ['another hidden size', 'PAIR_SIZES', () => fixtureModel('bert/base'), classifier],
  ['other heads', 'PAIR_SIZES', () => modelOf({ ...bertConfig, num_attention_heads: 1 }, bertTensors()), classifier],
  [
    'other positions',
    'PAIR_SIZES',
    () => modelOf({ ...bertConfig, max_position_embeddings: 9 }, resize('position_embeddings.weight', [9, 4])),
    classifier,
  ],
  [
    'another vocabulary',
    'PAIR_VOCABULARY',
    () => modelOf({ ...bertConfig, vocab_size: 11 }, resize('word_embeddings.weight', [11, 4])),
    classifier,
  ],
  [
    'another vocabulary, in the tensors only',
    'PAIR_VOCABULARY',
    () => modelOf(bertConfig, resize('word_embeddings.weight', [11, 4])),
    classifier,
    loose,
  ],
  [
    'another activation',
    'PAIR_CONFIG',
    () => modelOf({ ...bertConfig, hidden_act: 'relu' }, bertTensors()),
    classifier,
  ],
  ['another epsilon', 'PAIR_CONFIG', () => modelOf({ ...bertConfig, layer_norm_eps: 1e-5 }, bertTensors()), classifier],
  ['a base without a head', 'BASE_HEAD_MISSING', encoder, classifier],
  ['a reference without a head', 'REFERENCE_HEAD_MISSING', classifier, encoder],
  [
    'heads of different sizes',
    'PAIR_LABELS',
    () =>
      modelOf(
        { ...bertConfig, id2label: { 0: 'a', 1: 'b', 2: 'c' }, label2id: null },
        resize('classifier.weight', [3, 4]).map((t) => (t.name === 'classifier.bias' ? { ...t, shape: [3] } : t)),
      ),
    classifier,
  ],
  [
    'a base without pooler',
    'PAIR_TENSORS',
    () => modelOf({ ...bertConfig, architectures: ['BertForMaskedLM'] }, bertTensors().slice(0, -4)),
    classifier,
  ],
  [
    'a tensor that only the base has',
    'PAIR_TENSORS',
    () => modelOf(bertConfig, [...bertTensors(), { name: 'bert.encoder.x', shape: [1] }]),
    classifier,
    loose,
  ],
  [
    'a tensor that only the reference has',
    'PAIR_TENSORS',
    classifier,
    () => modelOf(bertConfig, [...bertTensors(), { name: 'bert.encoder.x', shape: [1] }]),
    loose,
  ],
  [
    'a tensor of another shape',
    'PAIR_TENSOR_SHAPE',
    () => modelOf(bertConfig, resize('layer.0.attention.self.query.weight', [2, 8])),
    classifier,
    loose,
  ],
  ['different tokenizers', 'PAIR_TOKENIZER', () => dressed({ a: 0, b: 1 }), () => dressed({ a: 1, b: 0 })],
  [
    'different vocabulary files',
    'PAIR_TOKENIZER',
    () => modelOf(bertConfig, bertTensors(), { 'vocab.txt': 'a\nb\n' }),
    () => modelOf(bertConfig, bertTensors(), { 'vocab.txt': 'b\na\n' }),
  ],
]

describe('pairs that are refused', () => {
  test.each(rows)('%s: %s', async (...[, code, base, reference, options]) => {
    // a missing head counts only where nothing else is wrong
    const baseHead = code.includes('HEAD') || code === 'PAIR_LABELS' || options ? undefined : ('zeros' as const)
    await refused(() => openPair(base(), reference(), { ...options, baseHead }), code)
  })

  test('both vocabulary sizes are named', async () => {
    const base = modelOf({ ...bertConfig, vocab_size: 11 }, resize('word_embeddings.weight', [11, 4]))
    const error = await refused(() => openPair(base, classifier()), 'PAIR_VOCABULARY')
    expect(error.message).toMatch(/11 and 10/)
  })

  test('the hint for a missing head is the option', async () => {
    expect((await refused(() => openPair(encoder(), classifier()), 'BASE_HEAD_MISSING')).hint).toMatch(
      /--base-head zeros/,
    )
  })
})
