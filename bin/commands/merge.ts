import type { Command } from 'commander'
import type { MergeOptions, MergePlan, MergeResult } from '../../lib/merge/index.js'
import { printable } from '../../lib/printable.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { pairOptions, pathOptions, waitOption } from '../probe-options.js'
import { bytes, integer, real } from '../values.js'

type Flags = FrameOptions & MergeOptions & { dryRun?: boolean }

export function register(program: Command): void {
  const command = program
    .command('merge')
    .description('writes one pseudo-checkpoint, or a whole path of them, as Hugging Face model directories')
  for (const add of [pairOptions, pathOptions]) add(command)
  framed(command)
    .option('--lambda <x>', 'one point instead of a path: the output is its model directory', real)
    .option('--dtype <name>', 'of the written tensors: same, f32, f16, bf16', 'same')
    .option('--max-shard <size>', 'of one weight file (default: 5GB)', bytes)
    .option('--threads <n>', 'default: all', integer(1))
    .option('--seed <n>', 'of the masks of dare and della', integer(0), 0)
    .requiredOption('-o, --output <folder>', 'the model directory; of a path the folder of point-01, point-02, …')
    .option('-f, --force', 'replace what a merge wrote there')
    .addOption(waitOption())
    .option('-n, --dry-run', 'check everything and print the plan')
    .addHelpText('after', '\nInterrupted? The same command goes on with what is missing and gives the same bytes.')
    .action(mergeCommand)
}

async function mergeCommand(flags: Flags): Promise<void> {
  const { json, quiet, verbose, dryRun, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { merge, planMerge } = await import('../../lib/merge/index.js')
    if (dryRun) {
      const plan = await planMerge({ ...options, signal, onProgress })
      return { json: plan, text: planText(plan) }
    }
    const result = await merge({ ...options, signal, onProgress })
    return { json: result, text: text(result) }
  })
}

function text(result: MergeResult): string[] {
  const branches = new Map<string, number>()
  for (const { branch } of result.tensors) branches.set(branch, (branches.get(branch) ?? 0) + 1)
  return [
    `${result.points.length} × ${(result.bytes / 1e6).toFixed(1)} MB along ${result.path.family}:`,
    ...result.points.map(({ lambda, dir }) => `  λ ${lambda.toFixed(4)}  ${dir}`),
    `  tensors: ${[...branches].map(([branch, count]) => `${count} ${branch}`).join(', ')}`,
    ...(result.resumed > 0 ? [`  ${result.resumed} weight files were there from an interrupted run`] : []),
    ...result.notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
}

function planText(plan: MergePlan): string[] {
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`
  return [
    `${plan.lambdas.length} models of ${gigabytes(plan.bytesPerPoint)} in ${plan.filesPerPoint} weight files each`,
    `  disk     ${gigabytes(plan.bytes)} needed, ${gigabytes(plan.freeBytes)} free`,
    `  tensors  ${plan.tensors}, ${plan.fixed} of them stay at the base`,
    ...plan.notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
}
