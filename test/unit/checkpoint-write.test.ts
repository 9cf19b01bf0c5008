import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import {
  dtypeBits,
  fileSha256,
  readSafetensorsHeader,
  tensorBytes,
  writeFileAtomic,
  writeSafetensorsHeader,
  type Dtype,
} from '../../lib/checkpoint/index.js'
import { temporaryDirectory } from '../support/models.js'

const dir = temporaryDirectory()

describe('writeSafetensorsHeader', () => {
  const plan = fc.record({
    name: fc
      .string({ minLength: 1, maxLength: 20 })
      .filter((s) => !/[\u0000-\u001f\u007f-\u009f]/.test(s) && s !== '__metadata__'),
    dtype: fc.constantFrom<Dtype>('F64', 'F32', 'F16', 'BF16', 'I64', 'U8', 'BOOL'),
    shape: fc.array(fc.nat(4), { maxLength: 4 }),
  })

  test('what is written reads back: every tensor at its offset, aligned to its element', async () => {
    const file = join(dir, 'written.safetensors')
    const tensors = fc.uniqueArray(plan, { maxLength: 12, selector: (t) => t.name })
    await fc.assert(
      fc.asyncProperty(
        tensors,
        fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), { noNullPrototype: false }),
        async (list, metadata) => {
          const { header, offsets, fileSize } = writeSafetensorsHeader(list, metadata)
          writeFileSync(file, header)
          truncateSync(file, fileSize)
          const read = await readSafetensorsHeader(file)
          expect(header.length % 8).toBe(0)
          expect(read.dataStart).toBe(header.length)
          expect({ ...read.metadata }).toEqual({ ...metadata })
          expect(read.tensors).toHaveLength(list.length)
          for (const [i, t] of list.entries()) {
            const found = read.tensors.find((r) => r.storedName === t.name)!
            expect(found).toMatchObject({ dtype: t.dtype, shape: t.shape, offset: offsets[i] })
            expect(found.offset % (dtypeBits(t.dtype) / 8)).toBe(0)
          }
        },
      ),
      { numRuns: 200, seed: 1 },
    )
  })

  test('a name given twice and a size that overflows are our own mistakes', () => {
    const t = { name: 'a', dtype: 'F32', shape: [1] } as const
    expect(() => writeSafetensorsHeader([t, t])).toThrow(/twice/)
    expect(() => writeSafetensorsHeader([{ ...t, name: '__metadata__' }])).toThrow(/__metadata__/)
    expect(() => writeSafetensorsHeader([{ ...t, shape: [2 ** 40, 2 ** 40] }])).toThrow(/size/)
  })

  test('tensorBytes', () => {
    expect(tensorBytes('F32', [])).toBe(4)
    expect(tensorBytes('F32', [3, 0])).toBe(0)
    expect(tensorBytes('F6_E2M3', [4])).toBe(3)
    expect(tensorBytes('F6_E2M3', [3])).toBeNaN()
    expect(tensorBytes('U8', [2 ** 31, 2 ** 31])).toBeNaN()
  })
})

describe('writeFileAtomic', () => {
  test('writes text and bytes and leaves nothing else behind', async () => {
    const folder = join(dir, 'out')
    mkdirSync(folder)
    await writeFileAtomic(join(folder, 'a.json'), '{"é":1}')
    await writeFileAtomic(join(folder, 'b.bin'), Uint8Array.of(1, 2, 3))
    expect(readdirSync(folder).sort()).toEqual(['a.json', 'b.bin'])
    expect(readFileSync(join(folder, 'a.json'), 'utf8')).toBe('{"é":1}')
    expect([...readFileSync(join(folder, 'b.bin'))]).toEqual([1, 2, 3])
  })

  test('an existing file is kept without force and replaced with it', async () => {
    const file = join(dir, 'kept')
    writeFileSync(file, 'old')
    await expect(writeFileAtomic(file, 'new')).rejects.toMatchObject({ code: 'OUTPUT_EXISTS', details: { file } })
    expect(readFileSync(file, 'utf8')).toBe('old')
    await writeFileAtomic(file, 'new', { force: true })
    expect(readFileSync(file, 'utf8')).toBe('new')
  })

  test('of two at once without force, one wins and the other is refused', async () => {
    const file = join(dir, 'race')
    const results = await Promise.allSettled(['one', 'two'].map((text) => writeFileAtomic(file, text)))
    expect(results.map((r) => r.status).sort()).toEqual(['fulfilled', 'rejected'])
    const winner = results.findIndex((r) => r.status === 'fulfilled')
    expect(readFileSync(file, 'utf8')).toBe(['one', 'two'][winner])
  })

  test('a directory that is not there, or a directory in its place', async () => {
    await expect(writeFileAtomic(join(dir, 'absent', 'x'), '')).rejects.toMatchObject({
      code: 'OUTPUT_NOT_WRITABLE',
      exitCode: 4,
    })
    mkdirSync(join(dir, 'taken'))
    await expect(writeFileAtomic(join(dir, 'taken'), '', { force: true })).rejects.toMatchObject({
      code: 'OUTPUT_NOT_WRITABLE',
    })
    expect(readdirSync(dir).filter((name) => name.endsWith('.part'))).toEqual([])
  })
})

describe('fileSha256', () => {
  const file = join(dir, 'hashed')
  const bytes = Buffer.alloc(2_500_000, 'warp')
  writeFileSync(file, bytes)

  test('the digest of the bytes, with progress in bytes', async () => {
    const seen: number[] = []
    const digest = await fileSha256(file, { onProgress: ({ done, total }) => seen.push(done / total) })
    expect(digest).toBe(createHash('sha256').update(bytes).digest('hex'))
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect(seen.at(-1)).toBe(1)
    expect(statSync(file).size).toBe(bytes.length)
  })

  test('aborts with the reason of the signal', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    await expect(
      fileSha256(file, { signal: controller.signal, onProgress: () => controller.abort(reason) }),
    ).rejects.toBe(reason)
  })

  test('an empty file and a missing one', async () => {
    writeFileSync(join(dir, 'empty'), '')
    expect(await fileSha256(join(dir, 'empty'))).toBe(createHash('sha256').digest('hex'))
    await expect(fileSha256(join(dir, 'absent'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})
