import type { Command } from 'commander'
import type { PredictOptions, PredictResult } from '../../lib/predict.js'
import { printable, printableName } from '../../lib/printable.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { withFile } from '../output-folder.js'
import { inputsOf, textOptions, textSources, threadsOption, waitOption } from '../probe-options.js'
import { bytes, integer } from '../values.js'

interface Flags extends FrameOptions, Omit<PredictOptions, 'texts'> {
  texts: string[]
  output?: string
  force?: boolean
  wait?: boolean
}

export function register(program: Command): void {
  const command = program
    .command('predict')
    .description('what a model says of texts: labels and logits of a classifier, losses of a language model')
    .requiredOption('--model <dir>', 'model directory')
    .requiredOption('--texts <file...>', `texts, with labels or without: ${textSources}`)
  framed(textOptions(command))
    .addOption(threadsOption())
    .option('--memory <size>', 'budget for working buffers (default: 2GiB)', bytes)
    .option('--seed <n>', 'of subsamples', integer(0), 0)
    .option('-o, --output <file>', 'writes a line of JSON for each text')
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .action(predictCommand)
}

async function predictCommand({ output, force, wait, json, quiet, verbose, ...options }: Flags): Promise<void> {
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { predict } = await import('../../lib/predict.js')
    return withFile(output, { force, wait, inputs: inputsOf(options), signal, onProgress }, async (file) => {
      const result = await predict({ ...options, signal, onProgress, onText: file && ((line) => file.add(line)) })
      return { json: result, text: report(result) }
    })
  })
}

function report(result: PredictResult): string[] {
  const { objective, texts, tokens, judged, accuracy, loss, perplexity, labels, notes } = result
  const width = Math.max(5, ...labels.map(({ label }) => label.length))
  const share = (value: number | null): string => (value === null ? '-' : value.toFixed(3))
  const row = (cells: string[]): string =>
    `  ${cells[0].padEnd(width)}  ${cells
      .slice(1)
      .map((cell) => cell.padStart(9))
      .join(' ')}`
  return [
    `${texts} texts, ${tokens} tokens${objective === 'classify' ? `; ${judged} texts with a label` : ''}`,
    ...(accuracy === null ? [] : [`  accuracy    ${accuracy.toFixed(4)}`]),
    ...(loss === null ? [] : [`  mean loss   ${loss.toFixed(4)}`, `  perplexity  ${perplexity!.toFixed(3)}`]),
    ...(labels.length > 0 ? [row(['label', 'texts', 'predicted', 'recall', 'precision'])] : []),
    ...labels.map((one) =>
      row([
        printableName(one.label),
        String(one.texts),
        String(one.predicted),
        share(one.recall),
        share(one.precision),
      ]),
    ),
    ...notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
}
