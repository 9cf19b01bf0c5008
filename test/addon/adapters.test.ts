// LoRA adapters against what peft makes of them (test/fixtures/adapters/make.py).
import { copyFileSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from '../../lib/checkpoint/index.js'
import { footprint } from '../../lib/footprint/index.js'
import { merge } from '../../lib/merge/index.js'
import { openPath } from '../../lib/paths/index.js'
import { select } from '../../lib/select/index.js'
import { trace } from '../../lib/trace/index.js'
import { fresh } from '../support/merging.js'
import {
  directoryOf,
  modelOf,
  readTensors,
  refused,
  safetensors,
  temporaryDirectory,
  type JsonRecord,
} from '../support/models.js'
import { bytePairTokenizer, pairProbes, wordPieceTokenizer } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'

const at = (...parts: string[]): string => join(repositoryRoot, 'test/fixtures/adapters', ...parts)
const cases = ['plain', 'patterns', 'embedding', 'saved', 'conv', 'language']
const bases: Record<string, string> = { conv: 'gpt2-base', language: 'gpt2-language' }
const baseOf = (name: string): string => at(bases[name] ?? 'bert-base')
const largest = (data: ArrayLike<number>): number => Array.from(data).reduce((a, b) => Math.max(a, Math.abs(b)), 0)

/**
 * What may lie between peft's merged tensor and ours, with u = 2⁻²⁴: we round θ once (u|θ|). peft sums r products in
 * float32 (r u S, S ≥ Σ|scale·b·a|), scales (u S) and adds (u|θ|).
 */
function tolerances(name: string): Map<string, number> {
  const adapter = readTensors(at(name, 'adapter/adapter_model.safetensors'))
  const config = JSON.parse(readFileSync(at(name, 'adapter/adapter_config.json'), 'utf8')) as JsonRecord
  const sums = new Map<string, number>()
  for (const [key, a] of adapter) {
    if (!/lora_(embedding_)?A/.test(key)) continue
    const b = adapter.get(key.replace(/lora_(embedding_)?A/, 'lora_$1B'))!
    const rank = a.shape[0]!
    // the largest scale any module of the fixtures has is lora_alpha
    sums.set(
      key.replace(/^base_model\.model\.|\.lora_.*/g, ''),
      (rank + 2) * rank * Number(config.lora_alpha) * largest(a.data) * largest(b.data),
    )
  }
  return sums
}

test.each(cases)('%s: merged at λ = 1 as peft merges', async (name) => {
  const output = fresh()
  const result = await merge({ base: baseOf(name), reference: at(name, 'adapter'), lambda: 1, output, threads: 2 })
  const own = readTensors(join(output, 'model.safetensors'))
  const peft = readTensors(at(name, 'merged/model.safetensors'))
  expect([...own.keys()].sort()).toEqual([...peft.keys()].sort())
  const sums = tolerances(name)
  let changed = 0
  for (const [key, { data, shape }] of peft) {
    const mine = own.get(key)!
    expect(mine.shape).toEqual(shape)
    const sum = sums.get(key.replace(/\.weight$/, ''))
    if (sum !== undefined) changed++
    const tolerance = 2 ** -24 * (2 * largest(data) + (sum ?? 0))
    for (let i = 0; i < data.length; i++) {
      if (sum === undefined) expect(mine.data[i]).toBe(data[i])
      else expect(Math.abs(mine.data[i]! - data[i]!)).toBeLessThanOrEqual(tolerance)
    }
  }
  expect(changed).toBe(sums.size)
  expect(result.notes.join('\n')).toMatch(/an adapter, made for tiny\/base, \d+ differences of rank 2|3/)
  expect((await inspect(output)).usable).toBe('forward')
})

/** BF16 as numbers. */
function bfloats(file: string): Map<string, Float32Array> {
  const bytes = readFileSync(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >
  delete header.__metadata__
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          data_offsets: [begin, end],
        },
      ]) => {
        expect(dtype).toBe('BF16')
        const words = Uint32Array.from(
          { length: (end - begin) / 2 },
          (_, i) => bytes.readUInt16LE(start + begin + 2 * i) << 16,
        )
        return [name, new Float32Array(words.buffer)]
      },
    ),
  )
}

test('a base in BF16 stays so: one spacing at most, and hardly ever', async () => {
  const output = fresh()
  await merge({
    base: at('bert-base-bf16'),
    reference: at('half/adapter'),
    lambda: 1,
    output,
    threads: 2,
    dtype: 'bf16',
  })
  const own = bfloats(join(output, 'model.safetensors'))
  let unequal = 0
  let all = 0
  for (const [name, expected] of bfloats(at('half/merged/model.safetensors'))) {
    const mine = own.get(name)!
    expect(mine).toHaveLength(expected.length)
    expected.forEach((value, i) => {
      all++
      if (mine[i] !== value) unequal++
      // both round to 8 bits what differs by float32's rounding: a tie may fall to either side
      expect(Math.abs(mine[i]! - value)).toBeLessThanOrEqual(2 ** -7 * Math.abs(value))
    })
  }
  expect(unequal).toBeLessThan(all / 1000)
})

test.each(cases)('%s: every point of a path is that to the merged model', async (name) => {
  const along = await openPath(baseOf(name), at(name, 'adapter'))
  const merged = await openPath(baseOf(name), at(name, 'merged'))
  try {
    expect(along.pair.tensorNames).toEqual(merged.pair.tensorNames)
    const sums = tolerances(name)
    const worst = Math.max(...sums.values())
    for (const tensor of along.pair.tensorNames) {
      const [a, b] = [await along.tensor(tensor, 0.35), await merged.tensor(tensor, 0.35)]
      const tolerance = 2 ** -24 * (2 * largest(b) + worst)
      a.forEach((value, i) => expect(Math.abs(value - b[i]!)).toBeLessThanOrEqual(tolerance))
    }
  } finally {
    along.close()
    merged.close()
  }
})

/** A folder's files with a tokenizer beside them. */
function withTokenizer(folder: string, tokenizer: object): string {
  const dir = temporaryDirectory()
  cpSync(folder, dir, { recursive: true })
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer))
  return dir
}

test.each(['plain', 'saved', 'conv', 'language'])(
  '%s: scores along an adapter are those along its merged model',
  async (name) => {
    const base = withTokenizer(baseOf(name), name in bases ? bytePairTokenizer() : wordPieceTokenizer())
    const probes = join(temporaryDirectory(), 'probes.jsonl')
    writeFileSync(probes, pairProbes(8))
    const options = { base, probes: [probes], points: 5, threads: 2, baseHead: 'zeros' as const }
    const one = await footprint({ ...options, reference: at(name, 'adapter') })
    const other = await footprint({ ...options, reference: at(name, 'merged') })
    const [a, b] = [one.alignment, other.alignment]
    expect(a).toHaveLength(b.length)
    expect(largest(b)).toBeGreaterThan(0.01)
    a.forEach((value, i) => expect(Math.abs(value - b[i]!)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(b[i]!))))
  },
)

test.each(['plain', 'saved', 'conv'])('%s: select chooses along an adapter as along its merged model', async (name) => {
  const base = withTokenizer(baseOf(name), name in bases ? bytePairTokenizer() : wordPieceTokenizer())
  const corpus = join(temporaryDirectory(), 'corpus.jsonl')
  writeFileSync(corpus, pairProbes(8))
  const options = { base, corpus: [corpus], count: 10, window: 16, lambdas: [0.5], threads: 2 }
  const features = name in bases ? 'head' : 'top'
  const run = { ...options, features, strategy: 'topk', baseHead: 'zeros' } as const
  const one = await select({ ...run, reference: at(name, 'adapter'), output: fresh() })
  const other = await select({ ...run, reference: at(name, 'merged'), output: fresh() })
  expect(one.documents).toHaveLength(10)
  expect(one.documents.map(({ text }) => text)).toEqual(other.documents.map(({ text }) => text))
  one.documents.forEach(({ score }, i) => {
    const expected = other.documents[i]!.score!
    expect(Math.abs(score! - expected)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(expected)))
  })
})

test('the trace reads an embedding that was trained whole, or that the adapter changes', async () => {
  for (const name of ['saved', 'embedding']) {
    const { result, tokens } = await trace({ base: at('bert-base'), reference: at(name, 'adapter'), threads: 2 })
    expect(result.verdict).toBe('exact')
    expect(tokens.map(({ id }) => id).sort((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, i) => i + 5))
  }
})

test('the trace says where the adapter left the table alone', async () => {
  const { result } = await trace({ base: at('bert-base'), reference: at('plain/adapter'), threads: 2 })
  expect(result.verdict).toBe('none')
  expect(result.notes.join('\n')).toContain('the adapter left the embedding table alone')
})

test('a base without prefix and head: names and head come from the trained class', async () => {
  const output = fresh()
  const base = temporaryDirectory()
  cpSync(at('bert-bare'), base, { recursive: true })
  const {
    id2label: _,
    label2id: __,
    ...unlabelled
  } = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as JsonRecord
  writeFileSync(join(base, 'config.json'), JSON.stringify(unlabelled))
  await merge({ base, reference: at('plain/adapter'), baseHead: 'zeros', lambda: 1, output, threads: 2 })
  const own = readTensors(join(output, 'model.safetensors'))
  const peft = readTensors(at('plain/merged/model.safetensors'))
  expect([...own.keys()].sort()).toEqual([...peft.keys()].sort())
  const config = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8')) as JsonRecord
  expect(config.architectures).toEqual(['BertForSequenceClassification'])
  expect(config.id2label).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2' })
})

/** The plain adapter with another configuration, tensors left out, or none. */
function changed(config: JsonRecord, name = 'plain'): string {
  const dir = temporaryDirectory()
  for (const file of readdirSync(at(name, 'adapter'))) copyFileSync(at(name, 'adapter', file), join(dir, file))
  const text = readFileSync(join(dir, 'adapter_config.json'), 'utf8')
  writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify({ ...(JSON.parse(text) as JsonRecord), ...config }))
  return dir
}

const put = (reference: string, base = at('bert-base')) => openPath(base, reference).then((path) => path.close())

test.each<[string, JsonRecord]>([
  ['ADAPTER_UNSUPPORTED', { peft_type: 'IA3' }],
  ['ADAPTER_UNSUPPORTED', { peft_type: undefined }],
  ['ADAPTER_UNSUPPORTED', { use_dora: true }],
  ['ADAPTER_UNSUPPORTED', { init_lora_weights: 'pissa' }],
  ['ADAPTER_UNSUPPORTED', { layer_replication: [[0, 1]] }],
  ['ADAPTER_CONFIG', { r: 4 }],
  ['ADAPTER_CONFIG', { lora_alpha: 'x' }],
  ['ADAPTER_CONFIG', { alpha_pattern: { '(a+)+': 1 } }],
  ['ADAPTER_CONFIG', { alpha_pattern: { '[': 1 } }],
  ['ADAPTER_CONFIG', { rank_pattern: 3 }],
])('%s for %j', async (code, config) => {
  await refused(() => put(changed(config)), code)
})

test('an adapter with a magnitude of its own is refused by name', async () => {
  expect((await refused(() => put(at('dora/adapter')), 'ADAPTER_UNSUPPORTED')).message).toContain('DoRA')
  await refused(() => put(changed({ use_dora: false }, 'dora')), 'ADAPTER_UNSUPPORTED')
})

test('an adapter for another base', async () => {
  const { message, hint } = await refused(() => put(at('conv/adapter')), 'ADAPTER_TARGET')
  expect(message).toContain('transformer.h.0')
  expect(hint).toContain('tiny/base')
  const narrow = [
    { name: 'base_model.model.bert.pooler.dense.lora_A.weight', shape: [2, 4] },
    { name: 'base_model.model.bert.pooler.dense.lora_B.weight', shape: [4, 2] },
  ]
  const other = directoryOf({
    'adapter_config.json': { peft_type: 'LORA', r: 2, lora_alpha: 2 },
    'adapter_model.safetensors': safetensors(narrow),
  })
  await refused(() => put(other), 'ADAPTER_SHAPE')
})

test.each<[string, { name: string; shape: number[]; dtype?: string }[]]>([
  ['ADAPTER_EMPTY', []],
  ['ADAPTER_TENSORS', [{ name: 'base_model.model.bert.pooler.dense.lora_A.weight', shape: [2, 8] }]],
  [
    'ADAPTER_TENSORS',
    [
      { name: 'x.lora_A.weight', shape: [2, 8] },
      { name: 'x.lora_B.weight', shape: [8, 3] },
    ],
  ],
  [
    'ADAPTER_TENSORS',
    [
      { name: 'x.lora_A.weight', shape: [2, 8, 1] },
      { name: 'x.lora_B.weight', shape: [8, 2] },
    ],
  ],
  ['ADAPTER_UNSUPPORTED', [{ name: 'prompt_embeddings', shape: [2, 8] }]],
  ['ADAPTER_UNSUPPORTED', [{ name: 'x.lora_A.weight', shape: [2, 8], dtype: 'I8' }]],
])('%s: tensors that are none of an adapter', async (code, tensors) => {
  const dir = directoryOf({
    'adapter_config.json': { peft_type: 'LORA', r: 2, lora_alpha: 2 },
    'adapter_model.safetensors': safetensors(tensors),
  })
  await refused(() => put(dir), code)
})

test('an adapter without weights, or only a pickle; an adapter as the base', async () => {
  const config = { peft_type: 'LORA', r: 2, lora_alpha: 2 }
  await refused(() => put(directoryOf({ 'adapter_config.json': config })), 'ADAPTER_WEIGHTS_MISSING')
  const pickle = await refused(
    () => put(directoryOf({ 'adapter_config.json': config, 'adapter_model.bin': '' })),
    'ADAPTER_WEIGHTS_MISSING',
  )
  expect(pickle.hint).toContain('safetensors')
  await refused(() => put(at('bert-base'), at('plain/adapter')), 'ADAPTER_ONLY')
  await refused(() => put(modelOf({ model_type: 'bert' }, []), at('plain/adapter')), 'ADAPTER_ONLY')
})
