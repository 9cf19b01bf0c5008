import { checkOptions, type Kinds } from '../../lib/options.js'
import {
  diff,
  evaluateSelection,
  footprint,
  generate,
  merge,
  mergeSelection,
  planDiff,
  planGenerate,
  planMerge,
  planSelect,
  planTrace,
  predict,
  recover,
  recoverFamily,
  select,
  selectPart,
  trace,
  train,
} from '../../lib/index.js'
import { planLab, runLab } from '../../lib/lab/index.js'
import { readProbes, readRecords, type ProbeSource } from '../../lib/text/index.js'
import { failure } from '../support/probes-files.js'

interface Options {
  base: string
  threads?: number
  force?: boolean
  names?: string[]
  onProgress?: () => void
}
const kinds: Kinds<Options> = { base: 'text', threads: 'number', force: 'flag', names: 'texts', onProgress: 'function' }
const check = (options: object): unknown => {
  try {
    checkOptions('call', options as Options, kinds, ['base'])
    return undefined
  } catch (error) {
    return error
  }
}

test('what fits, and what is undefined, passes', () => {
  expect(check({ base: 'x', threads: 2, force: false, names: ['a'], onProgress: () => undefined })).toBeUndefined()
  expect(check({ base: 'x', threads: undefined })).toBeUndefined()
})

test.each<[object, string, RegExp]>([
  [{ base: 'x', thread: 2 }, 'OPTION_UNKNOWN', /"thread".*did you mean "threads"/s],
  [{ base: 'x', zzzzzzzz: 2 }, 'OPTION_UNKNOWN', /options: base, threads/],
  [{ base: 'x', constructor: 1 }, 'OPTION_UNKNOWN', /constructor/],
  [{ base: 5 }, 'OPTION_TYPE', /base must be a string, found a number/],
  [{ base: 'x', threads: '2' }, 'OPTION_TYPE', /threads must be a number/],
  [{ base: 'x', force: 1 }, 'OPTION_TYPE', /force must be true or false/],
  [{ base: 'x', names: 'a' }, 'OPTION_TYPE', /names must be a list of strings/],
  [{ base: 'x', names: [1] }, 'OPTION_TYPE', /names/],
  [{ base: 'x', threads: null }, 'OPTION_TYPE', /found null/],
  [{ base: 'x', onProgress: 'a' }, 'OPTION_TYPE', /a function/],
  [{}, 'OPTION_MISSING', /needs base/],
  [[], 'OPTION_MISSING', /needs base/],
])('%j is refused', (options, code, says) => {
  const error = check(options) as { message: string; hint: string }
  expect(error).toMatchObject({ code, kind: 'usage', exitCode: 2 })
  expect(`${error.message} ${error.hint}`).toMatch(says)
})

const pair = { base: 'a', reference: 'b' }
const chosen = { ...pair, corpus: ['x'], output: 'c', count: 2 }
const one = { index: 0, of: 1 }
test.each<[string, () => Promise<unknown>, string]>([
  ['recover', () => recover({ ...pair, probes: ['x'], readouts: ['x'] } as never), 'did you mean "readout"?'],
  ['footprint', () => footprint({ ...pair, probes: ['x'], maxlength: 5 } as never), 'did you mean "maxLength"?'],
  ['trace', () => trace({ ...pair, calibrated: 30 } as never), 'did you mean "calibrate"?'],
  ['merge', () => merge({ ...pair, output: 'c', lamda: 0.5 } as never), 'did you mean "lambda"?'],
  ['train', () => train({ base: 'a', data: ['x'], output: 'c', epoch: 2 } as never), 'did you mean "epochs"?'],
  ['planTrace', () => planTrace({ ...pair, prediction: true } as never), 'did you mean "predictions"?'],
  ['select', () => select({ ...chosen, strategie: 'topk' } as never), 'did you mean "strategy"?'],
  ['planSelect', () => planSelect({ ...chosen, feature: 'head' } as never), 'did you mean "features"?'],
  ['selectPart', () => selectPart({ ...chosen, windows: 64 } as never, one), 'did you mean "window"?'],
  ['mergeSelection', () => mergeSelection({ parts: ['x'], output: 'c', counts: 2 } as never), 'did you mean "count"?'],
  ['evaluateSelection', () => evaluateSelection({ selection: 'a', tests: ['x'] } as never), 'did you mean "test"?'],
  ['diff', () => diff({ ...pair, text: ['x'] } as never), 'did you mean "texts"?'],
  ['planDiff', () => planDiff({ ...pair, start: ['begin'] } as never), 'did you mean "starts"?'],
  ['generate', () => generate({ model: 'a', temprature: 0 } as never), 'did you mean "temperature"?'],
  ['planGenerate', () => planGenerate({ model: 'a', topk: 2 } as never), 'did you mean "topK"?'],
  ['predict', () => predict({ model: 'a', text: ['x'], thread: 1 } as never), 'did you mean "threads"?'],
  ['planLab', () => planLab({ base: 'a', data: ['x'], output: 'c', trial: 2 } as never), 'did you mean "trials"?'],
  [
    'recoverFamily',
    () => recoverFamily({ base: 'a', references: ['b', 'c'], probes: ['x'], point: 3 } as never),
    'did you mean "points"?',
  ],
  ['runLab', () => runLab({ lab: 'a', worker: 1 } as never), 'did you mean "workers"?'],
])('%s names the option that was meant', async (_, call, hint) => {
  expect(await failure(call())).toMatchObject({ code: 'OPTION_UNKNOWN', hint })
})

test('calls without what they need, or with something else than options', async () => {
  const calls = [recover, footprint, trace, planTrace, merge, train, select, planSelect, mergeSelection, diff, planDiff]
  for (const call of [...calls, evaluateSelection, predict]) {
    expect(await failure(call({} as never))).toMatchObject({ code: 'OPTION_MISSING' })
    expect(await failure(call(null as never))).toMatchObject({ code: 'OPTION_TYPE' })
  }
})

const probed = { ...pair, probes: ['x'] }
const trained = { base: 'a', data: ['x'], output: 'c' }
const merged = { ...pair, output: 'c', lambdas: [0.5] }
test.each<[string, string, () => Promise<unknown>]>([
  ['OPTION_TYPE', 'a signal that is none', () => recover({ ...probed, signal: {} } as never)],
  ['OPTION_TYPE', 'a head from nowhere', () => footprint({ ...probed, baseHead: 'ones' } as never)],
  ['OPTION_TYPE', 'a head of half a seed', () => merge({ ...merged, baseHead: { seed: 0.5 } })],
  ['OPTION_TYPE', 'labels that are no names', () => train({ ...trained, labelMap: { 1: 2 } } as never)],
  ['OPTION_TYPE', 'a Map of labels', () => predict({ model: 'a', texts: ['x'], labelMap: new Map() } as never)],
  ['OPTION_TYPE', 'no prompt', () => generate({ model: 'a', prompts: [] })],
  ['OPTION_TYPE', 'prompts that are no texts', () => planGenerate({ model: 'a', prompts: [1] } as never)],
  ['OPTION_TYPE', 'features that there are not', () => select({ ...chosen, features: 'tail' } as never)],
  ['OPTION_TYPE', 'a strategy that there is not', () => planSelect({ ...chosen, strategy: 'best' } as never)],
  [
    'OPTION_TYPE',
    'labels that are neither',
    () => evaluateSelection({ selection: 'a', test: ['x'], labels: 'both' } as never),
  ],
  ['OPTION_RANGE', 'half a thread', () => train({ ...trained, threads: 0.5 })],
  ['OPTION_RANGE', 'less than a step', () => train({ ...trained, saveSteps: -1 })],
  ['OPTION_RANGE', 'no thread', () => merge({ ...merged, threads: 0 })],
  ['OPTION_RANGE', 'a seed below 0', () => trace({ ...pair, seed: -1 })],
  ['OPTION_RANGE', 'a window that is no number', () => planTrace({ ...pair, packed: 'x' } as never)],
])('%s: %s', async (code, _, call) => {
  expect(await failure(call())).toMatchObject({ code, kind: 'usage' })
})

test('a plan of a merge can be cancelled', async () => {
  const reason = new Error('enough')
  await expect(planMerge({ ...merged, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})

describe('texts as a program has them', () => {
  const records = [
    { text: 'one', label: 'a' },
    { text: 'two', label: 1, domain: 'd' },
  ]
  async function* later(): AsyncGenerator<object> {
    for (const record of records) {
      await new Promise(setImmediate)
      yield record
    }
  }
  const read = async (source: ProbeSource, options = {}) => {
    const found: unknown[] = []
    for await (const record of readRecords(source, options)) found.push(record)
    return found
  }

  test('in a list, a set, a generator, an async iterable: the same', async () => {
    const expected = [
      { text: 'one', label: 'a', source: 'records:1', row: 0 },
      { text: 'two', label: '1', domain: 'd', source: 'records:2', row: 1 },
    ]
    for (const source of [records, new Set(records), records.values(), later()])
      expect(await read(source)).toEqual(expected)
  })

  test('other columns, values inside them, label maps, subsamples', async () => {
    const chats = Array.from({ length: 10 }, (_, i) => ({
      chat: [{ content: `q${i}` }, { content: 'a' }],
      kind: { name: 'x' },
    }))
    const options = { text: ['chat[].content'], label: 'kind.name', labelMap: { x: 'y' }, limit: 3 }
    const found = await read(chats, options)
    expect(found).toHaveLength(3)
    expect(found[0]).toMatchObject({ label: 'y', text: expect.stringMatching(/^q\d\na$/) as string })
  })

  test('as probes: their bytes are hashed, whatever they came in', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({ text: `t${i}`, label: i % 2 }))
    const [one, other] = [
      await readProbes(many, { labels: ['a', 'b'] }),
      await readProbes(many.values(), { labels: ['a', 'b'] }),
    ]
    expect(one.counts).toEqual([1500, 1500])
    expect(one.inputs).toEqual(other.inputs)
    expect(one.inputs[0]).toMatchObject({ path: 'records', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string })
    const changed = await readProbes([...many.slice(1), { text: 'x', label: 0 }], { labels: ['a', 'b'] })
    expect(changed.inputs[0].sha256).not.toBe(one.inputs[0].sha256)
  })

  test('what is wrong is told by the number of the record', async () => {
    expect(await failure(read([records[0], { text: 5 }]))).toMatchObject({
      code: 'PROBES_TEXT_TYPE',
      details: { file: 'records', line: 2 },
    })
    expect(await failure(read([records[0], 'text'] as never))).toMatchObject({
      code: 'PROBES_NOT_OBJECT',
      details: { line: 2 },
    })
    expect(await failure(read([{ txt: 'x' }]))).toMatchObject({
      code: 'PROBES_COLUMN_UNKNOWN',
      hint: 'did you mean "txt"?',
    })
    expect(await failure(read([]))).toMatchObject({ code: 'PROBES_NONE' })
    expect(await failure(read(new Set<object>()))).toMatchObject({ code: 'PROBES_EMPTY' })
    for (const source of ['file.jsonl', 5, null, { text: 'x' }]) {
      expect(await failure(read(source as never))).toMatchObject({ code: 'OPTION_TYPE', exitCode: 2 })
    }
  })

  test('an iterable is closed when a record is refused, and an error of its own comes through', async () => {
    let closed = false
    function* bad(): Generator<object> {
      try {
        yield { text: 1 }
        yield* records
      } finally {
        closed = true
      }
    }
    await failure(read(bad()))
    expect(closed).toBe(true)
    const own = new Error('mine')
    async function* failing(): AsyncGenerator<object> {
      yield records[0]
      throw own
    }
    expect(await failure(read(failing()))).toBe(own)
  })

  test('a long list lets the event loop turn and hears an abort', async () => {
    const many = Array.from({ length: 20_000 }, (_, i) => ({ text: `t${i}` }))
    const control = new AbortController()
    setImmediate(() => control.abort(new Error('enough')))
    const reading = (async () => {
      for await (const _ of readRecords(many, {}, { signal: control.signal })) void _
    })()
    await expect(reading).rejects.toThrow('enough')
  })
})
