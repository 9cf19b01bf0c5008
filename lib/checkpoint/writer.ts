import { WarpError } from '../errors.js'
import { dtypeBits, tensorBytes, type Dtype } from './dtypes.js'

export interface TensorPlan {
  name: string
  dtype: Dtype
  shape: readonly number[]
}

export interface HeaderPlan {
  /** length and JSON, padded with spaces to a multiple of 8 bytes */
  header: Buffer
  /** where the data of each tensor goes, bytes from the start of the file, in the order the tensors were given */
  offsets: number[]
  /** bytes of the whole file */
  fileSize: number
}

/**
 * Lays out a safetensors file. Data is ordered by element size, widest first, so that every tensor is aligned to its
 * element; among equals the given order stays.
 * @throws WarpError (internal) for names given twice and sizes that do not fit
 */
export function writeSafetensorsHeader(
  tensors: readonly TensorPlan[],
  metadata: Record<string, string> = {},
): HeaderPlan {
  const order = tensors
    .map((_, i) => i)
    .sort((a, b) => dtypeBits(tensors[b]!.dtype) - dtypeBits(tensors[a]!.dtype) || a - b)
  const begins: number[] = new Array(tensors.length)
  const root: Record<string, unknown> = Object.create(null)
  if (Object.keys(metadata).length > 0) root.__metadata__ = metadata
  let end = 0
  for (const i of order) {
    const { name, dtype, shape } = tensors[i]!
    const length = tensorBytes(dtype, shape)
    if (name in root || name === '__metadata__' || Number.isNaN(length)) {
      throw new WarpError(
        'internal',
        'SAFETENSORS_PLAN',
        `tensor ${name} [${shape}] of ${dtype} given twice or of no size`,
        { tensor: name },
        'this is a bug: please report it',
      )
    }
    begins[i] = end
    root[name] = { dtype, shape, data_offsets: [end, end + length] }
    end += length
  }
  const json = Buffer.from(JSON.stringify(root))
  const length = Math.ceil(json.length / 8) * 8
  const header = Buffer.alloc(8 + length, ' ')
  header.writeBigUInt64LE(BigInt(length), 0)
  json.copy(header, 8)
  return { header, offsets: begins.map((begin) => header.length + begin), fileSize: header.length + end }
}
