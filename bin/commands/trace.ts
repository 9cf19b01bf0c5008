import { InvalidArgumentError, Option, type Command } from 'commander'
import type { TraceOptions, TraceResult } from '../../lib/trace/index.js'
import type { TracePlan } from '../../lib/plan-trace.js'
import { printable, printableName } from '../../lib/printable.js'
import { execute, framed, type FrameOptions, type Output } from '../frame.js'
import type { LineWriter } from '../line-writer.js'
import { withFile, withOutput } from '../output-folder.js'
import { fileOptions, inputsOf, textSources, threadsOption, tokenizerOption, waitOption } from '../probe-options.js'
import { refuseUnused } from '../../lib/errors.js'
import { duration, integer } from '../values.js'

interface Flags extends FrameOptions, Omit<TraceOptions, 'labelMap' | 'probes'> {
  probes?: string[]
  labelMap?: string
  members?: string
  output?: string
  force?: boolean
  wait?: boolean
  strict?: boolean
  dryRun?: boolean
}

export function register(program: Command): void {
  fileOptions(
    framed(program.command('trace'))
      .description(
        'what the embedding table alone gives away: tokens trained on, texts excluded with certainty, members, mixture',
      )
      .requiredOption('--base <dir>', 'model that was fine-tuned: a folder, or hf:owner/name[@revision]')
      .requiredOption('--reference <dir>', 'the fine-tuned model, or a LoRA adapter of the base')
      .option('--probes <file...>', `candidate texts: ${textSources}`),
  )
    .option(
      '--max-length <tokens>',
      'tokens of a text that count (default: those of the longest training text)',
      integer(1),
    )
    .option(
      '--calibrate <n>',
      'synthetic training sets that correct the estimate and give its intervals (default: 60)',
      integer(20),
    )
    .option('--embedding <name>', 'tensor that turns token ids into vectors, where it cannot be told')
    .addOption(
      new Option('--objective <name>', 'what the model was trained for (default: as its class says)').choices([
        'classify',
        'language',
      ]),
    )
    .addOption(
      new Option('--eos <how>', 'language models: whether an end token was appended to texts and learned').choices([
        'appended',
        'none',
        'auto',
      ]),
    )
    .option(
      '--packed <window>',
      'language models: texts were packed into windows of so many tokens, or none (default: they may have been)',
      packing,
    )
    .addOption(
      new Option('--schedule <name>', 'how the learning rate fell, where every row moved (default: constant)').choices([
        'constant',
        'linear',
        'cosine',
      ]),
    )
    .option(
      '--predictions',
      'language models: rank members also by what both models predict of every text (a forward pass of each)',
    )
    .option(
      '--votes',
      'classifiers: a mixture also by the labels that the directions of trained rows tell (a pass forward and back)',
    )
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .option('--seed <n>', 'of subsamples and synthetic training sets', integer(0), 0)
    .option('--members <file>', 'writes the possible texts as JSONL, the most probable training texts first')
    .option('-o, --output <folder>', 'writes result.json, tokens.jsonl, the lists of texts and report.html')
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .option('--strict', 'exit 5 when the verdict is none')
    .option('-n, --dry-run', 'open both models, read some weights and every text, and print the plan')
    .action(traceCommand)
}

/** A number of tokens, none or auto. */
function packing(value: string): number | 'none' | 'auto' {
  if (value === 'none' || value === 'auto') return value
  try {
    return integer(2)(value)
  } catch {
    throw new InvalidArgumentError('A number of tokens of at least 2, none or auto is needed.')
  }
}

async function traceCommand(flags: Flags): Promise<void> {
  const { members, output, force, wait, strict, dryRun, json, quiet, verbose, labelMap, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { trace } = await import('../../lib/trace/index.js')
    const { readLabelMap } = await import('../../lib/text/index.js')
    const inputs = inputsOf({ ...options, labelMap })
    const map = labelMap === undefined ? {} : { labelMap: await readLabelMap(labelMap) }
    if (dryRun) {
      const { planTrace } = await import('../../lib/plan-trace.js')
      const plan = await planTrace({ ...options, ...map, signal, onProgress })
      return { json: plan, text: planText(plan) }
    }
    const { sourceNames } = await import('../../lib/text/given.js')
    if (!options.probes) refuseUnused({ members }, 'without candidate texts')
    const { TraceFolder, traceFiles: files } = await import('../trace-folder.js')
    const claim = { files, force, wait, inputs, signal, onProgress }
    const work = async (memberFile: LineWriter | undefined): Promise<Output> => {
      const probes = options.probes && sourceNames(options.probes)
      const folder = output === undefined ? undefined : await TraceFolder.open(output, { ...options, probes }, force)
      try {
        const onText: TraceOptions['onText'] = folder && ((text, spelling) => folder.add(text, spelling))
        const found = await trace({ ...options, ...map, signal, onProgress, onText })
        if (memberFile)
          for (const [i, member] of found.members.entries()) await memberFile.add({ rank: i + 1, ...member })
        await folder?.write(found, { signal, onProgress })
        return {
          json: found.result,
          text: report(found.result),
          exitCode: strict && found.result.verdict === 'none' ? 5 : 0,
        }
      } finally {
        await folder?.discard()
      }
    }
    return withFile(members, { ...claim, folder: output }, (file) => withOutput(output, claim, () => work(file)))
  })
}

function planText({ table, tensors, bytes, elements, tried, texts, notes, ...plan }: TracePlan): string[] {
  const mib = (size: number): string => `${Math.ceil(size / 2 ** 20)} MiB`
  const domains = Object.entries(texts?.domains ?? {}).map(([name, count]) => `${printableName(name)} ${count}`)
  return [
    `table ${printableName(table.name)}, ${table.rows} rows of ${table.columns}; ${tensors} tensors in both models, ` +
      `${mib(bytes)} to read`,
    `  memory  ${mib(plan.peakMemoryBytes)} at the peak so far`,
    `  work    about ${duration(plan.weightsSeconds)} for the weights, by ${tried} of ${elements} elements`,
    ...(texts
      ? [
          `  texts   ${texts.count} (${domains.slice(0, 20).join(', ')}${domains.length > 20 ? ', …' : ''}), about ` +
            `${duration(texts.tokenizeSeconds)} to tokenize, by ${texts.tried} of them; then members and ` +
            `${texts.sets} synthetic training sets`,
        ]
      : []),
    ...notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
}

function report(result: TraceResult): string[] {
  const { trainedTokens: tokens, trainingTexts: training, frozen } = result
  const lines = [
    `verdict ${result.verdict}: ${result.reason}`,
    result.grading &&
      `  trained tokens  about ${whole(result.grading.expected)} of the ${result.grading.tokens} in these texts`,
    result.verdict !== 'none' &&
      !result.grading &&
      `  trained tokens  ${tokens.count} of ${tokens.rows}` +
        (tokens.undecided > 0 ? `, ${tokens.undecided} undecided` : ''),
    result.decay !== null &&
      `  decay           ${result.decay.toExponential(4)} (sum of learning rate times weight decay: ` +
        `${result.weightDecaySum!.toExponential(3)})`,
    result.longestText !== null && `  longest text    ${result.longestText} tokens`,
    `  frozen          ${frozen.length} of ${result.comparedTensors} tensors` +
      (frozen.length > 0
        ? `: ${frozen.slice(0, 3).map(printableName).join(', ')}${frozen.length > 3 ? ', …' : ''}`
        : ''),
    training &&
      `  training texts  ${whole(training.estimate)} (${range(training.interval)}): ` +
        `${whole(training.inside)} among these texts, ${whole(training.outside)} elsewhere`,
    result.outputRows.scores && `  output rows     ${result.outputRows.reason}`,
    result.predictions &&
      `  predictions     ${result.predictions.likely} likely members, ${whole(result.predictions.expected)} expected ` +
        `(of ${result.predictions.texts} texts)`,
    result.votes && `  votes           ${result.votes.reason}`,
    ...table(result),
    ...others(result),
    ...result.conditions.map((condition) => `  if: ${condition}`),
    ...result.notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
  return lines.filter((line) => typeof line === 'string')
}

const whole = (value: number): string => value.toFixed(0)
const range = ([low, high]: [number, number | null]): string =>
  high === null ? `${whole(low)} or more` : `${whole(low)} to ${whole(high)}`

/** The mixtures beside the trace's, a row for each domain. */
function others({ texts, mixtures: [, ...more] }: TraceResult): string[] {
  if (!texts || more.length === 0) return []
  const names = Object.keys(texts).map(printableName)
  const width = Math.max(6, ...names.map((name) => name.length))
  const row = (name: string, cells: string[]): string =>
    `  ${name.padEnd(width)}  ${cells.map((cell) => cell.padStart(20)).join(' ')}`
  return [
    row(
      'domain',
      more.map(({ readout }) => readout),
    ),
    ...Object.keys(texts).map((domain, d) =>
      row(
        names[d],
        more.map(({ mixture, interval }) => {
          const [share, low, high] = [mixture[domain], ...interval[domain]].map((value) => value.toFixed(3))
          return `${share} (${low}–${high})`
        }),
      ),
    ),
  ]
}

function table({ texts, mixtures: [mixture] }: TraceResult): string[] {
  if (!texts || !mixture) return []
  const names = Object.fromEntries(Object.keys(texts).map((domain) => [domain, printableName(domain)]))
  const width = Math.max(6, ...Object.values(names).map((name) => name.length))
  const row = (name: string, cells: string[]): string =>
    `  ${name.padEnd(width)}  ${cells.map((cell) => cell.padStart(9)).join(' ')}`
  return [
    row('domain', ['share', 'low', 'high', 'inside', 'outside', 'texts', 'excluded']),
    ...Object.entries(texts).map(([domain, counts]) =>
      row(names[domain], [
        ...[mixture.mixture[domain], ...mixture.interval[domain]].map((share) => share.toFixed(3)),
        whole(counts.inside),
        whole(counts.outside),
        String(counts.pool),
        `${(100 * counts.excludedShare).toFixed(1)} %`,
      ]),
    ),
  ]
}
