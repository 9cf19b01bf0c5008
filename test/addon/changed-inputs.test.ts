// Inputs that change while they are used: noticed, whatever the run was at, and never a result.
import {
  appendFileSync,
  copyFileSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { diff } from '../../lib/diff/index.js'
import { footprint } from '../../lib/footprint/index.js'
import { generate } from '../../lib/generate/index.js'
import { merge } from '../../lib/merge/index.js'
import type { Progress } from '../../lib/native/task.js'
import { predict } from '../../lib/predict.js'
import { recover } from '../../lib/recover.js'
import { select } from '../../lib/select/index.js'
import { readProbes } from '../../lib/text/index.js'
import { trace } from '../../lib/trace/index.js'
import { train } from '../../lib/train/index.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, type TestPair } from '../support/pair.js'
import { domainFile, trainableModel } from '../support/training.js'

type Models = Pick<TestPair, 'base' | 'reference' | 'probes'>
type Run = (pair: Models, onProgress: (progress: Progress) => void) => Promise<unknown>

const runs: Record<string, Run> = {
  recover: ({ base, reference, probes }, onProgress) =>
    recover({ base, reference, probes: [probes], points: 2, bootstrap: 20, onProgress }),
  footprint: ({ base, reference, probes }, onProgress) =>
    footprint({ base, reference, probes: [probes], points: 2, onProgress }),
  trace: ({ base, reference, probes }, onProgress) =>
    trace({ base, reference, probes: [probes], calibrate: 20, onProgress }),
  merge: ({ base, reference }, onProgress) =>
    merge({ base, reference, points: 2, output: join(temporaryDirectory(), 'out'), onProgress }),
  predict: ({ base, probes }, onProgress) => predict({ model: base, texts: [probes], onProgress }),
  select: ({ base, reference, probes }, onProgress) =>
    select({
      base,
      reference,
      corpus: [probes],
      features: 'head',
      count: 4,
      output: join(temporaryDirectory(), 'out'),
      onProgress,
    }),
  generate: ({ base, reference }, onProgress) => generate({ base, reference, count: 4, maxNewTokens: 4, onProgress }),
  diff: ({ base, reference }, onProgress) => diff({ base, reference, onProgress }),
}
const ofLanguageModels = ['generate', 'diff']

/** In the same size and, but for the first, with the same time: another file, other bytes. */
const changes: Record<string, (file: string) => void> = {
  'written in place': (file) => {
    const bytes = readFileSync(file)
    bytes[bytes.length - 2] ^= 1
    writeFileSync(file, bytes)
  },
  'replaced by a file of the same size and time': (file) => {
    const { atime, mtime } = statSync(file)
    const bytes = readFileSync(file)
    bytes[bytes.length - 2] ^= 1
    writeFileSync(`${file}.new`, bytes)
    utimesSync(`${file}.new`, atime, mtime)
    renameSync(`${file}.new`, file)
  },
  'written again': (file) => writeFileSync(file, readFileSync(file)),
  cut: (file) => truncateSync(file, statSync(file).size - 4),
  longer: (file) => appendFileSync(file, ' '),
  gone: (file) => rmSync(file),
}

/** As if it had been there for a while: clocks of file systems tick every few milliseconds. */
function aged<T extends string>(file: T): T {
  utimesSync(file, new Date(2020, 1, 1), new Date(2020, 1, 1))
  return file
}

function agedPair(name: string): Models {
  const pair = ofLanguageModels.includes(name) ? { ...makeLanguagePair(), probes: '' } : makePair()
  for (const dir of [pair.base, pair.reference]) for (const name of readdirSync(dir)) aged(join(dir, name))
  return pair
}

/** The phases an undisturbed run goes through. */
async function phasesOf(name: string): Promise<string[]> {
  const seen = new Set<string>()
  await runs[name](agedPair(name), ({ phase }) => seen.add(phase))
  return [...seen]
}

describe.each(Object.keys(runs))('%s', (name) => {
  test.each(Object.keys(changes))('weights that are %s', async (change) => {
    const phases = await phasesOf(name)
    expect(phases.length).toBeGreaterThan(0)
    for (const at of phases) {
      const pair = agedPair(name)
      let done = false
      const running = runs[name](pair, ({ phase }) => {
        if (phase === at && !done) changes[change](join(pair.base, 'model.safetensors'))
        done ||= phase === at
      })
      await expect(running).rejects.toMatchObject({
        exitCode: 3,
        code: expect.stringMatching(/^FILE_(CHANGED|SHRANK|NOT_FOUND)$/),
      })
      expect(done).toBe(true)
    }
  })

  if (name === 'merge') return
  test.each(['config.json', 'tokenizer.json'])('a %s that is replaced', async (file) => {
    const pair = agedPair(name)
    let done = false
    const running = runs[name](pair, () => {
      if (!done)
        changes['replaced by a file of the same size and time'](
          join(name === 'predict' ? pair.base : pair.reference, file),
        )
      done = true
    })
    await expect(running).rejects.toMatchObject({ code: 'FILE_CHANGED', exitCode: 3 })
  })
})

test('a base that changes before training has it in memory', async () => {
  const base = trainableModel()
  aged(join(base, 'model.safetensors'))
  let done = false
  const onProgress = ({ phase }: Progress): void => {
    if (phase === 'tokenize' && !done)
      changes['replaced by a file of the same size and time'](join(base, 'model.safetensors'))
    done ||= phase === 'tokenize'
  }
  const running = train({
    base,
    data: [domainFile(['a', 'b'], 8)],
    output: join(temporaryDirectory(), 'out'),
    epochs: 1,
    onProgress,
  })
  await expect(running).rejects.toMatchObject({ code: 'FILE_CHANGED', exitCode: 3 })
})

// every text is larger than what is read at once
test.each(['written again', 'cut', 'longer'])('texts that are %s while they are read', async (change) => {
  const file = join(temporaryDirectory(), 'texts.jsonl')
  const text = 'w '.repeat(100_000)
  writeFileSync(file, `${JSON.stringify({ text, label: 'a' })}\n`.repeat(4))
  aged(file)
  let done = false
  const onProgress = (): void => {
    if (!done) changes[change](file)
    done = true
  }
  await expect(readProbes([file], { labels: ['a', 'b'] }, { onProgress })).rejects.toMatchObject({
    code: 'FILE_CHANGED',
    exitCode: 3,
  })
})

test('texts that are replaced after they were read are still those that were hashed', async () => {
  const pair = agedPair('recover')
  const whole = await recover({
    base: pair.base,
    reference: pair.reference,
    probes: [pair.probes],
    points: 2,
    bootstrap: 20,
  })
  let done = false
  const onProgress = ({ phase }: Progress): void => {
    if (phase === 'score' && !done) copyFileSync(pair.base + '/config.json', pair.probes)
    done ||= phase === 'score'
  }
  const other = await recover({
    base: pair.base,
    reference: pair.reference,
    probes: [pair.probes],
    points: 2,
    bootstrap: 20,
    onProgress,
  })
  expect(done).toBe(true)
  expect(other.result.inputs).toEqual(whole.result.inputs)
  expect(other.result.mixtures).toEqual(whole.result.mixtures)
})
