const bits = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  C64: 64,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const

/** Every element type of the safetensors format. */
export type Dtype = keyof typeof bits
/** The element types that weights may have here; the eight-bit ones are read as F16, which holds them exactly. */
export type WeightDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2'

export const dtypeNames = Object.keys(bits) as Dtype[]

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(bits, name)
}

export function isWeightDtype(dtype: Dtype): dtype is WeightDtype {
  return /^(F64|F32|F16|BF16|F8_E4M3|F8_E5M2)$/.test(dtype)
}

/** Counters and masks: they are copied, never interpolated. */
export function isIntegerDtype(dtype: Dtype): boolean {
  return /^[IU]\d+$|^BOOL$/.test(dtype)
}

/** Bits of one element (sub-byte types exist). */
export function dtypeBits(dtype: Dtype): number {
  return bits[dtype]
}

/**
 * Bytes of a tensor.
 * @returns NaN when the count of elements or bits exceeds 2^53, or when the bits do not fill whole bytes
 */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number {
  let total = bits[dtype]
  // A zero anywhere makes the tensor empty, but the product of the others must still be representable.
  for (const size of shape) if (size > 0) total *= size
  if (!Number.isSafeInteger(total)) return NaN
  if (shape.includes(0)) return 0
  return total % 8 === 0 ? total / 8 : NaN
}
