import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Repeats } from '../../lib/select/dedupe.js'
import { overlapOf } from '../../lib/select/overlap.js'
import { unpackWindows, WindowPacker } from '../../lib/select/packed.js'
import { readShard, writeShard } from '../../lib/select/shards.js'
import { quotas } from '../../lib/select/strategies.js'
import { traceVectors } from '../../lib/select/features/trace.js'

const made: string[] = []
function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'warp-test-'))
  made.push(folder)
  return folder
}
afterAll(() => made.forEach((folder) => rmSync(folder, { recursive: true })))

test('quotas are as equal as the documents allow', () => {
  const group = Uint32Array.from([0, 0, 0, 0, 0, 1, 2, 2, 2, 2])
  const all = new Uint8Array(10).fill(1)
  expect(Array.from(quotas(group, all, 3, 6))).toEqual([3, 1, 2])
  expect(Array.from(quotas(group, all, 3, 10))).toEqual([5, 1, 4])
  expect(Array.from(quotas(group, all, 3, 2))).toEqual([1, 1, 0])
  all[5] = 0
  expect(Array.from(quotas(group, all, 3, 6))).toEqual([3, 0, 3])
  expect(Array.from(quotas(group, all, 3, 50))).toEqual([5, 0, 4])
})

test('repeated documents: the same but for case and blanks, or nearly the same', () => {
  const words = Array.from({ length: 60 }, (_, i) => `word${i}`)
  const text = words.join(' ')
  const nearly = [...words.slice(0, 59), 'other'].join(' ')
  const half = [...words.slice(0, 30), ...Array.from({ length: 30 }, (_, i) => `new${i}`)].join(' ')
  for (const how of ['exact', 'minhash'] as const) {
    const repeats = new Repeats(how)
    expect(repeats.has(text)).toBe(false)
    expect(repeats.has(`  ${text.toUpperCase()}\n`)).toBe(true)
    expect(repeats.has(nearly)).toBe(how === 'minhash') // 57 of 59 shingles in common
    expect(repeats.has(half)).toBe(false) // 28 of 88
  }
})

test('overlap of texts and of their words', () => {
  const overlap = overlapOf(['The cat sat.', 'a dog'], ['the CAT ran', 'a dog'])
  expect(overlap).toEqual({ exact: 1 / 3, vocabulary: 4 / 6, containment: 4 / 5 })
})

test('agreement with the trained tokens, weighted by how rare they are', async () => {
  // documents [0 1 2], [0 2 2], [0 3], [0 4]; 0 is in all of them and weighs nothing
  const ids = Uint32Array.from([0, 1, 2, 0, 2, 2, 0, 3, 0, 4])
  const state = Uint8Array.from([1, 1, 0, 2, 0])
  const { agreement, order, along, norm2, offsets, index } = await traceVectors(
    Float64Array.from([0, 3, 6, 8, 10]),
    ids,
    state,
  )
  const [rare, common] = [Math.log(4), Math.log(2)]
  expect(agreement[0]).toBeCloseTo(rare / (rare + common), 12)
  expect(Array.from(agreement.subarray(1))).toEqual([0, 0, 0])
  expect(Array.from(order)).toEqual(Array.from(agreement))
  expect(Array.from(offsets)).toEqual([0, 3, 5, 7, 9])
  expect(Array.from(index)).toEqual([0, 1, 2, 0, 2, 0, 3, 0, 4])
  expect(along[0]).toBeCloseTo(rare, 12)
  expect(norm2[0]).toBeCloseTo(rare ** 2 + common ** 2, 5)
})

test('of documents that agree wholly those come first that hold more and rarer trained tokens', async () => {
  // 0 is in all, 1 in three, 2 in one; all of these trained, 3 not
  const ids = Uint32Array.from([0, 1, 0, 1, 2, 0, 1, 3, 0, 3])
  const { agreement, order } = await traceVectors(
    Float64Array.from([0, 2, 5, 8, 10]),
    ids,
    Uint8Array.from([1, 1, 1, 0]),
  )
  expect(Array.from(agreement.subarray(0, 2))).toEqual([1, 1])
  const ranks = Array.from(order.keys()).sort((a, b) => order[b] - order[a])
  expect(ranks).toEqual([1, 0, 2, 3])
  expect(order[0]).toBeGreaterThan(1)
  expect(order[2]).toBe(agreement[2])
})

test('a shard gives back what it was written from, with the same bytes every time', async () => {
  const texts = ['one\ntwo', '', ' "quoted" \\ \u2028 \u{1f600}é', '[1]\n', 'plain']
  const windows = texts.map((text, i) => ({
    document: 7 + i,
    window: i % 2,
    from: 3 * i,
    to: 3 * i + text.length,
    source: `a "file", by name:${i + 1}`,
    prompt: i === 4 ? 3 : 0,
    text,
    label: i === 2 ? null : `label ${i}`,
  }))
  const sections = { offsets: Uint32Array.from([0, 1, 2, 3, 4, 5]), ids: Uint16Array.from([0, 1, 65535, 3, 4]) }
  const folders = [makeFolder(), makeFolder()]
  const pack = (): Buffer => {
    const packer = new WindowPacker(true)
    for (const window of windows) packer.add(window)
    return packer.finish()
  }
  for (const folder of folders) await writeShard(folder, { key: 'key', shard: 3 }, { packed: pack(), sections })
  const [one, two] = folders.map((folder) => readFileSync(join(folder, 'shard-000003.bin')))
  expect(one.equals(two)).toBe(true)
  const read = await readShard(folders[0], { key: 'key', shard: 3 })
  const { places, texts: kept } = unpackWindows(read.packed)
  expect(places.map((place, i) => ({ ...place, text: kept[i] }))).toEqual(windows)
  expect(read.sections).toEqual(sections)
  await expect(readShard(folders[0], { key: 'other', shard: 3 })).rejects.toMatchObject({ code: 'FEATURES_OTHER' })
})

test.each<[string, (header: string) => string]>([
  ['a space more', (header) => header.replace(',', ', ')],
  ['a key twice', (header) => header.replace('{', '{"shard":3,')],
  ['a mark of byte order', (header) => `\ufeff${header}`],
  ['another writing of a letter', (header) => header.replace('"key":', '"\\u006bey":')],
])('a shard whose header says the same with %s was changed', async (_, change) => {
  const folder = makeFolder()
  const own = { key: 'key', shard: 3 }
  await writeShard(folder, own, { packed: new WindowPacker(true).finish(), sections: {} })
  const file = join(folder, 'shard-000003.bin')
  const text = readFileSync(file, 'latin1')
  const end = text.indexOf('\n')
  const header = change(text.slice(0, end))
  expect(header).not.toBe(text.slice(0, end))
  writeFileSync(file, Buffer.concat([Buffer.from(header), Buffer.from(text.slice(end), 'latin1')]))
  await expect(readShard(folder, own)).rejects.toMatchObject({ code: 'FEATURES_DAMAGED' })
})
