import { join } from 'node:path'
import { CommanderError, Option, type Command } from 'commander'
import type {
  EvaluateOptions,
  EvaluateResult,
  FeatureOptions,
  MergeOptions,
  PartResult,
  Selected,
  SelectOptions,
  SelectPlan,
  SelectResult,
} from '../../lib/select/index.js'
import { printable, printableName } from '../../lib/printable.js'
import { packageTool } from '../../lib/doctor.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { LineWriter } from '../line-writer.js'
import { checkPlace, withOutput, writeOutput } from '../output-folder.js'
import { inputsOf, rowOptions, textSources, threadsOption, tokenizerOption, waitOption } from '../probe-options.js'
import { baseHead, bytes, duration, integer, real, reals } from '../values.js'
import { recipeOptions } from './train.js'

interface Flags extends FrameOptions, Omit<SelectOptions, 'executor'> {
  /** replaces the selection; the features stay */
  forceSelection?: boolean
  wait?: boolean
  dryRun?: boolean
  /** makes this part only */
  shard?: number
  executor?: 'local' | 'slurm'
}

const files = ['result.json', 'selection.jsonl']
const evaluationFiles = ['evaluation.json', 'evaluation.html']

export function register(program: Command): void {
  const command = program
    .command('select')
    .description('the documents of a corpus whose training moves the base where the reference went')
    .enablePositionalOptions() // those behind `evaluate` are its own
    .option('--base <dir>', 'model directory that was fine-tuned')
    .option('--reference <dir>', 'the fine-tuned model')
    .option('--base-head <zeros|seed:N>', 'the head of a base that has none', baseHead)
    .option('--corpus <file...>', `documents, with labels or without: ${textSources}`)
    .option('--count <n>', 'documents to choose', integer(1))
    .option('-o, --output <folder>', `writes ${files.join(', ')}; features are kept there to go on from`)
  corpusOptions(command)
  choiceOptions(framed(command))
    .addOption(
      new Option(
        '--features <kind>',
        'default: trace if of as many as are chosen 9/10 of the tokens were trained, else head (with --shard: head)',
      ).choices(['trace', 'head', 'top', 'all']),
    )
    .addOption(
      new Option('--labels <whose>', 'default: auto, the reference labels').choices(['auto', 'given', 'random']),
    )
    .option('--points <n>', 'points of the path', integer(1))
    .option('--lambdas <a,b,...>', 'the points themselves (default: 0.1,0.5,0.9)', reals)
    .option(
      '--sketch <numbers>',
      'of a projected gradient at a point, a power of two; 0: none (default: 4096)',
      integer(0),
    )
    .addOption(tokenizerOption())
    .option('--seed <n>', 'of random documents and labels', integer(0), 0)
    .option('--shards <n>', 'features are made by n tasks; each reads the whole corpus', integer(1))
    .option('--shard <i>', 'makes the features of this task only, 0 to n - 1, for `warp select merge`', integer(0))
    .addOption(
      new Option('--executor <name>', 'of tasks: local processes (default); slurm: a job array').choices([
        'local',
        'slurm',
      ]),
    )
    .option(
      '--workers <n>',
      'tasks at a time (default: one per core that memory allows; slurm: any number)',
      integer(1),
    )
    .option('-f, --force', 'start over where something is there, features too')
    .option('--force-selection', 'replace a selection that is there, and use its features')
    .addOption(waitOption())
    .option('-n, --dry-run', 'check everything, try the features of some documents and print the plan')
    .action(selectCommand)
  mergeOptions(command.command('merge'))
  evaluateOptions(command.command('evaluate'))
}

/** Which documents are chosen when their features are there. */
function choiceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--strategy <name>', 'default: greedy for head, else topk-balanced; topk for language models').choices(
        [
          ...['topk', 'topk-balanced', 'greedy', 'greedy-batched', 'matching', 'loss-min', 'loss-max', 'bottomk'],
          'random',
        ],
      ),
    )
    .option('--balance', 'as many documents of each label')
    .addOption(new Option('--dedupe <how>', 'leaves out repeated documents').choices(['exact', 'minhash']))
    .option('--trace-share <share>', 'first keeps those whose words agree best with the trained ones', real)
    .option('--precondition <q>', 'gradients over their root mean squares to the q, 0 to 1 as Adam (default: 0)', real)
    .option('--batch <n>', 'greedy-batched: documents after which the sum starts anew (default: 32)', integer(1))
    .addOption(threadsOption())
    .option('--memory <size>', 'budget for working buffers, weights included (default: 2GiB)', bytes)
}

function mergeOptions(command: Command): void {
  command
    .description('selects over the features that --shard made of all parts of a corpus')
    .argument('<folder...>', 'outputs of `warp select --shards N --shard I`, or the one of all')
    .option('--base <dir>', 'the base, where it lies elsewhere now')
    .option('--reference <dir>', 'the reference, likewise')
    .option('--corpus <file...>', 'the corpus, likewise')
    .requiredOption('--count <n>', 'documents to choose', integer(1))
    .requiredOption('-o, --output <folder>', `writes ${files.join(', ')}; features are gathered there`)
  choiceOptions(framed(command))
    .option('--seed <n>', 'of random documents (default: that of the parts)', integer(0))
    .option('-f, --force', 'replace a selection that is there')
    .addOption(waitOption())
    .action(mergeCommand)
}

function corpusOptions(command: Command): void {
  rowOptions(command)
    .option('--label-map <map>', 'raw value to label, "1=World,2=Sports" or a JSON file')
    .option('--paragraphs', 'lines of .txt files without a blank line between them are one document')
    .option('--window <tokens>', 'longer documents are cut, special tokens included (default: 128)', integer(3))
    .option('--stride <tokens>', "from the start of a window to the next one's (default: the window's)", integer(1))
}

function evaluateOptions(command: Command): void {
  command
    .description('trains the base on a selection, on random documents and on the true ones, and compares the models')
    .argument('<folder>', 'what `warp select` wrote')
    .requiredOption('--test <file...>', `labelled texts: ${textSources}`)
    .option('--true <file...>', 'labelled texts that the reference was trained on')
    .option('--response <column>', 'of these: column that follows the text, which is its prompt (language models)')
    .option('--label-map <map>', 'raw value to label of these, "1=World,2=Sports" or a JSON file')
    .addOption(
      new Option('--labels <kind>', "hard, or soft: the reference's probabilities (default: hard)").choices([
        'hard',
        'soft',
      ]),
    )
    .option('--seeds <n>', 'trainings of each (default: 1)', integer(1))
    .option('--random <n>', 'random choices to compare with (default: 1)', integer(0))
    .option('--max-length <tokens>', "special tokens included (default: 256 or the model's positions)", integer(1))
    .option('--keep', 'keep the trained models under the folder')
  recipeOptions(command)
  framed(command)
    .addOption(threadsOption())
    .option('-f, --force', `replace ${evaluationFiles.join(', ')}`)
    .addOption(waitOption())
    .action(evaluateCommand)
}

/** What must be given; a subcommand's parent cannot ask for it itself. */
function checkGiven(flags: Partial<Flags>): void {
  const { shards, shard, executor, workers, dryRun } = flags
  if (shards === undefined && [shard, executor, workers].some((one) => one !== undefined))
    throw new CommanderError(2, 'commander.optionAlone', '--shard, --executor and --workers go with --shards')
  if (dryRun && shard !== undefined)
    throw new CommanderError(2, 'commander.conflictingOption', '--dry-run is of the whole corpus: leave --shard out')
  for (const name of ['base', 'reference', 'corpus', 'count', 'output'] as const) {
    if (flags[name] === undefined && !(name === 'count' && shard !== undefined))
      throw new CommanderError(2, 'commander.missingMandatoryOptionValue', `required option '--${name}' not specified`)
  }
}

async function selectCommand(flags: Flags): Promise<void> {
  checkGiven(flags)
  if (flags.shard !== undefined) return partCommand(flags)
  const { json, quiet, verbose, forceSelection, wait, dryRun, executor, shard: _none, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    const { planSelect, select } = await import('../../lib/select/index.js')
    if (dryRun) {
      const plan = await planSelect({ ...options, signal, onProgress })
      return { json: plan, text: planText(plan) }
    }
    const { output } = options
    const force = options.force || forceSelection
    const inputs = inputsOf(options)
    return withOutput(output, { files, force, wait, inputs, signal, onProgress }, async () => {
      signal.addEventListener('abort', () => note('stopping; the same command goes on from here'), { once: true })
      const tasks = executor === 'slurm' ? { executor: await slurm(options.workers) } : {}
      const selected = await select({ ...options, ...tasks, signal, onProgress })
      await writeSelection(output, selected, force)
      return { json: selected.result, text: report(selected.result, output) }
    })
  })
}

async function slurm(workers?: number) {
  const { SlurmExecutor } = await import('../../lib/lab/index.js')
  return new SlurmExecutor(workers)
}

async function writeSelection(output: string, { result, documents }: Selected, force?: boolean): Promise<void> {
  const lines = await LineWriter.open(join(output, 'selection.jsonl'), force)
  try {
    for (const document of documents) await lines.add(document)
    await lines.commit()
  } finally {
    await lines.discard()
  }
  await writeOutput(output, { 'result.json': `${JSON.stringify(result, null, 2)}\n` }, force)
}

async function partCommand(flags: Flags): Promise<void> {
  const { json, quiet, verbose, forceSelection: _none, executor: _local, shards, shard, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    const { selectPart } = await import('../../lib/select/index.js')
    signal.addEventListener('abort', () => note('stopping; the same command goes on from here'), { once: true })
    const part = { index: shard!, of: shards! }
    await checkPlace(options.output, inputsOf(options))
    const result = await selectPart({ ...(options as FeatureOptions), signal, onProgress }, part)
    return { json: result, text: partReport(result, options.output) }
  })
}

const partReport = (
  { part, parts, own, reused, windows, documents, seconds }: PartResult,
  output: string,
): string[] => [
  `shard ${part} of ${parts}: ${own} files of features${reused > 0 ? `, ${reused} were there` : ''}`,
  `  corpus     ${windows} windows of ${documents} documents`,
  `  time       ${seconds.toFixed(1)} s`,
  `written to ${output}; when all are there: warp select merge ${output} --count N -o OUT`,
]

type MergeFlags = FrameOptions & Omit<MergeOptions, 'parts'> & { force?: boolean }

async function mergeCommand(parts: string[], flags: MergeFlags): Promise<void> {
  const { json, quiet, verbose, force, wait, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { mergeSelection } = await import('../../lib/select/index.js')
    const { output } = options
    const inputs = inputsOf(options)
    return withOutput(output, { files, force, wait, inputs, signal, onProgress }, async () => {
      const selected = await mergeSelection({ ...options, parts, signal, onProgress })
      await writeSelection(output, selected, force)
      return { json: selected.result, text: report(selected.result, output) }
    })
  })
}

type EvaluateFlags = FrameOptions & Omit<EvaluateOptions, 'selection'> & { force?: boolean; wait?: boolean }

async function evaluateCommand(folder: string, flags: EvaluateFlags): Promise<void> {
  const { json, quiet, verbose, wait, force, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { evaluateSelection } = await import('../../lib/select/index.js')
    const { readSelection } = await import('../../lib/select/written.js')
    const { evaluatePage } = await import('../../lib/report/index.js')
    const { filesNow, hashGiven } = await import('../../lib/checkpoint/index.js')
    const inputs = [...options.test, ...(options.true ?? [])]
    const claim = { files: evaluationFiles, force, wait, inputs, signal, onProgress }
    return withOutput(folder, claim, async () => {
      const { result: selection } = await readSelection(folder)
      const [selected, test, truth] = await Promise.all(
        [[join(folder, 'selection.jsonl')], options.test, options.true].map((paths) => filesNow(paths)),
      )
      const result = await evaluateSelection({ ...options, selection: folder, signal, onProgress })
      const files = await hashGiven(
        [
          { role: 'base', model: selection.base },
          { role: 'reference', model: selection.reference },
          { role: 'selection', files: selected },
          { role: 'test', files: test },
          { role: 'true', files: truth },
        ],
        { signal, onProgress },
      )
      const written = {
        'evaluation.json': `${JSON.stringify(result, null, 2)}\n`,
        'evaluation.html': evaluatePage({ result, selection, tool: packageTool(), files, options: { ...options } }),
      }
      await writeOutput(folder, written, force)
      return { json: result, text: evaluation(result) }
    })
  })
}

const divided = (q: number): string => (q > 0 ? `, preconditioned by q = ${q}` : '')

function planText(plan: SelectPlan): string[] {
  const mib = (size: number): string => `${Math.ceil(size / 2 ** 20)} MiB`
  const { windows, documents, tokens, features, shards, reused, tried, notes, precondition: q } = plan
  return [
    `${windows} windows of ${documents} documents, ${tokens} tokens, features ${features}${divided(q)}`,
    `  memory  working buffers within ${mib(plan.memoryBudgetBytes)}; ${mib(plan.peakMemoryBytes)} at the peak so far`,
    `  disk    ${mib(plan.diskBytes)} of features (${mib(plan.freeBytes)} are free)` +
      (reused > 0 ? `; ${reused} of ${shards} shards are there` : ''),
    `  work    about ${duration(plan.estimatedSeconds)} for the features, by ${tried} windows tried; then the choice`,
    ...notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
}

function report(result: SelectResult, output: string): string[] {
  const { documents, windows, split, selected, features, strategy, labels, counts, featureBytes, notes } = result
  const q = result.precondition
  const seconds = Object.values(result.timings).reduce((sum, one) => sum + one, 0)
  const counted = Object.entries(counts)
  return [
    `${selected} of ${windows} windows of ${documents} documents, by ${features} features and ${strategy}${divided(q)}`,
    ...(split > 0 ? [`  cut        ${split} windows are parts of documents longer than ${result.window} tokens`] : []),
    ...(result.repeated + result.filtered > 0
      ? [`  left out   ${result.repeated} repeated, ${result.filtered} by their words`]
      : []),
    ...(counted.length > 0
      ? [`  labels     ${labels}: ${counted.map(([name, count]) => `${printableName(name)} ${count}`).join(', ')}`]
      : []),
    ...(result.sketch?.error == null
      ? []
      : [`  sketches   ${result.sketch.size} numbers, products off by ${result.sketch.error.toFixed(3)} of lengths`]),
    ...(result.cosine === null ? [] : [`  cosine     ${result.cosine.toFixed(4)} of the sum with the direction`]),
    `  features   ${Math.ceil(featureBytes.total / 2 ** 20)} MiB, ${Math.ceil(featureBytes.perWindow)} bytes a window` +
      (result.reused > 0 ? `; ${result.reused} shards were there` : ''),
    `  time       ${seconds.toFixed(1)} s`,
    ...notes.map((note) => `  note: ${printable(note, 1000)}`),
    `written to ${output}`,
  ]
}

function evaluation({ rows, testTexts, seeds, measure }: EvaluateResult): string[] {
  const cell = (value: number | null | undefined, digits = 3): string =>
    (value === null || value === undefined ? '-' : value.toFixed(digits)).padStart(11)
  return [
    `${testTexts} test texts, ${seeds} training${seeds === 1 ? '' : 's'} each`,
    `  ${'trained on'.padEnd(10)} ${['texts', measure, 'sd', 'agrees', 'KL', 'cosine', 'length', 'words in']
      .map((name) => name.padStart(11))
      .join('')}`,
    ...rows.map(
      (row) =>
        `  ${row.name.padEnd(10)} ${String(row.texts || '-').padStart(11)}${cell(row.value)}${cell(row.sd)}` +
        `${cell(row.agreement)}${cell(row.divergence)}${cell(row.displacement?.cosine)}` +
        `${cell(row.displacement?.relativeNorm)}${cell(row.overlap?.containment)}`,
    ),
  ]
}
