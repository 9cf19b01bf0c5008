import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { repositoryRoot } from './shared.js'

/** The tables of test/fixtures/trace/make.py. */
export const vocabulary = 2000,
  positions = 48,
  hidden = 32

export interface Training {
  name: string
  tokens: number[]
  longest: number
}

const folder = join(repositoryRoot, 'test/fixtures/trace')
export const trainings = (): Training[] => JSON.parse(readFileSync(join(folder, 'trainings.json'), 'utf8'))

/** 24 random bits for each element, between −1/32 and 1/32; the script has the same. */
export function baseValues(count: number, salt: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    let x = Math.imul(i + salt * 2 ** 24, 2654435761)
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
    x ^= x >>> 16
    return ((x >>> 8) - 2 ** 23) * 2 ** -28
  })
}

/** Base values moved by a fixture's differences from its `from`th on: four planes of bytes, the lowest first. */
export function moveBits(base: Float32Array, planes: Uint8Array, from: number): Float32Array {
  const bits = new Int32Array(base.slice().buffer),
    count = planes.length / 4
  for (let i = 0; i < bits.length; i++) {
    const at = from + i
    bits[i] += planes[at] | (planes[count + at] << 8) | (planes[2 * count + at] << 16) | (planes[3 * count + at] << 24)
  }
  return new Float32Array(bits.buffer)
}

/** The trained token and position tables of one training, as PyTorch left them. */
export function trainedTables(name: string): { tokens: Float32Array; positions: Float32Array } {
  const planes = gunzipSync(readFileSync(join(folder, `${name}.bin.gz`)))
  const restore = (base: Float32Array, from: number): Float32Array => moveBits(base, planes, from)
  return {
    tokens: restore(baseValues(vocabulary * hidden, 1), 0),
    positions: restore(baseValues(positions * hidden, 2), vocabulary * hidden),
  }
}

/** Rounds to the nearest number with so many fraction bits (10: half, 7: bfloat), ties to even, as stored. */
export function stored(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Float32Array {
  if (dtype === 'F32') return values
  const bits = dtype === 'F16' ? 10 : 7
  return values.map((value) => {
    if (value === 0) return value
    const exponent = Math.max(Math.floor(Math.log2(Math.abs(value))), dtype === 'F16' ? -14 : -126)
    const unit = 2 ** (exponent - bits)
    const scaled = value / unit,
      low = Math.floor(scaled),
      rest = scaled - low
    return (rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low) * unit
  })
}

/** `rowSums` by its definition. */
export function naiveSums(
  base: Float32Array,
  reference: Float32Array,
  columns: number,
  alpha: number,
  dtype: 'F32' | 'F16' | 'BF16',
): Float64Array {
  const fraction = { F32: 23, F16: 10, BF16: 7 }[dtype]
  const sums = new Float64Array((base.length / columns) * 8)
  for (let i = 0; i < base.length; i++) {
    const row = Math.floor(i / columns) * 8
    const spacing = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(reference[i]), 2 ** -14))) - fraction)
    const residual = reference[i] - base[i] - alpha * base[i]
    const error = residual / spacing,
      scale = base[i] / spacing
    const terms = [residual ** 2, residual * base[i], base[i] ** 2, error ** 2, error * scale, scale ** 2]
    terms.forEach((term, k) => {
      sums[row + k] += term
    })
    sums[row + 6] = Math.max(sums[row + 6], Math.abs(error))
  }
  return sums
}
