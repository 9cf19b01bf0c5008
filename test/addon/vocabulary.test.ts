// Tables of different sizes: rows of shared tokens are compared, new ones come from the reference.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { merge } from '../../lib/merge/index.js'
import { recover } from '../../lib/recover.js'
import { fresh } from '../support/merging.js'
import {
  fixtureModel,
  readTensors,
  refused,
  safetensors,
  temporaryDirectory,
  type JsonRecord,
} from '../support/models.js'
import { makePair, wordPieceTokenizer } from '../support/pair.js'

const pair = makePair()
const table = 'bert.embeddings.word_embeddings.weight'
const [old, width] = [120, 36]

/** A fixture with `rows` rows for tokens: cut off, or with rows of ones, twos, … added. */
function sized(name: string, rows: number, tokenizer: object | undefined): string {
  const dir = join(temporaryDirectory(), 'model')
  cpSync(fixtureModel(name), dir, { recursive: true })
  const tensors = [...readTensors(join(dir, 'model.safetensors'))].map(([key, { shape, data }]) => {
    if (key !== table) return { name: key, shape, data: new Uint8Array(data.buffer) }
    const values = new Float32Array(rows * width)
    values.set((data as Float32Array).subarray(0, rows * width))
    for (let i = old * width; i < values.length; i++) values[i] = Math.floor(i / width) - old + 1
    return { name: key, shape: [rows, width], data: new Uint8Array(values.buffer) }
  })
  writeFileSync(join(dir, 'model.safetensors'), safetensors(tensors))
  const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as JsonRecord
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, vocab_size: rows }))
  if (tokenizer) writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer))
  return dir
}

/** The tokenizer with tokens added at the end. */
function grown(count: number): JsonRecord {
  const tokenizer = wordPieceTokenizer() as { added_tokens: object[]; model: { vocab: Record<string, number> } }
  const next = Object.keys(tokenizer.model.vocab).length
  const more = Array.from({ length: count }, (_, i) => ({
    id: next + i,
    content: `<new${i}>`,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }))
  return { ...tokenizer, added_tokens: [...tokenizer.added_tokens, ...more] }
}

const reference = sized('bert/reference', old + 3, grown(3))

test('new rows come from the reference, at every point; the others move', async () => {
  const output = fresh()
  const { notes } = await merge({ base: pair.base, reference, lambda: 0.25, output, threads: 2 })
  expect(notes.join('\n')).toMatch(/120 and 123 rows: 120 tokens have the same ids, 3 new rows come from the reference/)
  const [start, end, made] = [pair.base, reference, output].map(
    (dir) => readTensors(join(dir, 'model.safetensors')).get(table)!.data,
  )
  expect(made).toHaveLength((old + 3) * width)
  for (let i = 0; i < made!.length; i++) {
    if (i >= old * width) expect(made![i]).toBe(end![i])
    // one product and one sum in double precision, rounded once to float32
    else
      expect(Math.abs(made![i]! - (start![i]! + 0.25 * (end![i]! - start![i]!)))).toBeLessThanOrEqual(
        2 ** -23 * Math.abs(made![i]!),
      )
  }
})

test('scores along a grown vocabulary are those without the new rows', async () => {
  const options = { base: pair.base, probes: [pair.probes], points: 3, threads: 2, bootstrap: 20 }
  const plain = await recover({ ...options, reference: pair.reference })
  const found = await recover({ ...options, reference })
  // no probe has a new token, so every number is the same
  expect(found.alignment).toEqual(plain.alignment)
})

test('a smaller table: rows that were given up are left out', async () => {
  const output = fresh()
  const { notes } = await merge({
    base: pair.base,
    reference: sized('bert/reference', 112, wordPieceTokenizer()),
    lambda: 0.5,
    output,
    threads: 2,
  })
  expect(notes.join('\n')).toContain('8 were given up')
  expect(readTensors(join(output, 'model.safetensors')).get(table)!.shape).toEqual([112, width])
})

test('ids that differ, or a tokenizer that is missing: refused', async () => {
  const tokenizer = grown(3) as { model: { vocab: Record<string, number> } }
  const { vocab } = tokenizer.model
  const [a, b] = [vocab.cat!, vocab.dog!]
  Object.assign(vocab, { cat: b, dog: a })
  const moved = sized('bert/reference', old + 3, tokenizer)
  const run = (dir: string) => () =>
    merge({ base: pair.base, reference: dir, lambda: 0.5, output: fresh(), threads: 2 })
  expect((await refused(run(moved), 'PAIR_VOCABULARY')).message).toMatch(/id \d+ is "(cat|dog)" in the base/)
  rmSync(join(moved, 'tokenizer.json'))
  expect((await refused(run(moved), 'PAIR_VOCABULARY')).message).toContain('no tokenizer')
})
