import { join } from 'node:path'
import { Option, type Command } from 'commander'
import type { TrainingResult, TrainOptions, TrainPlan } from '../../lib/train/index.js'
import { printable, printableName } from '../../lib/printable.js'
import { packageTool } from '../../lib/doctor.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { trainingGroup, under } from '../groups.js'
import { objectiveOption, textOptions, textSources, waitOption } from '../probe-options.js'
import { integer, list, real } from '../values.js'

type Flags = FrameOptions & TrainOptions & { dryRun?: boolean }

/** The training as a page, beside its record `warp.train.json`. */
const pageFile = 'warp.train.html'

/** How a model is trained: the keys of a recipe, but for the length of texts and the seed. */
export function recipeOptions(command: Command): Command {
  return under(command, trainingGroup, addRecipe)
}

function addRecipe(command: Command): Command {
  return command
    .option('--epochs <n>', 'default: 3', integer(1))
    .option('--batch <n>', 'texts of one pass (default: 32)', integer(1))
    .option('--accumulate <n>', 'passes of one step (default: 1)', integer(1))
    .addOption(new Option('--optimizer <name>', 'default: adamw').choices(['adamw', 'adam']))
    .option('--learning-rate <x>', 'default: 5e-5', real)
    .option('--weight-decay <x>', 'default: 0.01 for adamw, 0 for adam', real)
    .option('--beta1 <x>', 'default: 0.9', real)
    .option('--beta2 <x>', 'default: 0.999', real)
    .option('--epsilon <x>', 'default: 1e-8', real)
    .option('--clip <norm>', 'largest norm of the gradient (default: any)', real)
    .addOption(new Option('--schedule <name>', 'of the rate (default: constant)').choices(['constant', 'linear']))
    .option('--warmup <steps>', 'over which the rate rises (default: 0)', integer(0))
    .option('--dropout <rate>', "default: the rates of the model's configuration", real)
    .option(
      '--pack <tokens>',
      'language models: texts of a domain in windows of so many tokens (default: one by one)',
      integer(2),
    )
    .option('--layers <which>', 'all, head, or last:N (default: all)')
    .option('--freeze <pattern,...>', "tensors that keep the base's values; * stands for anything", list)
}

export function register(program: Command): void {
  const command = program
    .command('train')
    .description('fine-tunes a classifier or a language model; a run that was stopped goes on when repeated')
    .requiredOption('--base <dir>', 'model to fine-tune: a folder, or hf:owner/name[@revision]')
    .requiredOption('--data <file...>', `labelled texts: ${textSources}`)
    .requiredOption(
      '-o, --output <folder>',
      `becomes a model directory, with the record of the training and ${pageFile}`,
    )
    .option(
      '--labels <a,b,c>',
      "class names in the order of their ids (default: the label map's, the base's, else sorted)",
      list,
    )
  for (const add of [textOptions, recipeOptions]) add(command)
  command.addOption(objectiveOption())
  framed(command)
    .addOption(new Option('--dtype <name>', 'of the saved weights').choices(['F32', 'F16', 'BF16']).default('F32'))
    .option('--save-steps <n>', 'a model directory checkpoint-N inside the output every n steps', integer(1))
    .option('--threads <n>', 'default: all', integer(1))
    .option('--seed <n>', 'of the order of texts, dropout, a new head and subsamples', integer(0), 0)
    .option('-f, --force', 'start over where something is there')
    .addOption(waitOption())
    .option('-n, --dry-run', 'check everything, try one step and print the plan')
    .action(trainCommand)
}

async function trainCommand({ json, quiet, verbose, dryRun, ...options }: Flags): Promise<void> {
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    const { planTrain, train } = await import('../../lib/train/index.js')
    if (dryRun) {
      const plan = await planTrain({ ...options, signal, onProgress })
      return { json: plan, text: planText(plan) }
    }
    signal.addEventListener('abort', () => note('stopping; the same command goes on from here'), { once: true })
    const { filesNow, hashGiven, writeFileAtomic } = await import('../../lib/checkpoint/index.js')
    const { sourceNames } = await import('../../lib/text/given.js')
    const texts = { role: 'texts', files: await filesNow(sourceNames(options.data)) }
    const onSaved = async (result: TrainingResult): Promise<void> => {
      const { trainPage } = await import('../../lib/report/index.js')
      const { base } = options
      const files = await hashGiven([{ role: 'base', model: base }, texts], { signal, onProgress })
      const page = trainPage({ result, base, tool: packageTool(), files, options: { ...options } })
      await writeFileAtomic(join(options.output, pageFile), page, { force: true })
    }
    const result = await train({ ...options, onSaved, signal, onProgress })
    return { json: result, text: summary(result) }
  })
}

function planText(plan: TrainPlan): string[] {
  const mib = (n: number): string => `${Math.ceil(n / 2 ** 20)} MiB`
  const { texts, labels, counts, tokens, steps, resumesAt, trained, notes } = plan
  const classes = labels.map((name, c) => `${printableName(name)} ${counts[c]}`).join(', ')
  return [
    `${texts} texts of ${labels.length} classes (${classes}), ` +
      `${tokens} tokens; ${steps} steps${resumesAt > 0 ? `, ${resumesAt} of them taken` : ''}`,
    `  trains  ${trained.parameters} of ${trained.of} parameters`,
    `  memory  ${mib(plan.peakMemoryBytes)} at the peak, ${mib(plan.workingMemoryBytes)} of it working buffers`,
    `  disk    ${mib(plan.diskBytes)}, the state to resume from included`,
    `  work    ${(plan.flops / 1e12).toFixed(2)} TFLOP, about ${Math.ceil(plan.estimatedSeconds)} s`,
    ...notes.map((line) => `  note: ${printable(line, 1000)}`),
  ]
}

function summary({
  data,
  steps,
  loss,
  trained,
  checkpoints,
  output,
  seconds,
  resumedAt,
  recipe,
  notes,
}: TrainingResult): string[] {
  const mean = (values: number[]): string => (values.reduce((a, b) => a + b, 0) / values.length).toFixed(4)
  const tenth = Math.max(1, Math.floor(steps / 10))
  const rate = (data.tokens * recipe.epochs * (steps - resumedAt)) / steps / seconds
  return [
    `${data.texts} texts of ${data.labels.length} classes, ${data.tokens} tokens; ${steps} ` +
      `steps${resumedAt > 0 ? `, ${resumedAt} of them earlier` : ''}`,
    `  loss    ${mean(loss.slice(0, tenth))} at first, ${mean(loss.slice(-tenth))} at last`,
    `  trained ${trained.parameters} of ${trained.of} parameters, ${Math.round(rate)} tokens a second`,
    ...(checkpoints.length > 0 ? [`  checkpoints at ${checkpoints.join(', ')}`] : []),
    ...notes.map((line) => `  note: ${printable(line, 1000)}`),
    `saved in ${output}`,
  ]
}
