import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../checkpoint/index.js'
import { usageError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { recover, type Recovered } from '../recover.js'
import { demoModels, demoTexts, type DemoTruth } from './index.js'

/** Everything the demo leaves in its folder. */
export const demoFiles = ['probes.jsonl', 'result.json', 'alignment.npy', 'report.html']

export interface DemoOptions extends RunOptions {
  /** default `warp-demo` in the current directory */
  output?: string
  /** use a folder that holds other files */
  force?: boolean
  threads?: number
}

/** What was recovered beside what was kept secret until then. */
export interface DemoOutcome {
  folder: string
  /** what `recover` was given */
  models: { base: string; reference: string; baseHead: 'zeros' }
  recovered: Recovered
  truth: DemoTruth
  /** mean absolute error of each readout's shares */
  errors: Record<string, number>
}

/**
 * Recovers the secret mixture of the demo's fine-tuned model from its weights and 1 000 texts it never saw, then
 * compares: `recover` is not told the truth. Leaves the texts, `probes.jsonl`, in the folder, for `recover` by hand.
 * @throws WarpError OUTPUT_EXISTS where the folder holds something else and `force` is not set; those of `recover`
 */
export async function demo(options: DemoOptions = {}): Promise<DemoOutcome> {
  const { output: folder = 'warp-demo', force = false, ...control } = options
  const { probes } = await demoTexts()
  const lines = probes.map(({ text, domain }) => JSON.stringify({ text, label: domain }) + '\n').join('')
  if (!force) await checkOwn(folder, lines)
  await mkdir(folder, { recursive: true })
  const file = join(folder, demoFiles[0])
  await writeFileAtomic(file, lines, { force: true })
  const { base, reference, truth } = demoModels()
  // The base was saved without a classification head, as most are.
  const models = { base, reference, baseHead: 'zeros' as const }
  const recovered = await recover({ ...models, probes: [file], ...control })
  const errors = recovered.result.mixtures.map(({ readout, mixture }) => [readout, meanError(mixture, truth)])
  return { folder, models, recovered, truth, errors: Object.fromEntries(errors) }
}

/** A folder is the demo's own when it is new or empty, or holds its files and exactly its probes. */
async function checkOwn(folder: string, probes: string): Promise<void> {
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw usageError('OUTPUT_NOT_A_FOLDER', `${folder}: ${error.message}`, { file: folder }, 'another -o')
  })
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
