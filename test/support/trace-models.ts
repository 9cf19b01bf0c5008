import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { safetensors, temporaryDirectory, type TestTensor } from './models.js'
import { wordPieceOf } from './tokenizer-json.js'
import { baseValues, hidden, positions, stored, trainedTables, vocabulary } from './trace-tables.js'

/** The tokens of the made-up vocabulary: four special ones, then words of letters only. */
export const words = (count: number): string[] =>
  Array.from(
    { length: count },
    (_, id) =>
      ['[PAD]', '[UNK]', '[CLS]', '[SEP]'][id] ??
      `w${id.toString().replace(/\d/g, (digit) => 'abcdefghij'[Number(digit)])}`,
  )

/**
 * A WordPiece `tokenizer.json` whose words are tokens: ids in the order given; `[CLS] … [SEP]` as for BERT, or nothing.
 */
export const tokenizerJson = (tokens: string[], special = false): string =>
  JSON.stringify(wordPieceOf(tokens, { bare: !special }))

type Dtype = 'F32' | 'F16' | 'BF16'

/** Bytes of values that the dtype holds exactly. */
export function encode(values: Float32Array, dtype: Dtype): Uint8Array {
  if (dtype === 'F32')
    return new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength))
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = Uint16Array.from(values, (value, i) => {
    if (dtype === 'BF16') return bits[i] >>> 16
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0,
      size = Math.abs(value)
    if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24)
    const exponent = Math.floor(Math.log2(size))
    return sign | ((exponent + 15) << 10) | (Math.round(size * 2 ** (10 - exponent)) & 0x3ff)
  })
  return new Uint8Array(halves.buffer)
}

export interface TinyModel {
  tokens: Float32Array
  positions?: Float32Array
  dtype?: Dtype
  rows?: number
  tokenizer?: string | null
  config?: Record<string, unknown>
  extra?: TestTensor[]
  tokenTable?: string
}

/** A model directory that has an embedding table, a position table and little else. */
export function writeModel(model: TinyModel, name = 'model'): string {
  const dir = join(temporaryDirectory(), name)
  mkdirSync(dir)
  const {
    dtype = 'F32',
    tokens,
    positions: table,
    extra = [],
    tokenTable = 'embeddings.word_embeddings.weight',
  } = model
  const rows = model.rows ?? tokens.length / hidden
  const tensors: TestTensor[] = [
    { name: tokenTable, shape: [rows, hidden], dtype, data: encode(stored(tokens, dtype), dtype) },
  ]
  if (table)
    tensors.push({
      name: 'embeddings.position_embeddings.weight',
      shape: [positions, hidden],
      dtype,
      data: encode(stored(table, dtype), dtype),
    })
  writeFileSync(join(dir, 'model.safetensors'), safetensors([...tensors, ...extra]))
  writeFileSync(
    join(dir, 'config.json'),
    JSON.stringify({
      architectures: ['TinyModel'],
      model_type: 'tiny',
      hidden_size: hidden,
      vocab_size: rows,
      max_position_embeddings: positions,
      ...model.config,
    }),
  )
  if (model.tokenizer !== null)
    writeFileSync(join(dir, 'tokenizer.json'), model.tokenizer ?? tokenizerJson(words(rows)))
  return dir
}

/** Directories of one of the golden trainings: base and reference, stored as `dtype`. */
export function trainedPair(name: string, dtype: Dtype = 'F32'): { base: string; reference: string } {
  const after = trainedTables(name)
  return {
    base: writeModel(
      { tokens: baseValues(vocabulary * hidden, 1), positions: baseValues(positions * hidden, 2) },
      'base',
    ),
    reference: writeModel({ tokens: after.tokens, positions: after.positions, dtype }, 'reference'),
  }
}
