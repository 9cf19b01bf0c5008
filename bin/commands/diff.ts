import type { Command } from 'commander'
import type { DiffOptions, DiffPlan } from '../../lib/diff/index.js'
import { printable } from '../../lib/printable.js'
import { csvLine } from '../../lib/report/escape.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { withOutput, writeOutput } from '../output-folder.js'
import { inputsOf, textSources, threadsOption, waitOption } from '../probe-options.js'
import { bytes, duration, integer, list, real } from '../values.js'

interface Flags extends FrameOptions, DiffOptions {
  output?: string
  force?: boolean
  wait?: boolean
  dryRun?: boolean
}

const files = ['result.json', 'report.html']

export function register(program: Command): void {
  framed(program.command('diff'))
    .description(
      'what the weights say without any candidate texts: which moved and how, and what training that speaks for',
    )
    .requiredOption('--base <dir>', 'model that was fine-tuned: a folder, or hf:owner/name[@revision]')
    .requiredOption('--reference <dir>', 'the fine-tuned model, or a LoRA adapter of the base')
    .option('--only <part,...>', 'weights, words, predictions, lens, texts, domains (default: every part)', list)
    .option('--singular-values <n>', 'of each difference, 0 to 64; 0 leaves them out (default: 64)', integer(0))
    .option(
      '--texts <file...>',
      `ordinary texts to set the words against (default: English word counts): ${textSources}`,
    )
    .option('--count <n>', 'texts that the reference is made to write (default: 256)', integer(1))
    .option('--max-new-tokens <n>', 'of each of them (default: 48)', integer(1))
    .option('--starts <name,...>', 'begin, chat, words (default: all that there are)', list)
    .option('--prompts <file>', `texts to begin with, instead of starts: ${textSources}`)
    .option('--lambda <x>', 'point of the path that writes: 1 the reference (default), 1.5 beyond it', real)
    .option(
      '--contrast <a>',
      'write from z + a(z - z0), z0 the logits of the base (default: half with 0, half with 1)',
      real,
    )
    .option('--temperature <t>', '0: always the most probable token (default: 1)', real)
    .option('--memory <size>', 'that one difference may take; larger ones are read again (default: 512MiB)', bytes)
    .option('--seed <n>', 'of the random vectors behind the singular values', integer(0), 0)
    .addOption(threadsOption())
    .option('-o, --output <folder>', `writes ${files.join(', ')}, the tables as CSV, generated.jsonl`)
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .option('-n, --dry-run', 'check both models, compare some tensors and print the plan')
    .action(diffCommand)
}

async function diffCommand(flags: Flags): Promise<void> {
  const { output, force, wait, dryRun, json, quiet, verbose, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { diff, diffFiles, planDiff } = await import('../../lib/diff/index.js')
    if (dryRun) {
      const plan = await planDiff({ ...options, signal, onProgress })
      return { json: plan, text: planText(plan) }
    }
    const inputs = inputsOf(options)
    const claim = { files: [...files, ...diffFiles], force, wait, inputs, signal, onProgress }
    return withOutput(output, claim, async () => {
      const { filesNow, hashGiven } = await import('../../lib/checkpoint/index.js')
      const texts = await filesNow(options.texts)
      const { result, page, lines, tables, records } = await diff({ ...options, signal, onProgress })
      if (output !== undefined) {
        const csv = Object.entries(tables).map(([name, rows]) => [name, csvText(rows)])
        const jsonl = Object.entries(records).map(([name, all]) => [name, all.map(jsonLine).join('')])
        const hashed = await hashGiven(
          [
            { role: 'base', model: options.base },
            { role: 'reference', model: options.reference },
            { role: 'texts', files: texts },
          ],
          { signal, onProgress },
        )
        const written = { 'result.json': `${JSON.stringify(result, null, 2)}\n`, 'report.html': page(hashed) }
        await writeOutput(output, { ...written, ...Object.fromEntries([...csv, ...jsonl]) }, force, diffFiles)
      }
      return { json: result, text: lines.join('\n') }
    })
  })
}

function planText(plan: DiffPlan): string[] {
  const mib = (size: number): string => `${Math.ceil(size / 2 ** 20)} MiB`
  const { parts, tensors, elements, tried, weightsSeconds, texts, notes } = plan
  return [
    `${tensors} tensors in both models, ${elements} elements, ${mib(plan.bytes)} to read`,
    `  memory  the difference of a tensor within ${mib(plan.memoryBudgetBytes)}; ${mib(plan.peakMemoryBytes)} at the ` +
      'peak so far',
    ...(weightsSeconds === null
      ? []
      : [
          `  work    about ${duration(weightsSeconds)} for the weights, by ${tried} of their elements; then the others`,
        ]),
    ...(texts ? [`  texts   ${texts.count} of at most ${texts.maxNewTokens} tokens, of language models`] : []),
    ...parts.map(({ part, about }) => `  ${part}: ${about}`),
    ...notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
}

const jsonLine = (record: object): string => `${JSON.stringify(record)}\n`

const csvText = (rows: (string | number | null)[][]): string => rows.map((row) => `${csvLine(row)}\n`).join('')
