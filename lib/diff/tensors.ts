import type { TensorEntry } from '../checkpoint/index.js'
import type { Spectrum, TensorSums } from '../native/diff-types.js'
import { placeOf, type Place } from './groups.js'

/** Bits of the fraction that a dtype stores; float64 is computed in float32. */
const fractionBits: Record<string, number> = { F64: 23, F32: 23, F16: 10, BF16: 7 }
const dtypeOfBits: Record<number, string> = { 23: 'F32', 10: 'F16', 7: 'BF16' }

/** Singular values that are reported at most. */
export const mostValues = 64

/** One tensor of a pair, from the sums of native code. */
export interface Measured {
  name: string
  place: Place
  shape: number[]
  elements: number
  dtypes: { base: string; reference: string }
  sums: TensorSums
  /** fraction bits that the values use: fewer than the dtype's where a coarser one was stored in it */
  bits: { base: number; reference: number }
  /** elements that changed by more than rounding explains */
  moved: number
  /** all that changed is explained by rounding */
  rounded: boolean
  /** the whole tensor is 1 + α times the base's, up to rounding; null where it is not */
  scale: number | null
  spectrum?: Spectral
}

export interface Spectral {
  values: number[]
  /** what rounding can give; a value above it is of the difference itself */
  floor: number
  /** the dtype whose rounding that is */
  dtype: string
  /** of the last pass: how far the values still moved */
  change: number
  passes: number
  /** where the spectrum ends among the reported values and before the matrix does; else null */
  rank: number | null
  /** (Σσ²)² / Σσ⁴, at least */
  effectiveRank: number
}

/** Bits of the fraction that occur in a set of float32 values, of those that the dtype has. */
function usedBits(bits: number, dtype: string): number {
  const used = (bits & 0xffff) === 0 ? 7 : (bits & 0x1fff) === 0 ? 10 : 23
  return Math.min(used, fractionBits[dtype] ?? 23)
}

/** Σ of the variances of one rounding to so many fraction bits, over the tensor's elements. */
const roundingVariance = ({ power2 }: TensorSums, bits: number): number => (power2 * 4 ** -bits) / 12

const coarsest = ({ bits }: Pick<Measured, 'bits'>): number => Math.min(bits.base, bits.reference)

/**
 * Whether every difference is at most half a spacing of the coarser precision. Where that is the base's, a training
 * with small steps gives that too; but then the differences do not fill the spacings as rounding does.
 */
function roundedOnly(sums: TensorSums, bits: Measured['bits']): boolean {
  const low = coarsest({ bits })
  if (bits.base === bits.reference || sums.maxRatio > 2 ** -(low + 1)) return false
  return bits.reference === low || sums.delta2 >= 0.5 * roundingVariance(sums, low)
}

/** The part of the squared difference that rounding of the reference accounts for, at most 1. */
export function roundingShare(tensor: Measured): number | null {
  const { delta2 } = tensor.sums
  if (!(delta2 > 0)) return null
  return tensor.rounded ? 1 : Math.min(1, roundingVariance(tensor.sums, tensor.bits.reference) / delta2)
}

/** ‖δ‖ / ‖base‖ */
export const relativeSize = ({ sums: { base2, delta2 } }: Measured): number | null =>
  base2 > 0 ? Math.sqrt(delta2 / base2) : delta2 > 0 ? null : 0

/** Cosine of the angle between the two tensors; null where one is zero. */
export function cosine({ sums: { base2, cross, delta2 } }: Measured): number | null {
  const reference2 = base2 + 2 * cross + delta2
  return base2 > 0 && reference2 > 0 ? Math.max(-1, Math.min(1, (base2 + cross) / Math.sqrt(base2 * reference2))) : null
}

/** Elements below which a direction says little. */
export const fewElements = 64

/**
 * Whether δ = αθ₀ up to rounding: of the squared difference at most a hundredth lies across the base, or at most one
 * and a half times what rounding gives, while α stands clear of it by five standard errors.
 */
function scaleOf(sums: TensorSums, elements: number, bits: number): number | null {
  const { base2, cross, delta2 } = sums
  if (elements < fewElements || !(base2 > 0) || !(delta2 > 0)) return null
  const along = (cross * cross) / base2
  const noise = roundingVariance(sums, bits)
  if (along < (25 * noise) / elements) return null
  return delta2 - along <= Math.max(0.01 * delta2, 1.5 * noise) ? cross / base2 : null
}

export function measure(sums: TensorSums, base: TensorEntry, reference: TensorEntry, table: string): Measured {
  const bits = {
    base: usedBits(sums.baseBits, base.dtype),
    reference: usedBits(sums.referenceBits, reference.dtype),
  }
  const rounded = sums.changed > 0 && roundedOnly(sums, bits)
  // by the stored types native code knows, by the values' own precision only this
  const beyond = bits.reference <= bits.base ? sums.moved : sums.changed
  const moved = rounded ? 0 : beyond
  const elements = reference.shape.reduce((product, size) => product * size, 1)
  return {
    name: sums.name,
    place: placeOf(sums.name, table),
    shape: reference.shape,
    elements,
    dtypes: { base: base.dtype, reference: reference.dtype },
    sums,
    bits,
    moved,
    rounded,
    scale: moved > 0 ? scaleOf(sums, elements, bits.reference) : null,
  }
}

/**
 * Rank and effective rank of a difference of which so many singular values were asked for. The noise is the reference's
 * own rounding, or, where that leaves no end in sight and the base was stored coarser than the reference, the base's.
 */
export function spectral(tensor: Measured, found: Spectrum, asked: number): Spectral {
  const all = Array.from(found.values)
  const full = Math.min(...tensor.shape)
  const endsAt = (floor: number): number | null => {
    const rank = all.filter((value) => value > floor).length
    return rank > 0 && rank <= asked && rank < full && rank < all.length ? rank : null
  }
  const floors = [tensor.bits.reference, coarsest(tensor)].map((bits) => ({
    bits,
    floor: found.rounding * 2 ** -bits + found.arithmetic,
  }))
  const { bits, floor } = floors.find((one) => endsAt(one.floor) !== null) ?? floors[0]
  const rank = endsAt(floor)
  return {
    values: all.slice(0, asked),
    floor,
    dtype: dtypeOfBits[bits],
    change: found.change,
    passes: found.passes,
    rank,
    effectiveRank: effectiveRank(rank === null ? all : all.slice(0, rank), rank === null ? tensor.sums.delta2 : 0),
  }
}

/** What lies behind the last of the values counts as if it were of its size: the least that the rank can be. */
function effectiveRank(values: number[], total: number): number {
  let second = 0
  let fourth = 0
  for (const value of values) {
    second += value ** 2
    fourth += value ** 4
  }
  const behind = Math.max(0, total - second)
  fourth += behind * (values.at(-1) ?? 0) ** 2
  return fourth > 0 ? (second + behind) ** 2 / fourth : 0
}
