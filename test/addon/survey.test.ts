import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import type { Handle, StoredTensor } from '../../lib/native/types.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'warp-survey-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Values = Record<string, { shape: number[]; dtype?: 'F32' | 'BF16'; values: Float32Array }>

/** Raw tensors one after the other; BF16 takes the upper halves of the floats. */
function open(name: string, tensors: Values): Handle {
  const parts: Buffer[] = []
  const table: StoredTensor[] = []
  let offset = 0
  for (const [key, { shape, dtype = 'F32', values }] of Object.entries(tensors)) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    const bytes =
      dtype === 'F32'
        ? Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength)
        : Buffer.from(Uint16Array.from(bits, (word) => word >>> 16).buffer)
    table.push({ name: key, dtype, shape, file: 0, offset })
    parts.push(bytes)
    offset += bytes.length
  }
  const file = join(folder, name)
  writeFileSync(file, Buffer.concat(parts))
  return addon().openWeights([file], table)
}
const survey = (base: Handle, reference: Handle) =>
  runTask((onProgress) => addon().survey(base, reference, 2, onProgress), 'survey', 'elements')

/** Small multiples of 1/64: exact in BF16 as well. */
const numbers = (count: number, step: number) =>
  Float32Array.from({ length: count }, (_, i) => (((i * step) % 97) - 48) / 64)

test('measures every shared tensor, whatever its dtype and length', async () => {
  const count = 70_003 // more than one block, and a tail
  const left = numbers(count, 31)
  const right = Float32Array.from(left, (value, i) => (i % 5 === 0 ? value + 1 / 64 : value))
  const base = open('a', {
    wide: { shape: [count], values: left },
    same: { shape: [3, 5], values: numbers(15, 7) },
    gone: { shape: [2], values: numbers(2, 1) },
    other: { shape: [2, 3], values: numbers(6, 1) },
  })
  const reference = open('b', {
    wide: { shape: [count], dtype: 'BF16', values: right },
    same: { shape: [3, 5], values: numbers(15, 7) },
    new: { shape: [2], values: numbers(2, 1) },
    other: { shape: [3, 2], values: numbers(6, 1) },
  })
  const tensors = await survey(base, reference)
  expect(tensors.map((tensor) => tensor.name)).toEqual(['same', 'wide'])
  const changed = Math.ceil(count / 5)
  // every value and square is a multiple of 2^-12 below 2^17: the sums are exact in any order
  const norm = Math.sqrt(left.reduce((sum, value) => sum + value * value, 0))
  expect(tensors[1]).toEqual({
    name: 'wide',
    norm,
    deltaNorm: Math.sqrt(changed) / 64,
    maxDelta: 1 / 64,
    changed,
    moved: changed,
    nonFinite: null,
  })
  expect(tensors[0]).toMatchObject({ deltaNorm: 0, maxDelta: 0, changed: 0, nonFinite: null })
})

test('a change within the rounding of the coarser dtype is no move', async () => {
  // above the multiples of 1/64 by less than BF16 tells
  const fine = numbers(70_000, 3).map((value) => value + 2 ** -20)
  const stored = numbers(70_000, 3) // which is what truncation makes of it, and rounding where |value| ≥ 1/64
  stored[66_666] += 1 / 64
  const values = { shape: [70_000], values: fine }
  const [tensor] = await survey(
    open('g', { w: values }),
    open('h', { w: { shape: [70_000], dtype: 'BF16', values: stored } }),
  )
  const zeros = fine.filter((value) => value === 2 ** -20).length
  expect(tensor).toMatchObject({ changed: 70_000, moved: 1 + zeros })
  const [swapped] = await survey(
    open('h', { w: { shape: [70_000], dtype: 'BF16', values: stored } }),
    open('g', { w: values }),
  )
  expect(swapped).toMatchObject({ changed: 70_000, moved: 1 + zeros })
})

test('finds the first value that is not finite, in the base first', async () => {
  const clean = numbers(70_000, 3)
  const dirty = clean.slice()
  dirty[66_001] = NaN
  dirty[66_002] = Infinity
  const infinite = clean.slice()
  infinite[69_999] = -Infinity
  const shape = [70_000]
  const cleanHandle = open('c', { w: { shape, values: clean } })
  const place = async (base: Handle, reference: Handle) => (await survey(base, reference))[0].nonFinite
  expect(await place(cleanHandle, open('d', { w: { shape, values: dirty } }))).toEqual({
    side: 'reference',
    index: 66_001,
  })
  expect(
    await place(open('e', { w: { shape, values: infinite } }), open('d', { w: { shape, values: dirty } })),
  ).toEqual({ side: 'base', index: 69_999 })
  expect(
    await place(open('e', { w: { shape, values: infinite } }), open('e', { w: { shape, values: infinite } })),
  ).toEqual({ side: 'base', index: 69_999 })
})

test('stops when asked to', async () => {
  const handle = open('f', { w: { shape: [70_000], values: numbers(70_000, 3) } })
  const controller = new AbortController()
  controller.abort(new Error('enough'))
  await expect(
    runTask((onProgress) => addon().survey(handle, handle, 2, onProgress), 'survey', 'elements', {
      signal: controller.signal,
    }),
  ).rejects.toThrow('enough')
})
