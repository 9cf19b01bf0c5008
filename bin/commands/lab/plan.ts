import { Option, type Command } from 'commander'
import type { LabPlan, LabPlanOptions } from '../../../lib/lab/index.js'
import type { PathOptions } from '../../../lib/paths/options.js'
import { printableName } from '../../../lib/printable.js'
import type { RecipeOptions } from '../../../lib/train/index.js'
import { execute, framed, type FrameOptions } from '../../frame.js'
import { cutTextOptions, objectiveOption, scopeOption, textSources, waitOption } from '../../probe-options.js'
import { baseHead, duration, integer, list, real, reals } from '../../values.js'
import { refuseUnused } from '../../../lib/errors.js'
import { recipeOptions } from '../train.js'

type PlanFlags = FrameOptions &
  Omit<LabPlanOptions, 'sampler' | 'paths' | 'recipe'> &
  RecipeOptions & {
    sampler: 'paper' | 'dirichlet'
    alpha?: number
    path: string[]
    points?: number
    lambdas?: number[]
  }

export function plan(command: Command): void {
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
  for (const add of [cutTextOptions, recipeOptions]) add(command)
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
    .option('-f, --force', 'replace a plan')
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
    const { planLab } = await import('../../../lib/lab/index.js')
    if (sampler === 'paper') refuseUnused({ alpha }, "with the paper's sampler")
    const { recipeKeys, recipeOf } = await import('../../../lib/train/index.js')
    const { seed: _seed, ...recipe } = recipeOf(flags) // that of a recipe is the trial's own
    const own = Object.entries(flags).filter(([key]) => key === 'seed' || !recipeKeys.some((name) => name === key))
    const paths = families.map(
      (family): PathOptions => ({ path: family, lambdas, points: lambdas ? points : (points ?? 5) }),
    )
    const made = await planLab({
      ...(Object.fromEntries(own) as unknown as typeof flags),
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
        `${made.trials.reduce((least, { counts }) => Math.min(least, counts[d]), Number.POSITIVE_INFINITY)} to ` +
        `${made.trials.reduce((most, { counts }) => Math.max(most, counts[d]), 0)}`,
    ),
    `  time  about ${duration(seconds)} on the ${pilot.threads} cores here: ${trial.trainSeconds.toFixed(1)} s of ` +
      `training a trial, ${trial.footprintSeconds.toFixed(1)} s of footprints`,
    `  disk  ${megabytes(kept)} stay; ${megabytes(running)} more for each trial that runs`,
    `  (a pilot of ${pilot.steps} steps, ${pilot.secondsPerStep.toPrecision(3)} s each, and ${pilot.probes} ` +
      `probes, ${pilot.scoreSeconds.toPrecision(3)} s)`,
    dryRun ? 'nothing was written' : `run it: warp lab run ${output}`,
  ]
}
