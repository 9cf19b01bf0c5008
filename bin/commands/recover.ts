import type { Command } from 'commander'
import type { Recovered, RecoverOptions } from '../../lib/recover.js'
import { execute, framed, wantsColor, type FrameOptions } from '../frame.js'
import { planText } from '../plan-text.js'
import { openBeside, withOutput, writeOutput } from '../output-folder.js'
import { spoolIn } from '../spool.js'
import {
  inputsOf,
  pairOptions,
  pathOptions,
  probeOptions,
  resourceOptions,
  waitOption,
  scopeOption,
} from '../probe-options.js'
import { integer, list } from '../values.js'

interface Flags extends FrameOptions, RecoverOptions {
  output?: string
  card?: string
  force?: boolean
  wait?: boolean
  strict?: boolean
  dryRun?: boolean
}

const files = ['result.json', 'alignment.npy', 'report.html']

export function register(program: Command): void {
  const command = program
    .command('recover')
    .description('the mixture of domains a model was fine-tuned on, from its weights and labelled texts')
  for (const add of [pairOptions, probeOptions, pathOptions, resourceOptions]) add(command)
  framed(command)
    .addOption(scopeOption())
    .option('--readout <name,...>', 'default: all that apply', list)
    .option('--projector <file>', 'a readout that warp lab fit trained; it says path, points and scope')
    .option('--bootstrap <n>', 'resamples of the probes for the intervals (default: 1000)', integer(20))
    .option('--claimed <mixture>', 'a declared mixture to judge: a JSON file {"domain": share, …}, or domain=share,…')
    .option('-o, --output <folder>', `writes ${files.join(', ')}`)
    .option('--card <file>', 'writes a data portfolio for a model card: Markdown with YAML front matter')
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .option('--strict', 'exit 5 when the verdict is not ok, or the claimed mixture is not consistent')
    .option('-n, --dry-run', 'check everything and print the plan')
    .action(recoverCommand)
}

async function recoverCommand(flags: Flags): Promise<void> {
  const { output, card, force, wait, strict, dryRun, json, quiet, verbose, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    const { planRecover, recover } = await import('../../lib/recover.js')
    if (dryRun) {
      const plan = await planRecover({ ...options, signal, onProgress })
      return { json: plan, text: planText(plan) }
    }
    const claim = { files, force, wait, inputs: inputsOf(options), signal, onProgress }
    const cardFile = card === undefined ? undefined : await openBeside(card, output, claim)
    try {
      return await withOutput(output, claim, async () => {
        const spool = await spoolIn(output, { signal, note })
        const recovered = await recover({ ...options, spool, signal, onProgress })
        const { result } = recovered
        const { dataCard, terminalReport } = await import('../../lib/report/index.js')
        if (output !== undefined) {
          await writeOutput(output, await filesOf(recovered), force)
          await spool?.remove()
        }
        await cardFile?.addLine(dataCard(result).trimEnd())
        await cardFile?.commit()
        return {
          json: result,
          text: terminalReport(result, { color: wantsColor() }),
          styled: true,
          exitCode: strict && (result.diagnostics.verdict !== 'ok' || result.claimed?.verdict === 'not') ? 5 : 0,
        }
      })
    } finally {
      await cardFile?.discard()
    }
  })
}

/** What goes into the output folder. */
async function filesOf({ result, alignment }: Recovered): Promise<Record<string, string | Uint8Array>> {
  const { npy } = await import('../../lib/footprint/index.js')
  const { htmlReport } = await import('../../lib/report/index.js')
  return {
    'result.json': JSON.stringify(result, null, 2) + '\n',
    'alignment.npy': npy(alignment, [alignment.length / result.lambdas.length, result.lambdas.length]),
    'report.html': htmlReport(result),
  }
}
