import type { Command } from 'commander'
import type { DiffOptions } from '../../lib/diff/index.js'
import { hashGiven } from '../../lib/checkpoint/index.js'
import { csvLine } from '../../lib/report/escape.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { withOutput, writeOutput } from '../output-folder.js'
import { textSources, threadsOption, waitOption } from '../probe-options.js'
import { bytes, integer, list, real } from '../values.js'

interface Flags extends FrameOptions, DiffOptions {
  output?: string
  force?: boolean
  wait?: boolean
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
    .option('--contrast <a>', 'write from z + a(z - z0), z0 the logits of the base (default: 0)', real)
    .option('--temperature <t>', '0: always the most probable token (default: 1)', real)
    .option('--memory <size>', 'that one difference may take; larger ones are read again (default: 512MiB)', bytes)
    .option('--seed <n>', 'of the random vectors behind the singular values', integer(0), 0)
    .addOption(threadsOption())
    .option('-o, --output <folder>', `writes ${files.join(', ')}, the tables as CSV, generated.jsonl`)
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .action(diffCommand)
}

async function diffCommand(flags: Flags): Promise<void> {
  const { output, force, wait, json, quiet, verbose, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
    const { diff } = await import('../../lib/diff/index.js')
    const inputs = [options.base, options.reference, ...(options.texts ?? [])]
    return withOutput(output, { files, force, wait, inputs, signal, onProgress }, async () => {
      const { result, page, lines, tables, records } = await diff({ ...options, signal, onProgress })
      if (output !== undefined) {
        const csv = Object.entries(tables).map(([name, rows]) => [name, csvText(rows)])
        const jsonl = Object.entries(records).map(([name, all]) => [name, all.map(jsonLine).join('')])
        const hashed = await hashGiven(
          [
            { role: 'base', model: options.base },
            { role: 'reference', model: options.reference },
            { role: 'texts', files: options.texts },
          ],
          { signal, onProgress },
        )
        const written = { 'result.json': `${JSON.stringify(result, null, 2)}\n`, 'report.html': page(hashed) }
        await writeOutput(output, { ...written, ...Object.fromEntries([...csv, ...jsonl]) }, force)
      }
      return { json: result, text: lines.join('\n') }
    })
  })
}

const jsonLine = (record: object): string => `${JSON.stringify(record)}\n`

const csvText = (rows: (string | number | null)[][]): string => rows.map((row) => `${csvLine(row)}\n`).join('')
