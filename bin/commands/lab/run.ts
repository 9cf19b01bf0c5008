import { Option, type Command } from 'commander'
import type { LabRunOptions, LabRunPlan, LabRunResult } from '../../../lib/lab/index.js'
import { execute, framed, type FrameOptions } from '../../frame.js'
import { bytes, duration, integer, list } from '../../values.js'

type RunFlags = FrameOptions &
  Omit<LabRunOptions, 'lab' | 'executor'> & { executor: 'local' | 'slurm'; dryRun?: boolean }

export function run(command: Command): void {
  framed(
    command
      .description('fine-tunes and footprints the trials that are not done; may be stopped and repeated at any time')
      .argument('<folder>', 'of a plan'),
  )
    .addOption(
      new Option('--executor <name>', 'local: processes of this machine; slurm: one job array, options from SBATCH_…')
        .choices(['local', 'slurm'])
        .default('local'),
    )
    .option(
      '--workers <n>',
      'trials at a time (default: one per core that memory allows; slurm: any number)',
      integer(1),
    )
    .option('--threads <n>', 'of each (default: cores / workers; slurm: 1)', integer(1))
    .option('--memory <size>', "budget for one trial's footprint (default: 2GiB)", bytes)
    .option('--only <i,j,...>', 'these trials', (value: string) => list(value).map(integer(0)))
    .option('-n, --dry-run', 'check everything and say what would run')
    .action(async (folder: string, { json, quiet, verbose, executor, dryRun, ...options }: RunFlags) => {
      await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
        const { planRun, runLab, SlurmExecutor } = await import('../../../lib/lab/index.js')
        const slurm =
          executor === 'slurm' ? { executor: new SlurmExecutor(options.workers), threads: options.threads ?? 1 } : {}
        const all = { ...options, ...slurm, lab: folder, signal, onProgress }
        if (dryRun) {
          const planned = await planRun(all)
          return { json: planned, text: runPlanText(planned) }
        }
        signal.addEventListener('abort', () => note(`stopping; warp lab run ${folder} goes on from here`), {
          once: true,
        })
        const result = await runLab(all)
        return { json: result, text: runText(result, folder), exitCode: result.failed.length > 0 ? 3 : 0 }
      })
    })
}

function runPlanText({ executor, threads, earlier, tasks, seconds }: LabRunPlan): string[] {
  return [
    `${tasks.length} trials to run (${executor}, ${threads} ${threads === 1 ? 'thread' : 'threads'} ` +
      `each)${earlier.length > 0 ? `; ${earlier.length} are there` : ''}`,
    ...(tasks.length > 0
      ? [`  trials ${tasks.join(', ')}`, `  about ${duration(seconds)} at the speed of the machine that planned`]
      : []),
  ]
}

function runText({ lab, trials, earlier, done, failed, seconds }: LabRunResult, given: string): string[] {
  return [
    `${done} of ${trials} trials done in ${Math.round(seconds)} s${earlier > 0 ? `, ${earlier} were there` : ''}`,
    ...failed.map(({ index, code, message }) => `  trial ${index} failed: ${message} [${code}]`),
    `in ${lab}`,
    `${failed.length > 0 ? 'again' : 'next'}: warp lab ${failed.length > 0 ? 'run' : 'report'} ${given}`,
  ]
}
