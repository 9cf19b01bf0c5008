// Model directories of many architectures, made from the names and shapes that transformers saves.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../../lib/random.js'
import { modelOf, type JsonRecord, type TestTensor } from './models.js'
import { repositoryRoot } from './shared.js'

export interface SavedModel {
  config: JsonRecord
  /** shape by name */
  tensors: Record<string, number[]>
}

/** Kind → a base and what is fine-tuned from it; see test/fixtures/directories/make.py. */
export const savedKinds = JSON.parse(
  readFileSync(join(repositoryRoot, 'test/fixtures/directories/directories.json'), 'utf8'),
) as Record<string, { base: SavedModel; reference: SavedModel }>

/** Rows of an embedding table that the made-up training moves. */
export const trainedRows = Array.from({ length: 15 }, (_, i) => i + 10)

/** The part of a name that both classes have. */
const own = (name: string): string => name.split('.').slice(-2).join('.')

/** Numbers of a tensor, the same for the same end of a name. */
function numbers(name: string, shape: number[]): Float32Array {
  const random = new Random(3, own(name))
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal())
}

const bytes = (data: Float32Array): Uint8Array => new Uint8Array(data.buffer)

/** Tensors of a model as they are before training. */
export function untrained({ tensors }: SavedModel): TestTensor[] {
  return Object.entries(tensors).map(([name, shape]) => ({ name, shape, data: bytes(numbers(name, shape)) }))
}

/** Length of the longest text of that training. */
export const longestText = 7
const positionTable = /(position_embeddings|embed_positions)\.weight$/

/**
 * The same after a training that moves some rows of the table `embedding`, the rows of the positions from `first` on
 * that the longest text has, and all of every other matrix.
 */
export function trained(model: SavedModel, embedding: string, first = 0): TestTensor[] {
  return Object.entries(model.tensors).map(([name, shape]) => {
    const data = numbers(name, shape)
    const copy = own(name) === own(embedding) || name.endsWith('embed_tokens.weight')
    const move = (row: number): void => {
      for (let i = 0; i < shape[1]!; i++) data[row * shape[1]! + i]! += 0.1
    }
    if (copy) trainedRows.forEach(move)
    else if (positionTable.test(name)) for (let row = first; row < first + longestText; row++) move(row)
    else if (shape.length === 2 && !/embed|lm_head|decoder\.weight/.test(name))
      data.forEach((value, i) => void (data[i] = value + 0.01))
    return { name, shape, data: bytes(data) }
  })
}

/** Folders of a kind: the base, and the reference trained from it. */
export function pairOfKind(
  { base, reference }: { base: SavedModel; reference: SavedModel },
  embedding: string,
  first?: number,
): [string, string] {
  return [modelOf(base.config, untrained(base)), modelOf(reference.config, trained(reference, embedding, first))]
}
