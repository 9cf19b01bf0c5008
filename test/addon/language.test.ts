// Language models from end to end on a tiny LLaMA: trained by `train`, scored and read by `recover`.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { footprint, openSession } from '../../lib/footprint/index.js'
import { noTarget } from '../../lib/native/types.js'
import { packWindows } from '../../lib/objectives/pack.js'
import { targetCounts, targetsOf } from '../../lib/objectives/language.js'
import { planLab, readTrials, reportTable, runLab } from '../../lib/lab/index.js'
import type { WarpError } from '../../lib/errors.js'
import { merge } from '../../lib/merge/index.js'
import { planRecover, recover } from '../../lib/recover.js'
import { train } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { networkFixture } from '../support/networks.js'
import { bytePairTokenizer, pairText } from '../support/pair.js'

const kinds = ['animals', 'stones']

function model(name = 'llama-language'): string {
  const dir = temporaryDirectory()
  cpSync(networkFixture(name), dir, { recursive: true })
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(bytePairTokenizer()))
  return dir
}

/** Texts of both kinds, short enough for the fixtures' 20 positions. */
function texts(shares: number[], first: number, extra: (text: string) => object = () => ({})): string {
  const file = join(temporaryDirectory(), 'texts.jsonl')
  const rows = kinds.flatMap((domain, d) =>
    Array.from({ length: shares[d]! }, (_, i) => {
      const text = pairText(domain, first + i)
        .slice(0, 18)
        .trim()
      return JSON.stringify({ text, domain, ...extra(text) })
    }),
  )
  writeFileSync(file, rows.map((row) => `${row}\n`).join(''))
  return file
}

test('a trained language model keeps its class; its mixture is recovered by readouts without classes', async () => {
  const base = model()
  const output = join(temporaryDirectory(), 'out')
  const trained = await train({
    base,
    data: [texts([30, 10], 0)],
    output,
    epochs: 2,
    batch: 8,
    learningRate: 3e-3,
    seed: 1,
  })
  expect(trained.loss.at(-1)!).toBeLessThan(trained.loss[0]!)
  const config = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8')) as Record<string, unknown>
  expect(config.architectures).toEqual(['LlamaForCausalLM'])
  const { result } = await recover({
    base,
    reference: output,
    probes: [texts([30, 30], 100)],
    points: 3,
    bootstrap: 20,
  })
  expect(result.scope).toBe('upper')
  expect(result.diagnostics.accuracy).toBeNull()
  expect(result.mixtures.map(({ readout }) => readout)).toEqual(expect.arrayContaining(['uniform', 'softmax']))
  expect(result.recommended.readout).toBe('gradient-matching[upper,adam]')
  const { intervalCovers, interval } = result.mixtures.find(({ readout }) => readout === result.recommended.readout)!
  expect(intervalCovers).toBe('sampling and method') // .033, which was measured on eight
  expect(interval.animals[1] - interval.animals[0]).toBeGreaterThanOrEqual(0.033)
  expect(result.diagnostics.verdict).toBe('weak') // no readout of a language model is calibrated
  expect(result.depth!.groups.map(({ name }) => name)).toEqual(['layer 1']) // of two the upper third
  // three quarters of the training texts were about animals
  expect(result.recommended.mixture.animals).toBeGreaterThan(0.5)
  const byTokens = Object.values(result.recommended.mixtureByTokens!)
  expect(byTokens.reduce((a, b) => a + b)).toBeCloseTo(1, 12)
  expect(result.skipped.map(({ readout }) => readout)).toEqual(
    expect.arrayContaining(['mean-probability', 'prior-shift', 'stationary']),
  )
})

test('checkpoints of a language model are points of its path', async () => {
  const base = model()
  const reference = join(temporaryDirectory(), 'out')
  await train({ base, data: [texts([30, 10], 0)], output: reference, epochs: 1, batch: 8, learningRate: 3e-3, seed: 1 })
  const lambdas = [0.25, 0.75]
  const merged = await merge({ base, reference, lambdas, dtype: 'F32', output: join(temporaryDirectory(), 'merged') })
  const options = { base, reference, probes: [texts([8, 8], 100)], bootstrap: 20 }
  const { result: along } = await recover({ ...options, lambdas })
  const checkpoint = merged.points.map(({ dir }) => dir)
  const { result: through } = await recover({ ...options, path: 'trajectory', checkpoint })
  expect(through.path).toBe('trajectory')
  // what holds for the pair is not said again of its trace
  expect(new Set(along.notes.map((note) => note.replace('trace: ', ''))).size).toBe(along.notes.length)
  expect(through.mixtures.map(({ readout }) => readout)).toEqual(along.mixtures.map(({ readout }) => readout))
  // the merged weights are those that the linear path forms, rounded to float32 as they are there
  for (const [i, { mixture }] of through.mixtures.entries())
    for (const kind of kinds) expect(mixture[kind]).toBeCloseTo(along.mixtures[i].mixture[kind], 5)
}, 60_000)

test('memory that the plan accepts is enough, gradients included; less is refused before any scoring', async () => {
  const [base, output] = [model(), join(temporaryDirectory(), 'out')]
  await train({ base, data: [texts([20, 10], 0)], output, epochs: 1, batch: 8, learningRate: 3e-3 })
  const options = { base, reference: output, probes: [texts([30, 30], 100)], points: 3, bootstrap: 20, threads: 1 }
  const accepted = (memory: number): Promise<boolean> =>
    planRecover({ ...options, memory }).then(
      () => true,
      (error: WarpError) => {
        expect(error.code).toBe('MEMORY_BUDGET')
        return false
      },
    )
  let [low, high] = [0, 2 ** 28]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await accepted(middle)) high = middle
    else low = middle
  }
  const phases: string[] = []
  const onProgress = ({ phase }: { phase: string }): number => phases.push(phase)
  await expect(recover({ ...options, memory: low, onProgress })).rejects.toMatchObject({ code: 'MEMORY_BUDGET' })
  expect(phases).not.toContain('score')
  const { result } = await recover({ ...options, memory: high })
  expect(result.recommended.readout).toBe('gradient-matching[upper,adam]')
})

test('an interrupted training of a language model gives the bytes of an uninterrupted one', async () => {
  const base = model('qwen2-language') // tied
  const data = [texts([12, 12], 0)]
  const recipe = { base, data, epochs: 2, batch: 8, learningRate: 1e-3, seed: 2, threads: 1 }
  const whole = join(temporaryDirectory(), 'whole')
  await train({ ...recipe, output: whole })
  const stopped = join(temporaryDirectory(), 'stopped')
  const abort = new AbortController()
  const steps = (event: { phase: string; done: number }): void => {
    if (event.phase === 'train' && event.done === 3) abort.abort()
  }
  await expect(train({ ...recipe, output: stopped, signal: abort.signal, onProgress: steps })).rejects.toThrow()
  await train({ ...recipe, output: stopped, threads: 2 })
  const bytes = (dir: string): Buffer => readFileSync(join(dir, 'model.safetensors'))
  expect(bytes(stopped).equals(bytes(whole))).toBe(true)
})

test('packed texts fill windows, the end token behind each; others than language models refuse', async () => {
  const packed = { typeIds: new Uint8Array(9), label: new Int32Array(3), truncated: [0, 0], longest: 4 }
  const texts3 = { ...packed, ids: Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), offsets: Uint32Array.of(0, 3, 5, 9) }
  const windows = packWindows({ ...texts3, domain: Int32Array.of(1, 0, 1) }, 2, 99, 4)
  // of domain 0: 4 5 99; of domain 1: 1 2 3 99 | 6 7 8 9, and the end token alone is left out
  expect([...windows.ids]).toEqual([4, 5, 99, 1, 2, 3, 99, 6, 7, 8, 9])
  expect([...windows.offsets]).toEqual([0, 3, 7, 11])
  expect([...windows.domain]).toEqual([0, 1, 1])
  const base = model()
  const output = join(temporaryDirectory(), 'out')
  const { steps, notes } = await train({ base, data: [texts([9, 9], 0)], output, epochs: 1, batch: 4, pack: 16 })
  const count = Number(/packed into (\d+) windows of 16 tokens/.exec(notes.join('\n'))![1])
  expect(steps).toBe(Math.ceil(count / 4))
  await expect(
    train({ base, data: [texts([9, 9], 0)], output: join(output, 'b'), objective: 'classify', pack: 16 }),
  ).rejects.toMatchObject({ code: 'TRAIN_PACK_OBJECTIVE' })
  await expect(train({ base, data: [texts([9, 9], 0)], output: join(output, 'c'), pack: 4096 })).rejects.toMatchObject({
    code: 'MAX_LENGTH_RANGE',
  })
})

test('behind a prompt only tokens of the response are targets', async () => {
  const base = model()
  const reference = join(temporaryDirectory(), 'out')
  await train({ base, data: [texts([8, 8], 0)], output: reference, epochs: 1, batch: 8 })
  const halves = (text: string): object => ({ text: text.slice(0, 6), answer: text.slice(6).trim() || 'a' })
  const probes = texts([6, 6], 50, halves)
  const options = { base, reference, probes: [probes], response: 'answer', points: 2 }
  const session = await openSession(options, false)
  try {
    const { packed } = session
    const targets = targetsOf(packed)
    expect(packed.prompts).toBeDefined()
    targetCounts(targets, packed.offsets).forEach((count, t) => {
      const length = packed.offsets[t + 1]! - packed.offsets[t]!
      expect(count).toBe(length - Math.max(1, packed.prompts![t]!))
      expect(count).toBeGreaterThan(0)
    })
    expect(targets[packed.offsets[1]! - 1]).toBe(noTarget)
  } finally {
    session.close()
  }
  const found = await footprint(options)
  expect([...found.alignment].every(Number.isFinite)).toBe(true)
})

test('a language model needs domains, and a response that is cut off is refused', async () => {
  const base = model()
  const file = join(temporaryDirectory(), 'texts.jsonl')
  writeFileSync(file, '{"text":"a b c"}\n{"text":"d e f"}\n')
  const reference = join(temporaryDirectory(), 'out')
  await train({ base, data: [file], output: reference, epochs: 1, batch: 8 })
  await expect(recover({ base, reference, probes: [file] })).rejects.toMatchObject({ code: 'PROBES_DOMAIN_MISSING' })
  const long = texts([3, 3], 0, (text) => ({ text: `${text} `.repeat(4), answer: 'x' }))
  await expect(recover({ base, reference, probes: [long], response: 'answer' })).rejects.toMatchObject({
    code: 'PROBES_RESPONSE_EMPTY',
  })
  await expect(recover({ base, reference, probes: [long], objective: 'tell' as never })).rejects.toMatchObject({
    code: 'OBJECTIVE_UNKNOWN',
  })
})

test('a lab plans, trains, scores and reports on language models', async () => {
  const lab = temporaryDirectory()
  const plan = await planLab({
    base: model(),
    data: [texts([40, 40], 0)],
    output: lab,
    trials: 5,
    texts: 16,
    probesPerDomain: 8,
    recipe: { epochs: 1, batch: 8, learningRate: 3e-3 },
    paths: [{ points: 2 }],
    seed: 1,
  })
  expect(plan.scope).toBe('upper')
  await runLab({ lab, workers: 1 })
  const { report } = await reportTable(await readTrials(join(lab, 'trials')), { folds: 5 })
  const readouts = new Set(report.table.map(({ readout }) => readout))
  for (const name of ['uniform', 'softmax', 'membership[fixed]', 'gradient-matching[upper,adam]'])
    expect(readouts).toContain(name)
})
