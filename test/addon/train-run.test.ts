// `train`: what it writes, that it goes on where it was stopped, and what it refuses.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect, openModel } from '../../lib/checkpoint/index.js'
import { addon } from '../../lib/native/load.js'
import { planTrain, train, type TrainOptions } from '../../lib/train/index.js'
import { parseRecipe, rateAt, trainableNames } from '../../lib/train/recipe.js'
import { temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'
import { domainFile, trainableModel } from '../support/training.js'

const domains = ['animals', 'plants', 'stones']
const base = trainableModel()
const data = domainFile(domains, 20)
const quick: Partial<TrainOptions> = { epochs: 2, batch: 8, learningRate: 2e-3, seed: 4, threads: 1 }

const run = (extra: Partial<TrainOptions> = {}): ReturnType<typeof train> =>
  train({ base, data: [data], output: join(temporaryDirectory(), 'out'), ...quick, ...extra })
const weightsOf = (folder: string): Buffer => readFileSync(join(folder, 'model.safetensors'))
const json = (folder: string, name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(folder, name), 'utf8'))

test('writes a model directory, its tokenizer and the record; the loss falls', async () => {
  const result = await run({ epochs: 20, learningRate: 1e-3, dropout: 0 })
  expect(result.steps).toBe(160)
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length
  expect(mean(result.loss.slice(-8))).toBeLessThan(0.7 * mean(result.loss.slice(0, 8)))
  const model = await openModel(result.output)
  expect(model.architectureName).toBe('BertForSequenceClassification')
  expect(model.architecture.labels).toEqual(domains)
  expect((await inspect(result.output)).usable).toBe('forward')
  expect(readFileSync(join(result.output, 'tokenizer.json'))).toEqual(readFileSync(join(base, 'tokenizer.json')))
  const record = json(result.output, 'warp.train.json')
  expect(record).toMatchObject({
    schema: 'warp.train/1',
    steps: 160,
    recipe: { seed: 4, optimizer: 'adamw', weightDecay: 0.01 },
  })
  expect(record.loss).toEqual(result.loss)
  expect(existsSync(join(result.output, 'warp.train.state.safetensors'))).toBe(false)
})

test('the same bytes for any number of threads; other ones for another seed', async () => {
  const one = weightsOf((await run()).output)
  expect(weightsOf((await run({ threads: 3 })).output).equals(one)).toBe(true)
  expect(weightsOf((await run({ seed: 5 })).output).equals(one)).toBe(false)
})

test('stopped at any step and repeated, it ends with the same bytes', async () => {
  const whole = await run({ saveSteps: 5 })
  for (const stop of [1, 4, 9, 15]) {
    const output = join(temporaryDirectory(), 'out')
    const controller = new AbortController()
    const onProgress = ({ phase, done }: { phase: string; done: number }): void => {
      if (phase === 'train' && done >= stop) controller.abort(new Error('enough'))
    }
    await expect(run({ output, saveSteps: 5, signal: controller.signal, onProgress })).rejects.toThrow('enough')
    expect(existsSync(join(output, 'warp.train.json'))).toBe(false)
    const resumed = await run({ output, saveSteps: 5 })
    expect(resumed.resumedAt).toBeGreaterThanOrEqual(stop)
    for (const name of readdirSync(whole.output, { recursive: true }) as string[]) {
      if (/\.(safetensors|json)$/.test(name))
        expect(readFileSync(join(output, name)).equals(readFileSync(join(whole.output, name)))).toBe(true)
    }
  }
})

test('kill -9 while it trains, then the same command: the same bytes', async () => {
  const whole = await run({ epochs: 40 })
  const output = join(temporaryDirectory(), 'out')
  const library = join(repositoryRoot, 'dist/lib/train/index.js')
  const script = `
    const { readLabelledTexts, trainOn, parseRecipe } = require(${JSON.stringify(library)});
    const recipe = parseRecipe({ epochs: 40, batch: 8, learningRate: 2e-3, seed: 4 });
    readLabelledTexts([${JSON.stringify(data)}], {}, ${JSON.stringify(domains)}).then((texts) => trainOn(
      ${JSON.stringify(base)}, texts, recipe, { output: ${JSON.stringify(output)}, stateSeconds: 0, threads: 1,
      onProgress: ({ phase, done }) => { if (phase === 'train') process.stdout.write(done + '\\n') } }))`
  await new Promise<void>((resolve) => {
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    let steps = 0
    child.stdout.on('data', (chunk: Buffer) => {
      steps += chunk.toString().split('\n').length - 1
      if (steps > 20) child.kill('SIGKILL')
    })
    child.on('exit', () => resolve())
  })
  expect(existsSync(join(output, 'warp.train.json'))).toBe(false)
  const resumed = await run({ output, epochs: 40 })
  expect(resumed.resumedAt).toBeGreaterThan(0)
  expect(weightsOf(output).equals(weightsOf(whole.output))).toBe(true)
})

test('GPT-2: last layers, frozen tensors keep the bytes of the base', async () => {
  const gpt2 = trainableModel('gpt2')
  const { output, trained } = await run({ base: gpt2, layers: 'last:1', freeze: ['*ln_f*'] })
  expect(trained.parameters).toBeLessThan(trained.of)
  const [before, after] = await Promise.all([openModel(gpt2), openModel(output)])
  const bytesOf = (model: typeof before, name: string): Buffer => {
    const { file, offset, length } = model.tensors.get(name)!
    return readFileSync(model.files[file].path).subarray(offset, offset + length)
  }
  for (const name of ['wte.weight', 'h.0.attn.c_attn.weight', 'ln_f.weight'])
    expect(bytesOf(after, name).equals(bytesOf(before, name))).toBe(true)
  for (const name of ['h.1.attn.c_attn.weight', 'score.weight'])
    expect(bytesOf(after, name).equals(bytesOf(before, name))).toBe(false)
})

test('half precision is what is asked for', async () => {
  const { output } = await run({ dtype: 'F16', epochs: 1 })
  expect((await openModel(output)).tensors.get('classifier.weight')!.dtype).toBe('F16')
  expect(json(output, 'config.json').torch_dtype).toBe('float16')
})

test('a loss that is not finite keeps the last good state', async () => {
  const output = join(temporaryDirectory(), 'out')
  await expect(run({ output, learningRate: 1e30 })).rejects.toMatchObject({
    code: 'TRAINING_DIVERGED',
    exitCode: 3,
    message: expect.stringContaining('step'),
  })
  expect(existsSync(join(output, 'warp.train.state.safetensors'))).toBe(true)
  await expect(run({ output })).rejects.toMatchObject({ code: 'TRAIN_STATE_OTHER', exitCode: 3 })
  await run({ output, force: true })
})

test('a run that ends between its model and its record is done again, by the same command alone', async () => {
  const output = join(temporaryDirectory(), 'out')
  const onSaved = (): Promise<void> => Promise.reject(new Error('killed'))
  await expect(run({ output, onSaved })).rejects.toThrow('killed')
  expect(existsSync(join(output, 'model.safetensors'))).toBe(true)
  await expect(run({ output, seed: 9 })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
  await run({ output })
  const whole = (await run()).output
  expect(weightsOf(output).equals(weightsOf(whole))).toBe(true)
  expect(readFileSync(join(output, 'warp.train.json')).equals(readFileSync(join(whole, 'warp.train.json')))).toBe(true)
  expect(existsSync(join(output, 'warp.train.writing.json'))).toBe(false)
  await expect(run({ output })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
})

test('a model that is there is replaced by force alone', async () => {
  const { output } = await run({ epochs: 1 })
  const before = weightsOf(output)
  await expect(run({ output })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS', exitCode: 2 })
  await expect(planTrain({ base, data: [data], output, ...quick })).rejects.toMatchObject({
    code: 'OUTPUT_EXISTS',
    exitCode: 2,
  })
  expect(weightsOf(output).equals(before)).toBe(true)
  await run({ output, force: true })
  expect(weightsOf(output).equals(weightsOf((await run()).output))).toBe(true)
})

// Float32 sums in another order; Adam's first steps have the size of the rate whatever the gradient, so losses of later
// steps agree to some 1e-4 of themselves.
test('accumulated batches take the same steps as one', async () => {
  const whole = await run({ batch: 16, dropout: 0 })
  const parts = await run({ batch: 4, accumulate: 4, dropout: 0 })
  expect(parts.steps).toBe(whole.steps)
  parts.loss.forEach((loss, i) => expect(Math.abs(loss - whole.loss[i])).toBeLessThan(1e-3 * whole.loss[i]))
})

test('a plan takes the trouble, and leaves no trace', async () => {
  const output = join(temporaryDirectory(), 'out')
  const plan = await planTrain({ base, data: [data], output, ...quick, saveSteps: 5 })
  expect(existsSync(output)).toBe(false)
  const seen: number[] = []
  const idle = addon().memoryUsed()
  const onProgress = ({ phase }: { phase: string }): void => {
    if (phase === 'train') seen.push(addon().memoryUsed() - idle)
  }
  const result = await run({ output, saveSteps: 5, onProgress })
  expect(plan).toMatchObject({
    texts: 60,
    counts: [20, 20, 20],
    labels: domains,
    tokens: result.data.tokens,
    steps: result.steps,
    resumesAt: 0,
    trained: result.trained,
  })
  // that of the step with the most tokens; others may hold an eighth more or less of what grows
  expect(Math.max(...seen)).toBeLessThanOrEqual(1.13 * plan.workingMemoryBytes)
  expect(Math.max(...seen)).toBeGreaterThan(plan.workingMemoryBytes / 1.13)
  const sizes = readdirSync(output, { recursive: true })
    .map((name) => statSync(join(output, String(name))))
    .filter((file) => file.isFile())
  expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(plan.diskBytes)
  // six per parameter and token of full training, in layers whose last one lets one row of each text pass
  const { hiddenSize, intermediateSize } = (await openModel(base)).architecture
  const perToken = 6 * (4 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize)
  expect(plan.flops).toBeGreaterThan(perToken * plan.tokens * 2)
  expect(plan.flops).toBeLessThan(perToken * plan.tokens * 2 * 2)
  expect(plan.estimatedSeconds).toBeGreaterThan(0)
})

test('a plan counts what an earlier run has done', async () => {
  const output = join(temporaryDirectory(), 'out')
  const controller = new AbortController()
  const onProgress = ({ phase, done }: { phase: string; done: number }): void => {
    if (phase === 'train' && done === 9) controller.abort(new Error('enough'))
  }
  await expect(run({ output, signal: controller.signal, onProgress })).rejects.toThrow('enough')
  const options = { base, data: [data], output, ...quick }
  const [plan, whole] = [await planTrain(options), await planTrain({ ...options, force: true })]
  expect([plan.resumesAt, whole.resumesAt, plan.steps]).toEqual([9, 0, 16])
  expect(plan.flops).toBeLessThan(whole.flops / 2)
  expect((await run({ output })).resumedAt).toBe(9)
})

test('the event loop stays free while a step is taken', async () => {
  const controller = new AbortController()
  let tokenized = false
  let ticks = 0
  const timer = setInterval(() => {
    if (tokenized && ++ticks === 20) controller.abort('enough ticks')
  }, 1)
  const onProgress = ({ phase, done, total }: { phase: string; done: number; total: number }): void => {
    tokenized ||= phase === 'tokenize' && done === total
  }
  // one step of all texts: were the loop blocked, training would end first
  const running = run({
    data: [domainFile(domains, 6000)],
    epochs: 1,
    batch: 18_000,
    signal: controller.signal,
    onProgress,
  })
  await expect(running).rejects.toBe('enough ticks')
  clearInterval(timer)
})

test('refusals', async () => {
  const file = join(temporaryDirectory(), 'file')
  writeFileSync(file, '')
  await expect(run({ output: join(file, 'out') })).rejects.toMatchObject({ code: 'OUTPUT_NOT_WRITABLE', exitCode: 4 })
  await expect(run({ data: [domainFile(['one'], 5)] })).rejects.toMatchObject({ code: 'LABELS_TOO_FEW' })
  await expect(run({ labels: ['animals', 'plants'] })).rejects.toMatchObject({ code: 'PROBES_LABEL_UNKNOWN' })
  await expect(run({ maxLength: 1000 })).rejects.toMatchObject({ code: 'MAX_LENGTH_RANGE' })
  await expect(run({ layers: 'last:9' })).rejects.toMatchObject({ code: 'LAYERS_RANGE' })
  await expect(run({ freeze: ['nothing*'] })).rejects.toMatchObject({ code: 'FREEZE_UNMATCHED' })
  await expect(run({ freeze: ['*'] })).rejects.toMatchObject({ code: 'NOTHING_TO_TRAIN' })
  await expect(run({ learningRate: -1 })).rejects.toMatchObject({
    code: 'RECIPE_INVALID',
    message: expect.stringContaining('learningRate'),
  })
})

test('a damaged state is refused', async () => {
  const output = join(temporaryDirectory(), 'out')
  await expect(run({ output, learningRate: 1e30 })).rejects.toMatchObject({ code: 'TRAINING_DIVERGED' })
  const state = join(output, 'warp.train.state.safetensors')
  truncateSync(state, 5000)
  await expect(run({ output, learningRate: 1e30 })).rejects.toMatchObject({ exitCode: 3 })
  writeFileSync(state, weightsOf((await run({ epochs: 1 })).output))
  await expect(run({ output })).rejects.toMatchObject({ code: 'TRAIN_STATE_DAMAGED' })
})

test('recipes: defaults, unknown keys, rates, names', () => {
  expect(parseRecipe({}).weightDecay).toBe(0.01)
  expect(parseRecipe({ optimizer: 'adam' }).weightDecay).toBe(0)
  expect(() => parseRecipe({ lr: 1 })).toThrow(
    expect.objectContaining({ code: 'RECIPE_INVALID', message: expect.stringContaining('lr') }),
  )
  const linear = parseRecipe({ learningRate: 1, schedule: 'linear', warmup: 4 })
  expect([0, 2, 4, 8, 12].map((step) => rateAt(linear, step, 12))).toEqual([0, 0.5, 1, 0.5, 0])
  expect(rateAt(parseRecipe({ learningRate: 2 }), 7, 9)).toBe(2)
  const names = [
    'embeddings.word_embeddings.weight',
    'encoder.layer.0.output.dense.bias',
    'encoder.layer.1.output.dense.bias',
    'pooler.dense.bias',
    'classifier.bias',
  ]
  const groups = new Map(names.map((name, i) => [name, (['embedding', 0, 1, 'head', 'head'] as const)[i]]))
  expect(trainableNames(parseRecipe({ layers: 'head' }), groups, 2)).toEqual(names.slice(3))
  expect(trainableNames(parseRecipe({ layers: 'last:1' }), groups, 2)).toEqual(names.slice(2))
  expect(trainableNames(parseRecipe({ freeze: ['*.bias'] }), groups, 2)).toEqual(names.slice(0, 1))
})
