import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
  shardedModelOf,
  temporaryDirectory,
  type TestTensor,
} from '../support/models.js'

const loose = { forward: false }
const halves = (): TestTensor[][] => [bertTensors().slice(0, 10), bertTensors().slice(10)]
const first = 'model-1-of-2.safetensors'
const indexFile = 'model.safetensors.index.json'

/** The sharded tiny model with its index changed. */
function indexed(change: (map: Record<string, unknown>) => unknown): string {
  const dir = shardedModelOf(bertConfig, halves())
  const file = join(dir, indexFile)
  const index = JSON.parse(readFileSync(file, 'utf8'))
  writeFileSync(file, JSON.stringify(change(index.weight_map) ?? index))
  return dir
}

type Row = [what: string, code: string, dir: () => string, options?: { forward: boolean }]
const other = { ...bertConfig, architectures: ['BertModel'] }
const rows: Row[] = [
  ['no such directory', 'MODEL_DIRECTORY_NOT_FOUND', () => join(temporaryDirectory(), 'absent')],
  [
    'a file instead of a directory',
    'MODEL_DIRECTORY_NOT_A_DIRECTORY',
    () => join(modelOf(bertConfig, bertTensors()), 'config.json'),
  ],
  ['no config.json', 'CONFIG_MISSING', () => directoryOf({ 'model.safetensors': safetensors(bertTensors()) })],
  [
    'only an adapter',
    'ADAPTER_ONLY',
    () =>
      directoryOf({
        'adapter_config.json': { base_model_name_or_path: 'org/base' },
        'adapter_model.safetensors': safetensors([]),
      }),
  ],
  [
    'an adapter with a configuration',
    'ADAPTER_ONLY',
    () => directoryOf({ 'adapter_config.json': {}, 'config.json': bertConfig }),
  ],
  [
    'only pytorch_model.bin',
    'WEIGHTS_PICKLE',
    () => directoryOf({ 'config.json': bertConfig, 'pytorch_model.bin': 'PK' }),
  ],
  [
    'only PyTorch shards',
    'WEIGHTS_PICKLE',
    () => directoryOf({ 'config.json': bertConfig, 'pytorch_model.bin.index.json': {} }),
  ],
  ['only model.pt', 'WEIGHTS_PICKLE', () => directoryOf({ 'config.json': bertConfig, 'model.pt': 'PK' })],
  ['only a .ckpt', 'WEIGHTS_PICKLE', () => directoryOf({ 'config.json': bertConfig, 'last.ckpt': 'PK' })],
  ['only GGUF', 'WEIGHTS_GGUF', () => directoryOf({ 'config.json': bertConfig, 'model-q4.gguf': 'GGUF' })],
  ['no weights', 'WEIGHTS_MISSING', () => directoryOf({ 'config.json': bertConfig })],
  [
    'weights under another name',
    'WEIGHTS_MISSING',
    () => directoryOf({ 'config.json': bertConfig, 'model.fp16.safetensors': safetensors([]) }),
  ],
  [
    'a pointer instead of weights',
    'SAFETENSORS_LFS_POINTER',
    () =>
      directoryOf({ 'config.json': bertConfig, 'model.safetensors': 'version https://git-lfs.github.com/spec/v1\n' }),
  ],
  [
    'both forms with different tensors',
    'WEIGHTS_BOTH_FORMS',
    () => shardedModelOf(bertConfig, halves(), { 'model.safetensors': safetensors(bertTensors().slice(1)) }),
  ],
  [
    'both forms with different element types',
    'WEIGHTS_BOTH_FORMS',
    () =>
      shardedModelOf(bertConfig, halves(), {
        'model.safetensors': safetensors(bertTensors().map((t) => ({ ...t, dtype: 'F16' }))),
      }),
  ],
  [
    'quantization_config',
    'QUANTISED',
    () =>
      modelOf({ ...bertConfig, quantization_config: { quant_method: 'bitsandbytes' } }, [
        ...bertTensors().slice(0, -2),
        ...bertTensors()
          .slice(-2)
          .map((t) => ({ ...t, shape: [...t.shape, 1], dtype: 'U8' })),
      ]),
  ],
  [
    'quantize_config.json',
    'QUANTISED',
    () =>
      modelOf(bertConfig, [...bertTensors(), { name: 'x.weight', shape: [2, 2], dtype: 'I32' }], {
        'quantize_config.json': {},
      }),
    loose,
  ],
  [
    'tensors of a quantised layer',
    'QUANTISED',
    () => modelOf(bertConfig, [...bertTensors(), { name: 'a.qweight', shape: [1], dtype: 'I32' }]),
    loose,
  ],
  ['an index that is not JSON', 'INDEX_NOT_JSON', () => directoryOf({ 'config.json': bertConfig, [indexFile]: '{' })],
  [
    'a tensor twice in the index',
    'INDEX_DUPLICATE_KEY',
    () =>
      directoryOf({
        'config.json': bertConfig,
        [indexFile]: '{"weight_map":{"a":"b.safetensors","a":"b.safetensors"}}',
      }),
  ],
  ['an index without weight_map', 'INDEX_WEIGHT_MAP', () => indexed(() => ({ metadata: {} }))],
  ['an empty weight_map', 'INDEX_WEIGHT_MAP', () => indexed(() => ({ weight_map: {} }))],
  ['an index that is a list', 'INDEX_WEIGHT_MAP', () => indexed(() => [])],
  ['a shard name that is a number', 'INDEX_WEIGHT_MAP', () => indexed((map) => void (map['classifier.bias'] = 2))],
  ...[
    '../model.safetensors',
    'a/model.safetensors',
    'a\\model.safetensors',
    'https://x.y/model.safetensors',
    '/etc/model.safetensors',
    'model.bin',
    '.safetensors',
    'a\0.safetensors',
    'x..safetensors',
    '',
  ].map(
    (name): Row => [
      `the shard name ${JSON.stringify(name)}`,
      'INDEX_SHARD_NAME',
      () => indexed((map) => void (map['classifier.bias'] = name)),
    ],
  ),
  [
    'a missing shard',
    'INDEX_SHARD_MISSING',
    () => {
      const dir = shardedModelOf(bertConfig, halves())
      rmSync(join(dir, first))
      return dir
    },
  ],
  ['a tensor that is not in its shard', 'INDEX_TENSOR_MISSING', () => indexed((map) => void (map.ghost = first))],
  [
    'a tensor that is in the other shard',
    'INDEX_TENSOR_MISSING',
    () => indexed((map) => void (map['classifier.bias'] = first)),
  ],
  [
    'a tensor in two shards',
    'INDEX_TENSOR_TWICE',
    () => shardedModelOf(bertConfig, [bertTensors(), bertTensors().slice(0, 1)]),
  ],
  [
    'a tensor that the index does not list',
    'INDEX_TENSOR_UNLISTED',
    () => indexed((map) => void delete map['classifier.bias']),
  ],
  [
    'a shard that links out of the directory',
    'SHARD_LINK_ESCAPES',
    () => {
      const dir = shardedModelOf(bertConfig, halves())
      const outside = join(temporaryDirectory(), 'x.safetensors')
      renameSync(join(dir, first), outside)
      symlinkSync(outside, join(dir, first))
      return dir
    },
  ],
  [
    'a cached shard that links to another repository',
    'SHARD_LINK_ESCAPES',
    () => {
      const source = shardedModelOf(bertConfig, halves())
      const root = temporaryDirectory()
      const snapshot = join(root, 'models--a--b', 'snapshots', 'f00')
      mkdirSync(join(root, 'models--a--b', 'snapshots'), { recursive: true })
      mkdirSync(join(root, 'models--a--c', 'blobs'), { recursive: true })
      renameSync(source, snapshot)
      renameSync(join(snapshot, first), join(root, 'models--a--c', 'blobs', 'x'))
      symlinkSync(join('..', '..', '..', 'models--a--c', 'blobs', 'x'), join(snapshot, first))
      return snapshot
    },
  ],
  [
    'a tensor under two names',
    'TENSOR_NAME_TWICE',
    () => modelOf(other, [...bertTensors(), { name: 'embeddings.LayerNorm.gamma', shape: [4] }]),
  ],
  [
    'tied by the configuration, different in the files',
    'TIED_FLAG_CONTRADICTS',
    () =>
      modelOf(gpt2Config, [...gpt2Tensors(), { name: 'lm_head.weight', shape: [10, 4], data: new Uint8Array(160) }]),
  ],
  [
    'untied by the configuration, no output layer in the files',
    'TIED_FLAG_CONTRADICTS',
    () => modelOf({ ...gpt2Config, tie_word_embeddings: false }, gpt2Tensors()),
  ],
]

describe('layouts that are refused', () => {
  // rest parameters: jest would take a fourth named one for its callback where a row has three values
  test.each(rows)('%s: %s', async (...[, code, dir, options]) => {
    await refused(() => openModel(dir(), options), code)
  })

  test("the conversion command and the adapter's base are named", async () => {
    const pickle = await refused(
      () => openModel(directoryOf({ 'config.json': bertConfig, 'pytorch_model.bin': '' })),
      'WEIGHTS_PICKLE',
    )
    expect(pickle.hint).toMatch(/BertForSequenceClassification\.from_pretrained\('.*save_pretrained/)
    const adapter = await refused(
      () => openModel(directoryOf({ 'adapter_config.json': { base_model_name_or_path: 'org/base' } })),
      'ADAPTER_ONLY',
    )
    expect(adapter.message).toContain('org/base')
  })
})
