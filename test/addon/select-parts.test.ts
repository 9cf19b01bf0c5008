// Features of parts of a corpus, made apart and gathered: the bytes and picks of one run over the whole.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withClaim } from '../../lib/claim.js'
import type { Executor, ExecutorRun } from '../../lib/lab/index.js'
import { mergeSelection, select, selectPart, type SelectOptions } from '../../lib/select/index.js'
import { warp, type ErrorDocument } from '../support/command.js'
import { temporaryDirectory as folder } from '../support/models.js'
import { makePair, pairLabels, pairText, type TestPair } from '../support/pair.js'
import { featureDigests } from '../support/select.js'

let pair: TestPair
let corpus: string
beforeAll(() => {
  pair = makePair('bert')
  corpus = join(pair.folder, 'corpus.jsonl')
  const texts = Array.from({ length: 4500 }, (_, i) => ({ text: pairText(pairLabels[i % 3], i) }))
  writeFileSync(corpus, texts.map((one) => `${JSON.stringify(one)}\n`).join(''))
})
afterAll(() => rmSync(pair.folder, { recursive: true, force: true }))

/** Labels are drawn by a window's number over the whole corpus. */
const options = (output: string, more: Partial<SelectOptions> = {}): SelectOptions => ({
  ...{ base: pair.base, reference: pair.reference, corpus: [corpus], output, count: 25, window: 16 },
  ...{ features: 'head', strategy: 'greedy', labels: 'random', seed: 5, lambdas: [0.5], threads: 1, ...more },
})
const digests = (output: string): Record<string, string> => featureDigests(output, /^shard-/)
const partFile = (output: string, part: number, parts: number): string =>
  join(output, 'features', `part-000${part}-of-000${parts}.json`)

let whole: string
let expected: Awaited<ReturnType<typeof select>>
beforeAll(async () => {
  whole = folder()
  expected = await select(options(whole))
})

/** Runs no task but the first, as far as anybody can tell. */
class Flaky implements Executor {
  readonly name = 'flaky'
  readonly asked: number[][] = []
  async run({ tasks, lab, onEnd }: ExecutorRun): Promise<void> {
    this.asked.push(tasks)
    for (const index of tasks) {
      if (index > 0) onEnd({ index, error: { code: 'TRIAL_PROCESS_DIED', message: 'gone' } })
      else {
        await selectPart(options(lab), { index, of: 3 })
        onEnd({ index })
      }
    }
  }
}

test('tasks: the same bytes and picks; what was stopped goes on; the dead are asked once more', async () => {
  const output = folder()
  const flaky = new Flaky()
  await expect(select(options(output, { shards: 3, executor: flaky }))).rejects.toMatchObject({
    code: 'PART_FAILED',
    message: expect.stringContaining('shard 1 of 3: gone') as string,
  })
  expect(flaky.asked).toEqual([
    [0, 1, 2],
    [1, 2],
  ])
  expect(Object.keys(digests(output))).toEqual(['shard-000000.bin', 'shard-000003.bin'])
  const said: number[] = []
  const onProgress = ({ phase, done }: { phase: string; done: number }): void =>
    void (phase === 'parts' && said.push(done))
  const found = await select(options(output, { shards: 3, workers: 2, onProgress }))
  expect(said).toEqual([0, 1, 2, 3])
  expect(found.documents).toEqual(expected.documents)
  expect(found.result.reused).toBe(2)
  expect(digests(output)).toEqual(digests(whole))
  const { windows, documents, cosine, counts } = expected.result
  expect(found.result).toMatchObject({ windows, documents, cosine, counts })
  // a run over the whole takes them as its own
  const again = await select(options(output))
  expect(again.result.reused).toBe(5)
})

test('more tasks than shards', async () => {
  const output = folder()
  for (let index = 0; index < 7; index++) {
    const { own } = await selectPart(options(output), { index, of: 7 })
    expect(own).toBe(index < 5 ? 1 : 0)
  }
  const found = await mergeSelection({ parts: [output], output, count: 25, strategy: 'greedy' })
  expect(found.documents).toEqual(expected.documents)
})

describe('parts in folders of their own', () => {
  const apart: string[] = []
  beforeAll(async () => {
    for (const index of [0, 1]) {
      apart.push(folder())
      await selectPart(options(apart[index]), { index, of: 2 })
    }
  })
  const copy = (output: string): string => {
    const other = folder()
    cpSync(output, other, { recursive: true })
    return other
  }
  const merged = (parts: string[], output = folder()) =>
    mergeSelection({ parts, output, count: 25, strategy: 'greedy' })

  test('are selected over together, as if they were one', async () => {
    const output = folder()
    const { documents, result } = await merged([apart[1], apart[0]], output)
    expect(documents).toEqual(expected.documents)
    expect(digests(output)).toEqual(digests(whole))
    expect(result.reused).toBe(5)
    const other = await mergeSelection({ parts: apart, output, count: 7, strategy: 'topk' })
    expect(other.documents).toEqual((await select(options(whole, { count: 7, strategy: 'topk' }))).documents)
  })

  test('those that are missing are named', async () => {
    await expect(merged([apart[0]])).rejects.toMatchObject({
      code: 'PARTS_MISSING',
      message: expect.stringContaining('shards 1 of 2') as string,
    })
    await expect(merged([folder()])).rejects.toMatchObject({ code: 'PARTS_MISSING' })
    const cut = copy(apart[1])
    rmSync(join(cut, 'features', 'shard-000003.bin'))
    await expect(merged([apart[0], cut])).rejects.toMatchObject({
      code: 'FEATURES_MISSING',
      details: { file: join(cut, 'features', 'shard-000003.bin') },
    })
  })

  test('those of another path, corpus, number or models are refused', async () => {
    const path = folder()
    await selectPart(options(path, { lambdas: [0.4] }), { index: 1, of: 2 })
    await expect(merged([apart[0], path])).rejects.toMatchObject({
      code: 'PARTS_DIFFER',
      details: { file: partFile(path, 1, 2) },
    })
    const texts = folder()
    const other = join(pair.folder, 'other.jsonl')
    writeFileSync(other, readFileSync(corpus, 'utf8').replace('{"text":"', '{"text":"old '))
    await selectPart(options(texts, { corpus: [other] }), { index: 1, of: 2 })
    await expect(merged([apart[0], texts])).rejects.toMatchObject({
      code: 'PARTS_DIFFER',
      message: expect.stringContaining('the corpus') as string,
    })
    const number = folder()
    await selectPart(options(number), { index: 1, of: 3 })
    await expect(merged([apart[0], number])).rejects.toMatchObject({ code: 'PARTS_DIFFER' })
    const swapped = { base: pair.reference, reference: pair.base }
    const run = mergeSelection({ parts: apart, output: folder(), count: 25, ...swapped })
    await expect(run).rejects.toMatchObject({ code: 'FEATURES_OTHER' })
  })

  test('shards that were changed, or are of another corpus, are refused', async () => {
    const damaged = copy(apart[1])
    const file = join(damaged, 'features', 'shard-000001.bin')
    const bytes = readFileSync(file)
    bytes[bytes.length - 3] ^= 1
    writeFileSync(file, bytes)
    await expect(merged([apart[0], damaged])).rejects.toMatchObject({ code: 'FEATURES_DAMAGED' })
    const edited = copy(apart[1])
    const document = readFileSync(partFile(edited, 1, 2), 'utf8')
    writeFileSync(partFile(edited, 1, 2), document.replace('"split":0', '"split":1'))
    await expect(merged([apart[0], edited])).rejects.toMatchObject({ code: 'PART_EDITED' })
    const old = folder()
    const other = join(pair.folder, 'reversed.jsonl')
    writeFileSync(other, readFileSync(corpus, 'utf8').trim().split('\n').reverse().join('\n'))
    await select(options(old, { corpus: [other] }))
    await expect(merged(apart, old)).rejects.toMatchObject({ code: 'FEATURES_OTHER' })
  })

  test('one process at a time makes a part', async () => {
    const output = folder()
    const held = join(output, 'features', 'part-0001-of-0002')
    mkdirSync(held, { recursive: true })
    await withClaim(held, {}, async () => {
      await selectPart(options(output), { index: 0, of: 2 })
      await expect(selectPart(options(output), { index: 1, of: 2 })).rejects.toMatchObject({ code: 'OUTPUT_BUSY' })
    })
  })
})

test('the command line: tasks, one of them, and what joins them', async () => {
  const out = join(folder(), 'parts')
  const model = ['--base', pair.base, '--reference', pair.reference]
  const common = ['select', ...model, '--corpus', pair.probes, '-o', out, '--features', 'head', '--json']
  const whole = await warp([...common, '--shards', '2', '--workers', '1', '--count', '12'])
  expect(JSON.parse(whole.stdout)).toMatchObject({ schema: 'warp.select/1', selected: 12, windows: 96 })
  const one = await warp([...common, '--shards', '2', '--shard', '1'])
  expect(JSON.parse(one.stdout)).toMatchObject({ schema: 'warp.select.part/1', part: 1, parts: 2, own: 0 })
  const picked = join(out, 'picked')
  const joined = await warp(['select', 'merge', out, '--count', '12', '-o', picked, '--json'])
  expect(joined.code).toBe(0)
  expect(readFileSync(join(picked, 'selection.jsonl'), 'utf8')).toBe(readFileSync(join(out, 'selection.jsonl'), 'utf8'))
  const codeOf = async (args: string[]): Promise<[number | null, string]> => {
    const { code, stdout } = await warp(args)
    return [code, (JSON.parse(stdout) as ErrorDocument).error.code]
  }
  expect(await codeOf([...common, '--shards', '2', '--shard', '2'])).toEqual([2, 'SHARD_RANGE'])
  expect((await codeOf([...common, '--shard', '0', '--count', '3']))[0]).toBe(2)
  const stdin = common.map((word) => (word === pair.probes ? '-' : word))
  expect(await codeOf([...stdin, '--shards', '2', '--count', '3', '--force'])).toEqual([3, 'PART_STDIN'])
})
