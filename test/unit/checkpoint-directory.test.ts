import { readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { openModel } from '../../lib/checkpoint/index.js'
import {
  bertConfig,
  bertTensors,
  directoryOf,
  fixtureModel,
  gpt2Config,
  gpt2Tensors,
  modelOf,
  readGolden,
  safetensors,
  shardedModelOf,
  temporaryDirectory,
  type TestTensor,
} from '../support/models.js'
import { modelDir, whenPresent } from '../support/shared.js'

const loose = { forward: false }
const halves = (): TestTensor[][] => [bertTensors().slice(0, 10), bertTensors().slice(10)]
const first = 'model-1-of-2.safetensors'
const indexFile = 'model.safetensors.index.json'

describe('layouts that are accepted', () => {
  test('one file: canonical names, file offsets, architecture', async () => {
    const dir = modelOf(bertConfig, bertTensors())
    const model = await openModel(dir)
    expect(model.architectureName).toBe('BertForSequenceClassification')
    expect(model.architecture).toEqual({
      kind: 'bert',
      modelType: 'bert',
      hiddenSize: 4,
      layers: 1,
      heads: 2,
      kvHeads: 2,
      headSize: 2,
      intermediateSize: 6,
      vocabularySize: 10,
      maxPositions: 8,
      typeVocabularySize: 2,
      layerNormEpsilon: 1e-12,
      activation: 'gelu',
      pooler: true,
      labels: ['no', 'yes'],
      padTokenId: 0,
      tiedEmbeddings: false,
    })
    expect([...model.tensors.keys()]).toEqual(bertTensors().map((t) => t.name.replace(/^bert\./, '')))
    const bytes = readFileSync(model.files[0]!.path)
    for (const t of model.tensors.values()) expect([...bytes.subarray(t.offset, t.offset + 4)]).toEqual([1, 2, 3, 4])
    expect(model).toMatchObject({
      hasHead: true,
      unexpected: [],
      ignored: [],
      notes: [],
      inputEmbedding: 'embeddings.word_embeddings.weight',
    })
  })

  test('shards with an index', async () => {
    const model = await openModel(shardedModelOf(bertConfig, halves()))
    expect(model.files.map((f) => basename(f.path))).toEqual([first, 'model-2-of-2.safetensors'])
    const table = model.tensors.get('classifier.weight')!
    expect(table.file).toBe(1)
    const bytes = readFileSync(model.files[1]!.path)
    expect([...bytes.subarray(table.offset, table.offset + 3)]).toEqual([1, 2, 3])
  })

  test('shards and a single file with the same tensors: the single file is read, and that is said', async () => {
    const model = await openModel(
      shardedModelOf(bertConfig, halves(), { 'model.safetensors': safetensors(bertTensors()) }),
    )
    expect(model.files.map((f) => basename(f.path))).toEqual(['model.safetensors'])
    expect(model.notes.join()).toMatch(/shards/)
  })

  test('links of the Hugging Face cache', async () => {
    const cache = directoryOf({
      'models--a--b/blobs/c0': JSON.stringify(bertConfig),
      'models--a--b/blobs/i0': '',
      'models--a--b/snapshots/f00/x': '',
    })
    const source = shardedModelOf(bertConfig, halves())
    const blobs = join(cache, 'models--a--b', 'blobs')
    const snapshot = join(cache, 'models--a--b', 'snapshots', 'f00')
    for (const name of ['config.json', indexFile, first, 'model-2-of-2.safetensors']) {
      writeFileSync(join(blobs, name), readFileSync(join(source, name)))
      symlinkSync(join('..', '..', 'blobs', name), join(snapshot, name))
    }
    expect((await openModel(snapshot)).tensors.size).toBe(bertTensors().length)
  })

  test('a directory that is itself a link, and links within it', async () => {
    const dir = shardedModelOf(bertConfig, halves())
    renameSync(join(dir, first), join(dir, 'renamed'))
    symlinkSync('renamed', join(dir, first))
    const link = join(temporaryDirectory(), 'model')
    symlinkSync(dir, link)
    expect((await openModel(link)).files).toHaveLength(2)
  })

  test('old names: no prefix, gamma and beta, position_ids', async () => {
    const old = bertTensors()
      .slice(0, -4)
      .map((t) => ({
        ...t,
        name: t.name
          .replace(/^bert\./, '')
          .replace('LayerNorm.weight', 'LayerNorm.gamma')
          .replace('LayerNorm.bias', 'LayerNorm.beta'),
      }))
    const ids = { name: 'embeddings.position_ids', shape: [1, 8], dtype: 'I64' }
    const model = await openModel(modelOf({ ...bertConfig, architectures: ['BertModel'] }, [...old, ids]))
    expect(model.tensors.get('embeddings.LayerNorm.weight')!.storedName).toBe('embeddings.LayerNorm.gamma')
    expect(model.ignored).toEqual(['embeddings.position_ids'])
    expect(model.architecture.pooler).toBe(false)
  })

  test('GPT-2 with and without prefix, causal masks ignored, output layer tied', async () => {
    const masks = [
      { name: 'h.0.attn.bias', shape: [1, 1, 8, 8] },
      { name: 'h.0.attn.masked_bias', shape: [] },
    ]
    const bare = gpt2Tensors().map((t) => ({ ...t, name: t.name.replace('transformer.', '') }))
    const model = await openModel(modelOf({ ...gpt2Config, architectures: ['GPT2Model'] }, [...bare, ...masks]))
    expect(model.ignored).toEqual(['h.0.attn.bias', 'h.0.attn.masked_bias'])
    expect(model.tensors.get('h.0.attn.c_attn.bias')!.shape).toEqual([12])
    expect(model).toMatchObject({ hasHead: false, inputEmbedding: 'wte.weight', tie: undefined })
    const head = await openModel(modelOf(gpt2Config, gpt2Tensors()))
    expect([...head.tensors.keys()]).toEqual([...model.tensors.keys()])
    expect(head.architecture).toMatchObject({
      intermediateSize: 16,
      activation: 'gelu_new',
      layerNormEpsilon: 1e-5,
      tiedEmbeddings: true,
    })
    expect(head.tie).toEqual({ name: 'lm_head.weight', to: 'wte.weight' })
    expect(head.notes.join()).toMatch(/lm_head\.weight is tied to wte\.weight/)
  })

  test('tied tables stored twice with the same bytes count once', async () => {
    const twice = [...gpt2Tensors(), { name: 'lm_head.weight', shape: [10, 4] }]
    for (const options of [{}, loose]) {
      const model = await openModel(modelOf({ ...gpt2Config, tie_word_embeddings: true }, twice), options)
      expect(model.tie?.to).toBe('wte.weight')
      expect(model.tensors.has('lm_head.weight')).toBe(false)
      expect(model.extra.has('lm_head.weight')).toBe(true)
    }
  })

  test('an untied output layer', async () => {
    const own = { name: 'lm_head.weight', shape: [10, 4], data: new Uint8Array(160) }
    const dir = modelOf({ ...gpt2Config, tie_word_embeddings: false }, [...gpt2Tensors(), own])
    expect(await openModel(dir)).toMatchObject({ tie: undefined, unexpected: ['lm_head.weight'] })
    expect((await openModel(dir, loose)).tensors.has('lm_head.weight')).toBe(true)
  })

  test('unexpected tensors are listed and set aside', async () => {
    const more = [{ name: 'cls.predictions.bias', shape: [10] }]
    const model = await openModel(modelOf(bertConfig, [...bertTensors(), ...more]))
    expect(model.unexpected).toEqual(['cls.predictions.bias'])
    expect(model.extra.get('cls.predictions.bias')!.shape).toEqual([10])
    expect(model.notes.join()).toMatch(/cls\.predictions\.bias/)
  })

  test('any architecture without forward pass; integers are set aside', async () => {
    const config = { architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: 2, vocab_size: 5 }
    const tensors = [
      { name: 'model.embed_tokens.weight', shape: [5, 2], dtype: 'BF16' },
      { name: 'model.norm.weight', shape: [2] },
      { name: 'model.steps', shape: [], dtype: 'I64' },
    ]
    const model = await openModel(modelOf(config, tensors), loose)
    expect([...model.tensors.keys()]).toEqual(['embed_tokens.weight', 'norm.weight'])
    expect(model).toMatchObject({
      inputEmbedding: 'embed_tokens.weight',
      ignored: ['steps'],
      tie: { name: 'lm_head.weight' },
    })
    expect(model.architecture).toMatchObject({
      kind: 'llama',
      modelType: 'llama',
      hiddenSize: 2,
      vocabularySize: 5,
      layers: 0,
    })
  })

  test('a prefix is kept where dropping it would give two tensors one name', async () => {
    const tensors = [
      { name: 'model.a', shape: [1] },
      { name: 'a', shape: [1] },
    ]
    expect([...(await openModel(modelOf({ model_type: 'x' }, tensors), loose)).tensors.keys()]).toEqual([
      'model.a',
      'a',
    ])
  })

  test('auto_map and an adapter beside the weights are not used, and that is said', async () => {
    const config = { ...bertConfig, auto_map: { AutoModel: 'evil.Model' } }
    const { notes } = await openModel(modelOf(config, bertTensors(), { 'adapter_config.json': {} }))
    expect(notes.join()).toMatch(/auto_map.*not run/)
    expect(notes.join()).toMatch(/adapter_config\.json/)
  })
})

describe('fixtures and real weights', () => {
  test.each(['bert/base', 'bert/reference', 'gpt2/base', 'gpt2/reference'])('%s', async (name) => {
    const model = await openModel(fixtureModel(name))
    expect(model.architecture.labels).toEqual(['animals', 'plants', 'stones'])
    expect(model).toMatchObject({ hasHead: true, unexpected: [], notes: [] })
  })

  test('bert/base-old holds the encoder of bert/base in BF16', async () => {
    const old = await openModel(fixtureModel('bert/base-old'))
    const base = await openModel(fixtureModel('bert/base'))
    expect([...old.tensors.keys(), 'classifier.weight', 'classifier.bias'].sort()).toEqual(
      [...base.tensors.keys()].sort(),
    )
    expect(new Set([...old.tensors.values()].map((t) => t.dtype))).toEqual(new Set(['BF16']))
    expect(old).toMatchObject({ hasHead: false, ignored: ['embeddings.position_ids'] })
  })

  test('the golden values are what test/fixtures/models/make.py describes', () => {
    const golden = readGolden('bert')
    expect(golden.get('logits')!.shape).toEqual([12, 5, 3])
    expect(golden.get('head_input')!.shape).toEqual([12, 5, 36])
    expect([...golden.get('lambdas')!.data]).toEqual([0, 0.05, 0.35, 0.95, 1])
    expect(golden.get('offsets')!.data.at(-1)).toBe(golden.get('ids')!.data.length)
  })

  whenPresent(modelDir('minilm-l6'))('minilm-l6', async () => {
    const model = await openModel(modelDir('minilm-l6'))
    expect(model.architecture).toMatchObject({
      hiddenSize: 384,
      layers: 6,
      heads: 12,
      vocabularySize: 30522,
      pooler: true,
      labels: [],
    })
    expect(model).toMatchObject({ hasHead: false, ignored: ['embeddings.position_ids'], unexpected: [] })
  })

  whenPresent(modelDir('smollm2-135m'))('smollm2-135m', async () => {
    const model = await openModel(modelDir('smollm2-135m'), loose)
    expect(model.tensors.size).toBe(272)
    expect(model.inputEmbedding).toBe('embed_tokens.weight')
    expect(model.tie).toEqual({ name: 'lm_head.weight', to: 'embed_tokens.weight' })
  })
})
