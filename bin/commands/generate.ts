import type { Command } from 'commander'
import type { GenerateOptions, GeneratePlan, GenerateResult } from '../../lib/generate/index.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { withFile } from '../output-folder.js'
import { inputsOf, textSources, threadsOption, waitOption } from '../probe-options.js'
import { bytes, integer, list, real } from '../values.js'

type Flags = FrameOptions & GenerateOptions & { output?: string; force?: boolean; wait?: boolean; dryRun?: boolean }

export function register(program: Command): void {
  framed(program.command('generate'))
    .description('texts made by a language model, by any point between two, or by what sets the two apart')
    .option('--model <dir>', 'one language model alone')
    .option('--base <dir>', 'language model that was fine-tuned')
    .option('--reference <dir>', 'the fine-tuned model')
    .option('--count <n>', 'texts (default: 100)', integer(1))
    .option('--max-new-tokens <n>', 'of each text (default: 64)', integer(1))
    .option('--lambda <x>', 'point of the path: 0 the base, 1 the reference (default), 1.5 beyond it', real)
    .option('--contrast <a>', 'draw from z + a(z - z0), z0 the logits of the base (default: 0)', real)
    .option('--contrast-floor <share>', 'only tokens with this share of the largest probability (default: 0.1)', real)
    .option('--temperature <t>', '0: always the most probable token (default: 1)', real)
    .option('--top-k <k>', 'only the k most probable tokens', integer(1))
    .option('--top-p <p>', 'only the fewest tokens with this share of the probability', real)
    .option('--start <name>', 'begin (the begin token alone, default), chat (what opens one), words (vague ones)')
    .option('--prompts <file>', `texts to begin with, in turn: ${textSources}`)
    .option('--path <family>', 'linear (default), quadratic, slerp, ties, dare, della, breadcrumbs, nearswap')
    .option('--only <glob,...>', 'only these tensors move; the others stay at the base', list)
    .option('--except <glob,...>', 'these tensors stay at the base', list)
    .option('--seed <n>', 'a text is the same for the same seed, whatever else is made', integer(0), 0)
    .addOption(threadsOption())
    .option('--memory <size>', 'budget for working buffers, weights included (default: 2GiB)', bytes)
    .option('-o, --output <file>', 'JSON Lines go there instead of to stdout')
    .option('-f, --force', 'replace an existing file')
    .addOption(waitOption())
    .option('-n, --dry-run', 'check everything and print the plan')
    .addHelpText(
      'after',
      '\nEach line is {text, prompt, ids, logProbability, baseLogProbability, lambda, contrast, seed, trained,\n' +
        'untrained, trainedScore}. trained: every token of it was trained on; false: it was no training text as it\n' +
        'stands; null: nothing is certain. trainedScore: from 0 to 1, where the token table is also the output layer.',
    )
    .action(generateCommand)
}

async function generateCommand(flags: Flags): Promise<void> {
  const { output, force, wait, dryRun, json, quiet, verbose, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    const { generate, planGenerate } = await import('../../lib/generate/index.js')
    if (dryRun) {
      const plan = await planGenerate({ ...options, signal })
      return { json: plan, text: planText(plan) }
    }
    const claim = { force, wait, inputs: inputsOf(options), signal, onProgress }
    return withFile(output, claim, async (file) => {
      const result = await generate({ ...options, signal, onProgress })
      if (!file) {
        for (const line of result.notes) note(`note: ${line}`)
        return { json: result, text: '', records: result.texts }
      }
      for (const text of result.texts) await file.add(text)
      return { json: { output, ...result }, text: summary(output!, result) }
    })
  })
}

function summary(output: string, { texts, notes }: GenerateResult): string {
  const tokens = texts.reduce((sum, { ids }) => sum + ids.length, 0)
  return [
    `${texts.length} texts, ${tokens} tokens: ${output}`,
    ...texts.slice(0, 5).map(({ text }) => `  ${JSON.stringify(text.length > 100 ? `${text.slice(0, 99)}…` : text)}`),
    ...notes.map((line) => `  note: ${line}`),
  ].join('\n')
}

function planText(plan: GeneratePlan): string {
  const mebibytes = (size: number): string => `${Math.ceil(size / 2 ** 20)} MiB`
  return [
    `${plan.count} texts of at most ${plan.maxNewTokens} tokens from ${plan.starts} starts, ${plan.atOnce} at a time`,
    `  memory  ${mebibytes(plan.peakBytes)}, at least ${mebibytes(plan.smallestBytes)}`,
    ...plan.notes.map((note) => `  note: ${note}`),
  ].join('\n')
}
