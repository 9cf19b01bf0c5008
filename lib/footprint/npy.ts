/** A float64 array as the bytes of a NumPy `.npy` file (format 1.0), row-major. */
export function npy(values: Float64Array, shape: number[]): Buffer {
  const tuple = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`
  const text = `{'descr': '<f8', 'fortran_order': False, 'shape': ${tuple}, }`
  const padded = text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 10 - 1) + '\n'
  const head = Buffer.alloc(10)
  head.write('\x93NUMPY\x01\x00', 'latin1')
  head.writeUInt16LE(padded.length, 8)
  return Buffer.concat([
    head,
    Buffer.from(padded, 'latin1'),
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
  ])
}
