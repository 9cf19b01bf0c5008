import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../checkpoint/index.js'
import { claimFile, withClaim } from '../claim.js'
import { usageError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { recover, type Recovered } from '../recover.js'
import { parseRecipe, trainOn, type LabelledTexts, type RecipeOptions } from '../train/index.js'
import { trace, type Traced, type TraceResult } from '../trace/index.js'
import { demoBase, demoProbes, demoSecret, type DemoTruth } from './index.js'
import { demoTexts } from './texts.js'

/** Everything the demo leaves in its folder. */
export const demoFiles = ['probes.jsonl', 'training.jsonl', 'reference', 'result.json', 'alignment.npy', 'report.html']

/** Texts of the secret training set, and how the base is fine-tuned on them: a few seconds on two cores. */
export const demoTraining = { texts: 500, recipe: { epochs: 4, batch: 32, learningRate: 2e-4 } satisfies RecipeOptions }

export interface DemoOptions extends RunOptions {
  /** default `warp-demo` in the current directory */
  output?: string
  /** use a folder that holds other files */
  force?: boolean
  /** of the secret mixture, the training and the resampling; default 0 */
  seed?: number
  threads?: number
}

/** What was recovered beside what was kept secret until then. */
export interface DemoOutcome {
  folder: string
  seed: number
  /** what `recover` was given */
  models: { base: string; reference: string; baseHead: 'zeros' }
  /** of the fine-tuning: steps taken, seconds they took, mean loss of the last ones */
  training: { steps: number; seconds: number; loss: number }
  recovered: Recovered
  truth: DemoTruth
  /** mean absolute error of each readout's shares */
  errors: Record<string, number>
  trace: DemoTrace
}

/** What the embedding table alone gives away once the training texts are among the candidates. */
export interface DemoTrace {
  /** the probes and the training texts */
  candidates: number
  trainingTexts: NonNullable<TraceResult['trainingTexts']>
  /** of as many texts as it says were trained on, the most probable ones: those that were */
  found: number
  mixture: Record<string, number>
  error: number
}

/**
 * Draws a secret mixture, fine-tunes the package's small model on it, recovers it from the weights and 1 000 texts that
 * were not trained on, then compares: `recover` is not told the truth. At last traces it with the training texts among
 * the candidates. Leaves the model and all texts in the folder.
 * @throws WarpError OUTPUT_EXISTS where the folder holds something else and `force` is not set; those of `train`,
 *   `recover` and `trace`
 */
export async function demo(options: DemoOptions = {}): Promise<DemoOutcome> {
  const { output: folder = 'warp-demo', force = false, seed = 0, threads, ...control } = options
  const texts = await demoTexts()
  const probes = (await demoProbes(texts)).map(({ text, domain }) => ({ text, label: domain }))
  const { truth, training } = await demoSecret(seed, demoTraining.texts, texts)
  await entriesOf(folder)
  return withClaim(folder, { ...control, writes: demoFiles }, async () => {
    if (!force) await checkOwn(folder, jsonLines(probes))
    return tell(folder, { seed, threads, ...control }, jsonLines(probes), truth, training)
  })
}

async function tell(
  folder: string,
  { seed, threads, ...control }: DemoOptions & { seed: number },
  probes: string,
  truth: DemoTruth,
  training: LabelledTexts,
): Promise<DemoOutcome> {
  const [probeFile, trainingFile, reference] = demoFiles.map((name) => join(folder, name))
  await writeFileAtomic(probeFile, probes, { force: true })
  const secret = training.texts.map((text, i) => ({ text, label: training.labels[training.label[i]] }))
  await writeFileAtomic(trainingFile, jsonLines(secret), { force: true })

  const base = demoBase()
  const recipe = parseRecipe({ ...demoTraining.recipe, seed })
  const { steps, seconds, loss } = await trainOn(base, training, recipe, {
    output: reference,
    force: true,
    threads,
    ...control,
  })
  // The base was saved without a classification head, as most are.
  const models = { base, reference, baseHead: 'zeros' as const }
  const recovered = await recover({ ...models, probes: [probeFile], seed, threads, ...control })
  const errors = recovered.result.mixtures.map(({ readout, mixture }) => [readout, meanError(mixture, truth)])
  const traced = await trace({ base, reference, probes: [probeFile, trainingFile], seed, threads, ...control })
  const last = loss.slice(-10)
  return {
    folder,
    seed,
    models,
    training: { steps, seconds, loss: last.reduce((sum, value) => sum + value, 0) / last.length },
    recovered,
    truth,
    errors: Object.fromEntries(errors),
    trace: judged(traced, truth, trainingFile),
  }
}

function judged(
  {
    result: {
      trainingTexts,
      texts,
      mixtures: [{ mixture }],
    },
    members,
  }: Traced,
  truth: DemoTruth,
  trainingFile: string,
): DemoTrace {
  const top = members.slice(0, Math.round(trainingTexts!.estimate))
  return {
    candidates: Object.values(texts!).reduce((sum, { pool }) => sum + pool, 0),
    trainingTexts: trainingTexts!,
    found: top.filter(({ source }) => source.startsWith(trainingFile)).length,
    mixture,
    error: meanError(mixture, truth),
  }
}

const jsonLines = (rows: object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const entriesOf = (folder: string): Promise<string[]> =>
  readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw usageError('OUTPUT_NOT_A_FOLDER', `${folder}: ${error.message}`, { file: folder }, 'another -o')
  })

/** A folder is the demo's own when it is new or empty, or holds its files and exactly its probes. */
async function checkOwn(folder: string, probes: string): Promise<void> {
  const there = (await entriesOf(folder)).filter((name) => name !== claimFile)
  const foreign = there.find((name) => !demoFiles.includes(name))
  const same = there.length === 0 || (await readFile(join(folder, demoFiles[0]), 'utf8').catch(() => '')) === probes
  if (foreign === undefined && same) return
  const found = join(folder, foreign ?? there[0])
  const message = `${found} is already there and not from this demo`
  throw usageError('OUTPUT_EXISTS', message, { file: found }, 'another -o, or --force')
}

/** Mean absolute difference of shares: 0 where the mixture is exact. */
export function meanError(mixture: Record<string, number>, truth: { domains: string[]; mixture: number[] }): number {
  const sum = truth.domains.reduce((total, name, d) => total + Math.abs(mixture[name] - truth.mixture[d]), 0)
  return sum / truth.domains.length
}
