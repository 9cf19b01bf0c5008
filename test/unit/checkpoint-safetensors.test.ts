import { open, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import { assertUnchanged, dtypeBits, dtypeNames, readSafetensorsHeader } from '../../lib/checkpoint/index.js'
import { readHeader } from '../../lib/checkpoint/header.js'
import { container, readGolden, refused, safetensors, temporaryDirectory } from '../support/models.js'

const dir = temporaryDirectory()
let count = 0

async function file(bytes: Uint8Array): Promise<string> {
  const path = join(dir, `${count++}.safetensors`)
  await writeFile(path, bytes)
  return path
}

const read = async (bytes: Uint8Array) => readSafetensorsHeader(await file(bytes))
const entry = (dtype: string, shape: string, offsets: string, more = ''): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}${more}}`
const data = (length: number): Buffer => Buffer.alloc(length, 7)

describe('what is accepted', () => {
  test('no tensors', async () => {
    expect(await read(container('{}'))).toEqual({ tensors: [], metadata: {}, fileSize: 10, dataStart: 10 })
  })

  test('scalars and tensors without elements', async () => {
    const header = await read(
      container(`{"a":${entry('F32', '[]', '[0,4]')},"b":${entry('F64', '[3,0,2]', '[4,4]')}}`, data(4)),
    )
    expect(header.tensors.map((t) => [t.storedName, t.shape, t.length])).toEqual([
      ['a', [], 4],
      ['b', [3, 0, 2], 0],
    ])
  })

  test('any order in the header; the result is in the order of the data, offsets count from the start', async () => {
    const header = await read(
      container(`{"b":${entry('U8', '[2]', '[3,5]')},"a":${entry('I8', '[3]', '[0,3]')}}`, data(5)),
    )
    expect(header.tensors.map((t) => [t.storedName, t.offset - header.dataStart])).toEqual([
      ['a', 0],
      ['b', 3],
    ])
    expect(header.dataStart + 5).toBe(header.fileSize)
  })

  test('data that is not aligned to its elements', async () => {
    const header = await read(
      container(`{"a":${entry('U8', '[1]', '[0,1]')},"b":${entry('F64', '[1]', '[1,9]')}}`, data(9)),
    )
    expect(header.tensors[1]!.length).toBe(8)
  })

  test('white space around the header, however much', async () => {
    expect((await read(container(` \n\t\r{}${' '.repeat(1000)}`))).tensors).toEqual([])
    expect((await read(container(`${' '.repeat(1000)}{}`))).tensors).toEqual([])
  })

  test('__metadata__ with strings, empty, or null', async () => {
    expect((await read(container('{"__metadata__":{"format":"pt"}}'))).metadata).toEqual({ format: 'pt' })
    expect((await read(container('{"__metadata__":{}}'))).metadata).toEqual({})
    expect((await read(container('{"__metadata__":null}'))).metadata).toEqual({})
  })

  test('names with escapes, beyond the BMP, or of object properties', async () => {
    const names = ['toString', 'a"b\\', '層.0', '😀']
    const header = await read(safetensors(names.map((name) => ({ name, dtype: 'U8', shape: [1] }))))
    expect(header.tensors.map((t) => t.storedName)).toEqual(names)
    const own = await read(container(`{"__proto__":${entry('U8', '[1]', '[0,1]')}}`, data(1)))
    expect(own.tensors.map((t) => t.storedName)).toEqual(['__proto__'])
  })

  test('every element type of the format, eight elements each', async () => {
    expect(dtypeNames).toHaveLength(22)
    for (const dtype of dtypeNames) {
      const bytes = dtypeBits(dtype)
      const header = await read(container(`{"a":${entry(dtype, '[8]', `[0,${bytes}]`)}}`, data(bytes)))
      expect(header.tensors[0]!.dtype).toBe(dtype)
    }
  })

  test('a file made by the reference writer', () => {
    expect([...readGolden('bert').keys()]).toContain('scores64')
  })
})

type Row = [what: string, code: string, bytes: Uint8Array]
const one = (text: string, size = 4): Buffer => container(`{"a":${text}}`, data(size))
const two = (a: string, b: string, size: number): Buffer =>
  container(`{"a":${entry('U8', '[2]', a)},"b":${entry('U8', '[2]', b)}}`, data(size))
const lengthOnly = (length: bigint, rest = 0): Buffer => {
  const bytes = Buffer.alloc(8 + rest)
  bytes.writeBigUInt64LE(length)
  return bytes
}

const rows: Row[] = [
  ['an empty file', 'SAFETENSORS_TOO_SHORT', Buffer.alloc(0)],
  ['seven bytes', 'SAFETENSORS_TOO_SHORT', Buffer.alloc(7)],
  ['header length 0', 'SAFETENSORS_HEADER_EMPTY', lengthOnly(0n)],
  ['header length beyond the file', 'SAFETENSORS_HEADER_TRUNCATED', lengthOnly(11n, 10)],
  ['header length above the limit', 'SAFETENSORS_HEADER_TOO_LARGE', lengthOnly(100_000_001n)],
  ['header length 2^64 - 1', 'SAFETENSORS_HEADER_TOO_LARGE', lengthOnly(2n ** 64n - 1n, 100)],
  [
    'a Git-LFS pointer',
    'SAFETENSORS_LFS_POINTER',
    Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'),
  ],
  ['a web page', 'SAFETENSORS_HTML', Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>')],
  ['a ZIP archive', 'SAFETENSORS_ZIP', Buffer.from('PK\x03\x04\x00\x00\x08\x08 archive/data.pkl')],
  ['a pickle', 'SAFETENSORS_PICKLE', Buffer.from('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.', 'latin1')],
  ['GGUF', 'SAFETENSORS_GGUF', Buffer.from('GGUF\x03\0\0\0\0\0\0\0\0\0\0\0')],
  ['a header that is not UTF-8', 'SAFETENSORS_NOT_UTF8', container(Buffer.from('{"\xff":1}', 'latin1'))],
  ['a header that is not JSON', 'SAFETENSORS_NOT_JSON', container('{a:1}')],
  ['text after the header', 'SAFETENSORS_NOT_JSON', container('{}x')],
  ['NUL padding', 'SAFETENSORS_NOT_JSON', container('{}\0\0')],
  ['a byte-order mark', 'SAFETENSORS_NOT_JSON', container('\ufeff{}')],
  ['a truncated header', 'SAFETENSORS_NOT_JSON', container('{"a":{"dtype":"F32"')],
  ['a header that ends in a string', 'SAFETENSORS_NOT_JSON', container('{"a')],
  [
    'an unpaired surrogate in a name',
    'SAFETENSORS_NOT_JSON',
    container(`{"\\ud800":${entry('F32', '[1]', '[0,4]')}}`, data(4)),
  ],
  ['a header nested without end', 'SAFETENSORS_NOT_JSON', container(`{"a":${'['.repeat(100_000)}`)],
  ['a list', 'SAFETENSORS_NOT_OBJECT', container('[]')],
  ['a string', 'SAFETENSORS_NOT_OBJECT', container('"tensors"')],
  [
    'a tensor given twice',
    'SAFETENSORS_DUPLICATE_KEY',
    container(`{"a":${entry('U8', '[1]', '[0,1]')},"a":${entry('U8', '[1]', '[0,1]')}}`, data(1)),
  ],
  [
    'a tensor given twice, once with an escape',
    'SAFETENSORS_DUPLICATE_KEY',
    container(`{"a":${entry('U8', '[1]', '[0,1]')},"\\u0061":${entry('U8', '[1]', '[0,1]')}}`, data(1)),
  ],
  ['a field given twice', 'SAFETENSORS_DUPLICATE_KEY', one(entry('F32', '[1]', '[0,4]', ',"dtype":"F32"'))],
  ['metadata given twice', 'SAFETENSORS_DUPLICATE_KEY', container('{"__metadata__":{"k":"1","k":"2"}}')],
  ['__metadata__ with a number', 'SAFETENSORS_METADATA', container('{"__metadata__":{"k":1}}')],
  ['__metadata__ with an object', 'SAFETENSORS_METADATA', container('{"__metadata__":{"k":{}}}')],
  ['__metadata__ that is a list', 'SAFETENSORS_METADATA', container('{"__metadata__":[]}')],
  ['NUL in a name', 'SAFETENSORS_NAME', container(`{"a\\u0000":${entry('U8', '[1]', '[0,1]')}}`, data(1))],
  ['a line break in a name', 'SAFETENSORS_NAME', container(`{"a\\nb":${entry('U8', '[1]', '[0,1]')}}`, data(1))],
  [
    'a raw control character in a name',
    'SAFETENSORS_NOT_JSON',
    container(`{"a\tb":${entry('U8', '[1]', '[0,1]')}}`, data(1)),
  ],
  [
    'a name of 1025 bytes',
    'SAFETENSORS_NAME',
    container(`{"${'n'.repeat(1025)}":${entry('U8', '[1]', '[0,1]')}}`, data(1)),
  ],
  ['an entry that is a list', 'SAFETENSORS_ENTRY', one('[]')],
  ['an entry that is null', 'SAFETENSORS_ENTRY', one('null')],
  ['a missing dtype', 'SAFETENSORS_FIELD_MISSING', one('{"shape":[1],"data_offsets":[0,4]}')],
  ['a missing shape', 'SAFETENSORS_FIELD_MISSING', one('{"dtype":"F32","data_offsets":[0,4]}')],
  ['missing offsets', 'SAFETENSORS_FIELD_MISSING', one('{"dtype":"F32","shape":[1]}')],
  ['an unknown field', 'SAFETENSORS_FIELD_UNKNOWN', one(entry('F32', '[1]', '[0,4]', ',"strides":[1]'))],
  ['an unknown dtype', 'SAFETENSORS_DTYPE_UNKNOWN', one(entry('F33', '[1]', '[0,4]'))],
  ['a dtype in lower case', 'SAFETENSORS_DTYPE_UNKNOWN', one(entry('f32', '[1]', '[0,4]'))],
  ['a dtype named like an object property', 'SAFETENSORS_DTYPE_UNKNOWN', one(entry('constructor', '[1]', '[0,4]'))],
  ['a dtype that is a number', 'SAFETENSORS_DTYPE_UNKNOWN', one('{"dtype":32,"shape":[1],"data_offsets":[0,4]}')],
  ['a negative size', 'SAFETENSORS_SHAPE', one(entry('F32', '[-1]', '[0,4]'))],
  ['a fractional size', 'SAFETENSORS_SHAPE', one(entry('F32', '[1.5]', '[0,4]'))],
  ['a size written as a float', 'SAFETENSORS_SHAPE', one(entry('F32', '[1.0]', '[0,4]'))],
  ['a size with an exponent', 'SAFETENSORS_SHAPE', one(entry('F32', '[1e0]', '[0,4]'))],
  ['a size that is a string', 'SAFETENSORS_SHAPE', one(entry('F32', '["1"]', '[0,4]'))],
  ['a shape that is a number', 'SAFETENSORS_SHAPE', one(entry('F32', '1', '[0,4]'))],
  ['a size above 2^53', 'SAFETENSORS_INTEGER_TOO_LARGE', one(entry('F32', '[9007199254740993]', '[0,4]'))],
  ['three offsets', 'SAFETENSORS_OFFSETS', one(entry('F32', '[1]', '[0,4,4]'))],
  ['a negative offset', 'SAFETENSORS_OFFSETS', one(entry('F32', '[1]', '[-4,0]'))],
  ['offsets that are null', 'SAFETENSORS_OFFSETS', one(entry('F32', '[1]', 'null'))],
  ['an offset above 2^53', 'SAFETENSORS_INTEGER_TOO_LARGE', one(entry('F32', '[1]', '[0,18446744073709551615]'))],
  ['a product above 2^53', 'SAFETENSORS_SIZE_OVERFLOW', one(entry('F32', '[4294967296,4294967296]', '[0,4]'))],
  [
    'an overflow hidden by a zero',
    'SAFETENSORS_SIZE_OVERFLOW',
    one(entry('F32', '[4294967296,4294967296,0]', '[0,0]'), 0),
  ],
  ['bits that do not fill bytes', 'SAFETENSORS_SIZE_OVERFLOW', one(entry('F4', '[3]', '[0,2]'), 2)],
  ['end before begin', 'SAFETENSORS_OFFSETS_REVERSED', one(entry('F32', '[1]', '[4,0]'))],
  ['a first offset that is not 0', 'SAFETENSORS_FIRST_OFFSET', one(entry('F32', '[1]', '[4,8]'), 8)],
  ['a hole', 'SAFETENSORS_HOLE', two('[0,2]', '[3,5]', 5)],
  ['an overlap', 'SAFETENSORS_OVERLAP', two('[0,2]', '[1,3]', 3)],
  ['the same bytes twice', 'SAFETENSORS_OVERLAP', two('[0,2]', '[0,2]', 2)],
  [
    'a tensor without elements inside another',
    'SAFETENSORS_OVERLAP',
    container(`{"a":${entry('U8', '[2]', '[0,2]')},"z":${entry('U8', '[0]', '[1,1]')}}`, data(2)),
  ],
  ['fewer bytes than the shape needs', 'SAFETENSORS_SIZE_MISMATCH', one(entry('F32', '[2]', '[0,4]'))],
  ['more bytes than the shape needs', 'SAFETENSORS_SIZE_MISMATCH', one(entry('F32', '[1]', '[0,8]'), 8)],
  ['bytes missing at the end', 'SAFETENSORS_DATA_MISSING', one(entry('F32', '[2]', '[0,8]'), 7)],
  ['bytes after the end', 'SAFETENSORS_DATA_TRAILING', one(entry('F32', '[1]', '[0,4]'), 5)],
  ['bytes after a header without tensors', 'SAFETENSORS_DATA_TRAILING', container('{}', data(1))],
]

describe('what is refused', () => {
  test.each(rows)('%s: %s', async (_, code, bytes) => {
    const error = await refused(() => read(bytes), code)
    const { details } = error
    expect(error.message).toContain(details.file)
    // where: the header, a tensor, or the file's size
    expect(details.offset ?? details.tensor ?? details.found).toBeDefined()
  })

  test('too many tensors', async () => {
    const entries = Array.from({ length: 200_001 }, (_, i) => `"${i}":${entry('U8', '[0]', '[0,0]')}`)
    await refused(() => read(container(`{${entries.join(',')}}`)), 'SAFETENSORS_TOO_MANY_TENSORS')
  })

  test('byte offsets in errors count bytes, not characters', async () => {
    const text = '{"é😀":x}'
    const error = await refused(() => read(container(text)), 'SAFETENSORS_NOT_JSON')
    expect(error.details.offset).toBe(8 + Buffer.from('{"é😀":').length)
    const broken = Buffer.concat([Buffer.from('{"é":"'), Buffer.from([0xe9]), Buffer.from('"}')])
    expect((await refused(() => read(container(broken)), 'SAFETENSORS_NOT_UTF8')).details.offset).toBe(8 + 7)
  })

  test('a missing file, a directory, a pipe', async () => {
    await refused(() => readSafetensorsHeader(join(dir, 'absent')), 'FILE_NOT_FOUND')
    await refused(() => readSafetensorsHeader(dir), 'FILE_NOT_REGULAR')
    const pipe = join(dir, 'pipe')
    execFileSync('mkfifo', [pipe])
    await refused(() => readSafetensorsHeader(pipe), 'FILE_NOT_REGULAR')
  })

  test('a file that shrinks while it is read', async () => {
    const path = await file(container(`{${' '.repeat(600)}}`))
    const handle = await open(path)
    await truncate(path, 100)
    await refused(() => readHeader(handle, path, 610), 'FILE_CHANGED')
    await handle.close()
  })

  test('a file that changes between two looks', async () => {
    const path = await file(container('{}'))
    const before = { path, size: 10, mtimeMs: (await stat(path)).mtimeMs }
    await assertUnchanged([before])
    await writeFile(path, container('{ }'))
    await refused(() => assertUnchanged([before]), 'FILE_CHANGED')
    await rm(path)
    await refused(() => assertUnchanged([before]), 'FILE_CHANGED')
  })
})

test('random bytes never crash or hang the reader, they are refused', async () => {
  const good = safetensors(
    [
      { name: 'a.weight', shape: [2, 3] },
      { name: 'b', dtype: 'I64', shape: [1] },
    ],
    { format: 'pt' },
  )
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.boolean(), async (at, byte, cut) => {
      const bytes = cut ? good.subarray(0, at) : Buffer.from(good)
      if (!cut) bytes[at] = byte
      const header = await read(bytes).catch((error) => error)
      if ('code' in header) return /^SAFETENSORS_/.test(header.code)
      // what is still accepted covers the file exactly
      return (
        header.tensors.reduce((sum: number, t: { length: number }) => sum + t.length, header.dataStart) === bytes.length
      )
    }),
    { numRuns: 500, seed: 1 },
  )
})
