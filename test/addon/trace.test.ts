import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeWeights, openModel } from '../../lib/checkpoint/index.js'
import { WarpError } from '../../lib/errors.js'
import { addon } from '../../lib/native/load.js'
import { Random } from '../../lib/random.js'
import { trace, type TracedText } from '../../lib/trace/index.js'
import { temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'
import { encode, tokenizerJson, trainedPair, words, writeModel } from '../support/trace-models.js'
import { baseValues, hidden, naiveSums, stored, trainedTables, trainings, vocabulary } from '../support/trace-tables.js'

const [adamw] = trainings()
const vocabularyWords = words(vocabulary)
const base = baseValues(vocabulary * hidden, 1)

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(WarpError)
  expect((error as WarpError).exitCode).toBe(3)
  expect((error as WarpError).hint).not.toBe('')
  return (error as WarpError).code
}

describe('row sums', () => {
  const none = new Uint32Array(0)
  const sums = async (left: string, right: string, alpha: number, rows = none, baseRows = none) => {
    const [a, b] = await Promise.all(
      [left, right].map(async (dir) => nativeWeights(await openModel(dir, { forward: false }))),
    )
    const name = 'embeddings.word_embeddings.weight'
    return addon().rowSums(a, b, { base: name, reference: name, rows, baseRows, alpha, threads: 2 }, undefined).promise
  }

  test.each(['F32', 'F16', 'BF16'] as const)('are their definition, stored as %s', async (dtype) => {
    const trained = stored(trainedTables('adamw-decay').tokens, dtype)
    const found = await sums(writeModel({ tokens: base }), writeModel({ tokens: trained, dtype }), -1e-4)
    const expected = naiveSums(base, trained, hidden, Math.fround(-1e-4), dtype)
    // residuals are formed in float32: θ* − θ₀ exactly where both are near, and α θ₀ to 2^-24 of itself, which is
    // below 2e-3 spacings of float32; a sum of 32 such errors stays within 1e-3 of it plus 1e-1 (squares of a spacing)
    const far = Array.from(found).filter(
      (value, i) => i % 8 !== 7 && Math.abs(value - expected[i]) > 1e-3 * Math.abs(expected[i]) + 0.1,
    )
    expect(far).toEqual([])
    expect(found.length).toBe(expected.length)
  })

  test('of chosen rows stand against the base rows given', async () => {
    const trained = trainedTables('adamw-decay').tokens
    const left = writeModel({ tokens: base }),
      right = writeModel({ tokens: trained })
    const every = await sums(left, right, 0)
    const rows = Uint32Array.of(7, 1999, 0)
    expect(Array.from(await sums(left, right, 0, rows))).toEqual(
      Array.from(rows).flatMap((row) => Array.from(every.subarray(row * 8, row * 8 + 8))),
    )
    const crossed = await sums(left, right, 0, rows, Uint32Array.of(8, 1999, 0))
    expect(Array.from(crossed.subarray(8, 16))).toEqual(Array.from(every.subarray(1999 * 8, 2000 * 8)))
    expect(crossed[0]).toBeGreaterThan(every[7 * 8])
  })
})

/** Texts of words: some of trained tokens only, some with an untrained one. */
function pool(): { text: string; label: string; possible: boolean }[] {
  const random = new Random(1, 'pool')
  const trained = adamw.tokens.filter((id) => id > 3)
  const others = vocabularyWords.map((_, id) => id).filter((id) => id > 3 && !adamw.tokens.includes(id))
  return Array.from({ length: 300 }, (_, i) => {
    const ids = Array.from({ length: 6 }, () => trained[random.below(trained.length)])
    if (i % 3 === 0) ids[2] = others[random.below(others.length)]
    return {
      text: ids.map((id) => vocabularyWords[id]).join(' '),
      label: i % 2 ? 'odd' : 'even',
      possible: i % 3 !== 0,
    }
  })
}

function probeFile(texts: object[]): string {
  const file = join(mkdtempSync(join(temporaryDirectory(), 'p')), 'pool.jsonl')
  writeFileSync(file, texts.map((text) => JSON.stringify(text) + '\n').join(''))
  return file
}

describe.each(['F32', 'F16', 'BF16'] as const)('a pair stored as %s', (dtype) => {
  test('gives its tokens, its longest text, and the texts it excludes', async () => {
    const texts = pool(),
      seen: TracedText[] = []
    const { result, tokens, members } = await trace({
      ...trainedPair('adamw-decay', dtype),
      probes: [probeFile(texts)],
      calibrate: 20,
      onText: (text) => void seen.push(text),
    })
    expect(result).toMatchObject({
      schema: 'warp.trace/1',
      verdict: 'exact',
      longestText: adamw.longest,
      frozen: [],
      comparedTensors: 2,
    })
    expect(tokens.map(({ id }) => id)).toEqual(adamw.tokens)
    expect(tokens[5].token).toBe(vocabularyWords[adamw.tokens[5]])
    expect(seen.map(({ status }) => status)).toEqual(texts.map(({ possible }) => (possible ? 'possible' : 'excluded')))
    expect(seen[0].untrained.map((id) => vocabularyWords[id])).toEqual([texts[0].text.split(' ')[2]])
    expect(result.texts!.even).toMatchObject({ pool: 150, excluded: 50, excludedShare: 1 / 3 })
    expect(members.map(({ row }) => row).sort((a, b) => a - b)).toEqual(
      seen.flatMap(({ status }, i) => (status === 'possible' ? [i] : [])),
    )
    const [mixture] = result.mixtures
    expect(Object.values(mixture.mixture).reduce((sum, share) => sum + share)).toBeCloseTo(1, 9)
    expect(result.trainingTexts!.inside + result.trainingTexts!.outside).toBeCloseTo(result.trainingTexts!.estimate, 1)
  })
})

test('two runs give the same numbers, another seed others', async () => {
  const pair = trainedPair('adamw-decay'),
    probes = [probeFile(pool())]
  const run = async (seed: number) => {
    const { mixtures, trainingTexts } = (await trace({ ...pair, probes, calibrate: 20, seed })).result
    return { mixtures, trainingTexts }
  }
  expect(await run(1)).toEqual(await run(1))
  expect(await run(1)).not.toEqual(await run(2))
})

test('without texts only the tables are traced', async () => {
  const { result } = await trace(trainedPair('sgd-momentum'))
  expect(result).toMatchObject({ verdict: 'exact', texts: null, trainingTexts: null, mixtures: [], decay: 0 })
})

test('a frozen table gives verdict none and names what did not move', async () => {
  const extra = (value: number) => [
    { name: 'layer.weight', shape: [2], data: encode(Float32Array.of(value, 1), 'F32') },
  ]
  const left = writeModel({ tokens: base, extra: extra(1) }),
    right = writeModel({ tokens: base, dtype: 'F16', extra: extra(2) })
  const { result, tokens, members } = await trace({ base: left, reference: right, probes: [probeFile(pool())] })
  expect(result).toMatchObject({
    verdict: 'none',
    frozen: ['embeddings.word_embeddings.weight'],
    texts: null,
    mixtures: [],
    decay: null,
  })
  expect(result.reason).toMatch('frozen')
  expect([tokens, members]).toEqual([[], []])
})

test('a table tied to an output layer is named when every row moved', async () => {
  const random = new Random(4, 'tied')
  const tied = { architectures: ['LlamaForCausalLM'], model_type: 'llama', tie_word_embeddings: true }
  const left = writeModel({ tokens: base, config: tied, tokenTable: 'model.embed_tokens.weight' })
  const right = writeModel({
    tokens: base.map((value) => value + 1e-4 * random.normal()),
    config: tied,
    tokenTable: 'model.embed_tokens.weight',
  })
  const { result } = await trace({ base: left, reference: right })
  expect(result.verdict).toBe('none')
  expect(result.reason).toMatch(/every row moved.*lm_head\.weight is tied/)
})

describe('tables of different size', () => {
  const shuffled = [
    ...vocabularyWords.slice(0, 4),
    ...vocabularyWords.slice(1000),
    ...vocabularyWords.slice(4, 1000),
    'newword',
    'another',
  ]
  const after = trainedTables('adamw-decay').tokens
  const reordered = new Float32Array(shuffled.length * hidden).fill(1 / 64)
  shuffled.forEach((word, row) => {
    const from = vocabularyWords.indexOf(word)
    if (from >= 0) reordered.set(after.subarray(from * hidden, (from + 1) * hidden), row * hidden)
  })

  test('are compared by token through both vocabularies', async () => {
    const { result, tokens } = await trace({
      base: writeModel({ tokens: base }),
      reference: writeModel({ tokens: reordered, tokenizer: tokenizerJson(shuffled) }),
    })
    expect(result).toMatchObject({ verdict: 'exact', addedTokens: 2 })
    expect(tokens.map(({ token }) => token).sort()).toEqual(adamw.tokens.map((id) => vocabularyWords[id]).sort())
    expect(result.notes.join()).toMatch(
      '2000 tokens compared by their spelling, 1996 of them under another id; 2 rows of the reference have no ' +
        'counterpart',
    )
  })
  test('need both vocabularies', async () => {
    expect(
      await codeOf(
        trace({ base: writeModel({ tokens: base, tokenizer: null }), reference: writeModel({ tokens: reordered }) }),
      ),
    ).toBe('TRACE_VOCABULARY')
  })
})

describe('refuses', () => {
  const broken = (row: number, value: number) => {
    const tokens = trainedTables('adamw-decay').tokens.slice()
    tokens[row * hidden + 3] = value
    return tokens
  }
  test('rows with a NaN or an infinity, on either side', async () => {
    expect(
      await codeOf(trace({ base: writeModel({ tokens: base }), reference: writeModel({ tokens: broken(17, NaN) }) })),
    ).toBe('NOT_FINITE')
    const error = await trace({
      base: writeModel({ tokens: broken(1234, Infinity) }),
      reference: writeModel({ tokens: base }),
    }).catch((thrown: WarpError) => thrown)
    expect((error as WarpError).details).toMatchObject({
      row: 1234,
      side: 'base',
      tensor: 'embeddings.word_embeddings.weight',
    })
  })
  test('a model without an embedding table', async () => {
    const nothing = { tokens: base, tokenTable: 'score.weight' }
    expect(await codeOf(trace({ base: writeModel(nothing), reference: writeModel(nothing) }))).toBe(
      'TRACE_NO_EMBEDDING',
    )
  })
  test('two copies of one model', async () => {
    expect(await codeOf(trace({ base: writeModel({ tokens: base }), reference: writeModel({ tokens: base }) }))).toBe(
      'NO_SIGNAL',
    )
  })
  test('another architecture', async () => {
    expect(
      await codeOf(
        trace({
          base: writeModel({ tokens: base }),
          reference: writeModel({ tokens: base, config: { model_type: 'other' } }),
        }),
      ),
    ).toBe('PAIR_ARCHITECTURE')
  })
  test('a tokenizer with ids beyond the table', async () => {
    const tokenizer = tokenizerJson(words(vocabulary + 1))
    const { tokens } = trainedTables('adamw-decay')
    const pair = { base: writeModel({ tokens: base, tokenizer }), reference: writeModel({ tokens, tokenizer }) }
    expect(await codeOf(trace({ ...pair, probes: [probeFile(pool())] }))).toBe('TOKENIZER_ID_RANGE')
  })
  test('a tokenizer whose own tokens the trained rows contradict', async () => {
    // [CLS] and [SEP] around every text, in training there were none
    const tokenizer = tokenizerJson(vocabularyWords, true)
    const { tokens } = trainedTables('adamw-decay')
    const pair = { base: writeModel({ tokens: base, tokenizer }), reference: writeModel({ tokens, tokenizer }) }
    expect(await codeOf(trace({ ...pair, probes: [probeFile(pool())] }))).toBe('TRACE_TOKENIZER')
  })
})

test('texts that the trained tokens contradict one and all leave everything outside', async () => {
  const others = vocabularyWords.filter((_, id) => id > 3 && !adamw.tokens.includes(id))
  const texts = Array.from({ length: 60 }, (_, i) => ({ text: others.slice(i, i + 5).join(' '), label: String(i % 2) }))
  const { result } = await trace({ ...trainedPair('adamw-decay'), probes: [probeFile(texts)], calibrate: 20 })
  expect(result.trainingTexts!.inside).toBe(0)
  expect(result.notes.join()).toMatch('contradict every text')
})

test('an aborted trace rejects with the reason and keeps nothing', async () => {
  const controller = new AbortController()
  const promise = trace({
    ...trainedPair('adamw-decay'),
    probes: [probeFile(pool())],
    signal: controller.signal,
    onProgress: ({ phase }) => {
      if (phase === 'calibration') controller.abort(new Error('enough'))
    },
  })
  await expect(promise).rejects.toThrow('enough')
})

describe('warp trace', () => {
  const warp = (...args: string[]) =>
    spawnSync(process.execPath, [join(repositoryRoot, 'dist/bin/warp.js'), 'trace', ...args], { encoding: 'utf8' })

  test('prints one JSON document and writes tokens, documents and members', () => {
    const { base, reference } = trainedPair('adamw-decay')
    const out = join(temporaryDirectory(), 'out'),
      members = join(temporaryDirectory(), 'members.jsonl')
    const args = [
      '--base',
      base,
      '--reference',
      reference,
      '--probes',
      probeFile(pool()),
      '--calibrate',
      '20',
      '-o',
      out,
      '--members',
      members,
      '--json',
      '-q',
    ]
    const done = warp(...args)
    expect(done.stderr).toBe('')
    expect(done.status).toBe(0)
    expect(JSON.parse(done.stdout)).toEqual(JSON.parse(readFileSync(join(out, 'result.json'), 'utf8')))
    expect(readdirSync(out).sort()).toEqual([
      'documents.jsonl',
      'excluded.csv',
      'members.csv',
      'report.html',
      'result.json',
      'tokens.jsonl',
    ])
    const lines = (file: string) =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    expect(lines(join(out, 'documents.jsonl')).map(({ row }) => row)).toEqual(
      Array.from({ length: 300 }, (_, row) => row),
    )
    expect(lines(join(out, 'tokens.jsonl')).length).toBe(adamw.tokens.length)
    const ranked = lines(members).map(({ probability }) => probability)
    expect(ranked.length).toBe(200)
    expect([...ranked].sort((a, b) => b - a)).toEqual(ranked)
    const again = warp(...args)
    expect(again.status).toBe(2)
    expect(JSON.parse(again.stdout).error.code).toBe('OUTPUT_EXISTS')
  })

  test('says of a pool far smaller than the training set that it bounds nothing', () => {
    const { base, reference } = trainedPair('adamw-decay')
    const few = probeFile(
      pool()
        .filter(({ possible }) => possible)
        .slice(0, 8),
    )
    const { stdout, status } = warp(
      '--base',
      base,
      '--reference',
      reference,
      '--probes',
      few,
      '--calibrate',
      '20',
      '-q',
    )
    expect(status).toBe(0)
    expect(stdout).toMatch(/training texts {2}\d+ \(\d+ or more\)/)
    expect(stdout).toMatch(/odd +\d\.\d+ +0\.000 +1\.000/)
    expect(stdout).toMatch('note: the pool is too small for so many training texts')
  })

  test('exits with 5 under --strict when there is no trace', () => {
    const left = writeModel({ tokens: base })
    const right = writeModel({ tokens: base.map((value) => value * 0.999) })
    expect(warp('--base', left, '--reference', right).status).toBe(0)
    const done = warp('--base', left, '--reference', right, '--strict')
    expect(done.status).toBe(5)
    expect(done.stdout).toMatch('verdict none')
  })
})
