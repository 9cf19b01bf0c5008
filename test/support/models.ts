import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WarpError } from '../../lib/errors.js'
import { repositoryRoot } from './shared.js'

/** A tensor for a generated file; without `data` its bytes are 1, 2, 3, … */
export interface TestTensor {
  name: string
  shape: number[]
  dtype?: string
  data?: Uint8Array
}

const bytesOf: Record<string, number> = {
  F64: 8,
  I64: 8,
  C64: 8,
  F32: 4,
  I32: 4,
  F16: 2,
  BF16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
}

/** Directory of the committed random-weight fixture `bert/base`, `gpt2/reference`, … */
export function fixtureModel(name: string): string {
  return join(repositoryRoot, 'test', 'fixtures', 'models', name)
}

/** A fresh directory that is removed when the tests of the file are done. */
export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'warp-test-'))
  created.push(dir)
  return dir
}
const created: string[] = []
afterAll(() => created.splice(0).forEach((dir) => rmSync(dir, { recursive: true, force: true })))

/** A file in the safetensors container from any header text, valid or not. */
export function container(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0)): Buffer {
  const text = Buffer.from(header as string)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, data])
}

/** Bytes of a valid safetensors file. */
export function safetensors(tensors: TestTensor[], metadata?: Record<string, string>): Buffer {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {}
  const parts: Uint8Array[] = []
  let end = 0
  for (const { name, shape, dtype = 'F32', data } of tensors) {
    const length = shape.reduce((product, size) => product * size, bytesOf[dtype]!)
    parts.push(data ?? Uint8Array.from({ length }, (_, i) => i + 1))
    header[name] = { dtype, shape, data_offsets: [end, end + length] }
    end += length
  }
  return container(JSON.stringify(header), Buffer.concat(parts))
}

/** Everything in a safetensors file as numbers; for golden values and small checks (F32, F64 and I32 only). */
export function readTensors(
  file: string,
): Map<string, { shape: number[]; data: Float32Array | Float64Array | Int32Array }> {
  const bytes = readFileSync(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  const arrays = { F32: Float32Array, F64: Float64Array, I32: Int32Array } as const
  const result = new Map()
  for (const [name, tensor] of Object.entries(header)) {
    const {
      dtype,
      shape,
      data_offsets: [begin, end],
    } = tensor
    const copy = Uint8Array.from(bytes.subarray(start + begin, start + end)).buffer
    result.set(name, { shape, data: new arrays[dtype as keyof typeof arrays](copy) })
  }
  return result
}

/** What `transformers` computed for the fixture `bert` or `gpt2`; see test/fixtures/models/make.py. */
export function readGolden(kind: 'bert' | 'gpt2'): ReturnType<typeof readTensors> {
  return readTensors(fixtureModel(join(kind, 'golden.safetensors')))
}

export type JsonRecord = Record<string, unknown>

/** Configuration of a tiny BERT classifier. */
export const bertConfig: JsonRecord = {
  architectures: ['BertForSequenceClassification'],
  model_type: 'bert',
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 6,
  vocab_size: 10,
  max_position_embeddings: 8,
  type_vocab_size: 2,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-12,
  pad_token_id: 0,
  id2label: { 0: 'no', 1: 'yes' },
  label2id: { no: 0, yes: 1 },
}

/** Configuration of a tiny GPT-2 language model. */
export const gpt2Config: JsonRecord = {
  architectures: ['GPT2LMHeadModel'],
  model_type: 'gpt2',
  n_embd: 4,
  n_layer: 1,
  n_head: 2,
  vocab_size: 10,
  n_positions: 8,
}

const dense = (name: string, out: number, input: number): TestTensor[] => [
  { name: `${name}.weight`, shape: [out, input] },
  { name: `${name}.bias`, shape: [out] },
]
const norm = (name: string): TestTensor[] => [
  { name: `${name}.weight`, shape: [4] },
  { name: `${name}.bias`, shape: [4] },
]

/** The tensors that `bertConfig` needs, under the names of `BertForSequenceClassification`. */
export function bertTensors(): TestTensor[] {
  const layer = 'bert.encoder.layer.0'
  return [
    { name: 'bert.embeddings.word_embeddings.weight', shape: [10, 4] },
    { name: 'bert.embeddings.position_embeddings.weight', shape: [8, 4] },
    { name: 'bert.embeddings.token_type_embeddings.weight', shape: [2, 4] },
    ...norm('bert.embeddings.LayerNorm'),
    ...['query', 'key', 'value'].flatMap((part) => dense(`${layer}.attention.self.${part}`, 4, 4)),
    ...dense(`${layer}.attention.output.dense`, 4, 4),
    ...norm(`${layer}.attention.output.LayerNorm`),
    ...dense(`${layer}.intermediate.dense`, 6, 4),
    ...dense(`${layer}.output.dense`, 4, 6),
    ...norm(`${layer}.output.LayerNorm`),
    ...dense('bert.pooler.dense', 4, 4),
    ...dense('classifier', 2, 4),
  ]
}

/** The tensors that `gpt2Config` needs, under the names of `GPT2LMHeadModel`, whose output layer is tied. */
export function gpt2Tensors(): TestTensor[] {
  const h = 'transformer.h.0'
  const conv = (name: string, input: number, out: number): TestTensor[] => [
    { name: `${name}.weight`, shape: [input, out] },
    { name: `${name}.bias`, shape: [out] },
  ]
  return [
    { name: 'transformer.wte.weight', shape: [10, 4] },
    { name: 'transformer.wpe.weight', shape: [8, 4] },
    ...norm(`${h}.ln_1`),
    ...conv(`${h}.attn.c_attn`, 4, 12),
    ...conv(`${h}.attn.c_proj`, 4, 4),
    ...norm(`${h}.ln_2`),
    ...conv(`${h}.mlp.c_fc`, 4, 16),
    ...conv(`${h}.mlp.c_proj`, 16, 4),
    ...norm('transformer.ln_f'),
  ]
}

/** Writes files (JSON for plain objects) into a new directory and returns it. */
export function directoryOf(files: Record<string, string | Uint8Array | object>): string {
  const dir = temporaryDirectory()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(dir, name, '..'), { recursive: true })
    const raw = typeof content === 'string' || content instanceof Uint8Array
    writeFileSync(join(dir, name), raw ? content : JSON.stringify(content))
  }
  return dir
}

/** A model directory with one weight file. */
export function modelOf(
  config: object | string,
  tensors: TestTensor[],
  more: Record<string, string | Uint8Array | object> = {},
): string {
  return directoryOf({ 'config.json': config, 'model.safetensors': safetensors(tensors), ...more })
}

/** A model directory with its tensors dealt out to `shards.length` files. */
export function shardedModelOf(
  config: object,
  shards: TestTensor[][],
  more: Record<string, string | Uint8Array | object> = {},
): string {
  const names = shards.map((_, i) => `model-${i + 1}-of-${shards.length}.safetensors`)
  const weightMap = Object.fromEntries(shards.flatMap((part, i) => part.map((t) => [t.name, names[i]!])))
  const files = Object.fromEntries(shards.map((part, i) => [names[i]!, safetensors(part)]))
  return directoryOf({
    'config.json': config,
    'model.safetensors.index.json': { metadata: {}, weight_map: weightMap },
    ...files,
    ...more,
  })
}

/**
 * Expects bad input to be refused with `code`, and in full: what was wrong in words, where (file or tensor), one hint.
 */
export async function refused(work: () => unknown, code: string): Promise<WarpError> {
  const error = await Promise.resolve()
    .then(work)
    .then(
      (value) => value,
      (e: unknown) => e,
    )
  if (!(error instanceof WarpError))
    throw new Error(`expected ${code}, got ${error instanceof Error ? error.stack : JSON.stringify(error)}`)
  expect(error.code).toBe(code)
  expect(error.exitCode).toBe(3)
  expect(error.message.length).toBeGreaterThan(10)
  expect(error.details.file ?? error.details.tensor).toBeTruthy()
  expect(error.hint).not.toBe('')
  return error
}
