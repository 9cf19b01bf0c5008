import path from 'node:path'
import { Option, type Command } from 'commander'
import type { LabPlan, LabPlanOptions, LabRunOptions, LabRunPlan, LabRunResult } from '../../lib/lab/index.js'
import type { PathOptions } from '../../lib/paths/options.js'
import type { RecipeOptions } from '../../lib/train/index.js'
import { printableName } from '../../lib/printable.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { withOutput, writeOutput } from '../output-folder.js'
import { textOptions, textSources, waitOption, objectiveOption, scopeOption } from '../probe-options.js'
import { baseHead, bytes, integer, list, real, reals } from '../values.js'
import { recipeOptions } from './train.js'

export function register(program: Command): void {
  const lab = program
    .command('lab')
    .description(
      'synthetic mixtures: fine-tune and footprint many models, train the projector, cross-validate every readout',
    )
  plan(lab.command('plan'))
  run(lab.command('run'))
  fit(lab.command('fit'))
  report(lab.command('report'))
}

type PlanFlags = FrameOptions &
  Omit<LabPlanOptions, 'sampler' | 'paths' | 'recipe'> &
  RecipeOptions & {
    sampler: 'paper' | 'dirichlet'
    alpha?: number
    path: string[]
    points?: number
    lambdas?: number[]
  }

function plan(command: Command): void {
  command
    .description('samples the mixtures and writes plan.json')
    .requiredOption('--base <dir>', 'model that is fine-tuned: a folder, or hf:owner/name[@revision]')
    .requiredOption('--data <file...>', `labelled texts: ${textSources}`)
    .requiredOption('-o, --output <folder>', "the lab's folder")
    .option('--labels <a,b,c>', 'class names in the order of their ids', list)
    .option('--trials <n>', 'models to fine-tune', integer(1), 16)
    .option('--texts <n>', 'that each is trained on', integer(2), 800)
    .addOption(new Option('--sampler <name>', 'of the mixtures').choices(['paper', 'dirichlet']).default('paper'))
    .option('--alpha <x>', 'of the Dirichlet sampler (default: 1)', real)
    .option('--probes-per-domain <n>', 'texts kept for footprints', integer(1), 60)
    .addOption(
      new Option('--pool <name>', 'disjoint: no probe is trained on')
        .choices(['disjoint', 'shared'])
        .default('disjoint'),
    )
    .option('--replace', 'a text may be drawn more than once')
  for (const add of [textOptions, recipeOptions]) add(command)
  framed(command)
    .option('--path <family,...>', 'footprints along these', list, ['linear'])
    .option('--points <n>', 'on each path (default: 5)', integer(1))
    .option('--lambdas <a,b,...>', 'the points themselves', reals)
    .addOption(scopeOption())
    .addOption(objectiveOption())
    .option('--base-head <zeros|seed:N>', 'of a base that has none, in footprints (default: zeros)', baseHead)
    .addOption(new Option('--dtype <name>', 'of the trained weights').choices(['F32', 'F16', 'BF16']).default('F16'))
    .addOption(new Option('--keep <what>', 'of a trial').choices(['footprints', 'weights']).default('footprints'))
    .option('--seed <n>', 'of everything that is drawn', integer(0), 0)
    .option('--force', 'replace a plan')
    .addOption(waitOption())
    .option('-n, --dry-run', 'print the plan and its cost, write nothing')
    .action(planCommand)
}

async function planCommand({
  json,
  quiet,
  verbose,
  sampler,
  alpha,
  path: families,
  points,
  lambdas,
  ...flags
}: PlanFlags): Promise<void> {
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { planLab } = await import('../../lib/lab/index.js')
    const { recipeOf } = await import('../../lib/train/index.js')
    const { seed: _seed, ...recipe } = recipeOf(flags) // that of a recipe is the trial's own
    const paths = families.map(
      (family): PathOptions => ({ path: family, ...(lambdas ? { lambdas } : { points: points ?? 5 }) }),
    )
    const made = await planLab({
      ...flags,
      recipe,
      paths,
      sampler: sampler === 'paper' ? 'paper' : { dirichlet: alpha ?? 1 },
      signal,
      onProgress,
    })
    return { json: made, text: planText(made, flags) }
  })
}

function planText(made: LabPlan, { output, dryRun }: Pick<LabPlanOptions, 'output' | 'dryRun'>): string[] {
  const names = made.domains.map(printableName)
  const width = Math.max(...names.map((name) => name.length))
  const each = made.trials[0].counts.reduce((a, b) => a + b, 0)
  const {
    pilot,
    trial,
    seconds,
    bytes: { kept, running },
  } = made.estimate
  const megabytes = (n: number): string => `${(n / 1e6).toPrecision(3)} MB`
  return [
    `${made.trials.length} trials of ${each} texts, ${made.probes.length} probes, paths ` +
      `${made.paths.map(({ path: family }) => family ?? 'linear').join(', ')}`,
    ...names.map(
      (name, d) =>
        `  ${name.padEnd(width)}  ${made.counts[d]} texts; trained on ` +
        `${Math.min(...made.trials.map(({ counts }) => counts[d]))} to ` +
        `${Math.max(...made.trials.map(({ counts }) => counts[d]))}`,
    ),
    `  time  about ${duration(seconds)} on the ${pilot.threads} cores here: ${trial.trainSeconds.toFixed(1)} s of ` +
      `training a trial, ${trial.footprintSeconds.toFixed(1)} s of footprints`,
    `  disk  ${megabytes(kept)} stay; ${megabytes(running)} more for each trial that runs`,
    `  (a pilot of ${pilot.steps} steps, ${pilot.secondsPerStep.toPrecision(3)} s each, and ${pilot.probes} ` +
      `probes, ${pilot.scoreSeconds.toPrecision(3)} s)`,
    dryRun ? 'nothing was written' : `run it: warp lab run ${output}`,
  ]
}

function duration(seconds: number): string {
  return seconds < 100
    ? `${Math.ceil(seconds)} s`
    : seconds < 6000
      ? `${Math.ceil(seconds / 60)} min`
      : `${(seconds / 3600).toFixed(1)} h`
}

type RunFlags = FrameOptions &
  Omit<LabRunOptions, 'lab' | 'executor'> & { executor: 'local' | 'slurm'; dryRun?: boolean }

function run(command: Command): void {
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
        const { planRun, runLab, SlurmExecutor } = await import('../../lib/lab/index.js')
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
        return { json: result, text: runText(result), exitCode: result.failed.length > 0 ? 3 : 0 }
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

function runText({ lab, trials, earlier, done, failed, seconds }: LabRunResult): string[] {
  return [
    `${done} of ${trials} trials done in ${Math.round(seconds)} s${earlier > 0 ? `, ${earlier} were there` : ''}`,
    ...failed.map(({ index, code, message }) => `  trial ${index} failed: ${message} [${code}]`),
    `in ${lab}`,
  ]
}

const trialsOf = (folder: string): string => path.join(folder, 'trials')

function fit(command: Command): void {
  framed(command.description('trains the projectors on all trials that are done').argument('<folder>', 'of a lab'))
    .option('--seed <n>', 'of parameters, batches and folds', integer(0), 42)
    .option('--deviations', 'the network also sees the standard deviations of the scores')
    .option('-o, --output <folder>', "of the projectors (default: projectors in the lab's folder)")
    .option('--force', 'replace projectors')
    .addOption(waitOption())
    .action(
      async (
        folder: string,
        flags: FrameOptions & { seed: number; deviations?: boolean; output?: string; force?: boolean; wait?: boolean },
      ) => {
        await execute(flags, async ({ signal, onProgress }) => {
          const { fitProjectors, projectorFile, readPlan, readTrials, saveProjector } = await import(
            '../../lib/lab/index.js'
          )
          const output = flags.output ?? path.join(folder, 'projectors')
          const fitted = await fitProjectors(await readTrials(trialsOf(folder), (await readPlan(folder)).digest), {
            seed: flags.seed,
            deviations: flags.deviations,
            signal,
            onProgress,
          })
          const { force, wait } = flags
          const claim = { files: fitted.map(projectorFile), force, wait, inputs: [], signal, onProgress }
          await withOutput(output, claim, async () => {
            for (const document of fitted)
              await saveProjector(path.join(output, projectorFile(document)), document, force)
          })
          const lines = fitted.map(
            (document) =>
              `  ${projectorFile(document).padEnd(28)} mean absolute error ${document.training.error.toFixed(4)} ` +
              'on folds left out',
          )
          return {
            json: fitted,
            text: [`${fitted.length} projectors from ${fitted[0].training.trials} trials in ${output}`, ...lines].join(
              '\n',
            ),
          }
        })
      },
    )
}

function report(command: Command): void {
  framed(
    command
      .description('cross-validates every readout on the trials: the table of mean errors')
      .argument('<folder>', 'of a lab'),
  )
    .option('--folds <n>', 'of the cross-validation (default: 10)', integer(2))
    .option('--seed <n>', 'of folds and fits (default: 42)', integer(0))
    .option('-o, --output <folder>', 'writes report.json and trials.csv')
    .option('--force', 'replace existing output')
    .addOption(waitOption())
    .action(
      async (
        folder: string,
        {
          output,
          force,
          wait,
          json,
          quiet,
          verbose,
          ...options
        }: FrameOptions & { folds?: number; seed?: number; output?: string; force?: boolean; wait?: boolean },
      ) => {
        await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
          const { labTable, readPlan, readTrials, reportTable, trialsCsv } = await import('../../lib/lab/index.js')
          const claim = { files: ['report.json', 'trials.csv'], force, wait, inputs: [], signal, onProgress }
          return withOutput(output, claim, async () => {
            const { sampler, digest } = await readPlan(folder)
            const reported = await reportTable(await readTrials(trialsOf(folder), digest), {
              ...options,
              sampler,
              signal,
              onProgress,
            })
            if (output)
              await writeOutput(
                output,
                { 'report.json': `${JSON.stringify(reported.report, null, 2)}\n`, 'trials.csv': trialsCsv(reported) },
                force,
              )
            return { json: reported.report, text: labTable(reported.report, { width: process.stdout.columns }) }
          })
        })
      },
    )
}
