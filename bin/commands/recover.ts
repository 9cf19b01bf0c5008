import type { Command } from 'commander'
import type { FamilyOptions } from '../../lib/family.js'
import type { Recovered, RecoverOptions } from '../../lib/recover.js'
import type { RecoverResult } from '../../lib/report/schema.js'
import { usageError } from '../../lib/errors.js'
import { type CommandRun, execute, framed, wantsColor, type FrameOptions, type Output } from '../frame.js'
import { planText } from '../plan-text.js'
import { withFile, withOutput, writeOutput } from '../output-folder.js'
import { spoolIn } from '../spool.js'
import {
  inputsOf,
  pairOf,
  pathOptions,
  probeOptions,
  resourceOptions,
  waitOption,
  scopeOption,
} from '../probe-options.js'
import { integer, list } from '../values.js'

interface Flags extends FrameOptions, Omit<RecoverOptions, 'reference' | 'checkpoint'>, OutputFlags {
  reference: string[]
  checkpoint?: string[]
  dryRun?: boolean
}

interface OutputFlags {
  output?: string
  card?: string
  force?: boolean
  wait?: boolean
  strict?: boolean
}

const files = ['result.json', 'alignment.npy', 'report.html']
const familyFiles = ['result.json', 'report.html']

export function register(program: Command): void {
  const command = program
    .command('recover')
    .description('the mixture of domains a model was fine-tuned on, from its weights and labelled texts')
  pairOf(command, '--reference <dir...>', 'the fine-tuned model or a LoRA adapter of the base; several: side by side')
  for (const add of [probeOptions, pathOptions, resourceOptions]) add(command)
  framed(command)
    .addOption(scopeOption())
    .option('--readout <name,...>', 'default: all that apply but votes (see trace --votes)', list)
    .option('--projector <file>', 'a readout that warp lab fit trained; it says path, points and scope')
    .option('--bootstrap <n>', 'resamples of the probes for the intervals (default: 1000)', integer(20))
    .option('--claimed <mixture>', 'a declared mixture to judge: a JSON file {"domain": share, …}, or domain=share,…')
    .option('-o, --output <folder>', `writes ${files.join(', ')}; of several models, these in a folder of each too`)
    .option('--card <file>', 'writes a data portfolio for a model card: Markdown with YAML front matter')
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .option('--strict', 'exit 5 when the verdict is not ok, or the claimed mixture is not consistent')
    .option('-n, --dry-run', 'check everything and print the plan')
    .action(recoverCommand)
}

async function recoverCommand(flags: Flags): Promise<void> {
  const { output, card, force, wait, strict, dryRun, json, quiet, verbose, reference, ...options } = flags
  await execute({ json, quiet, verbose }, async (run) => {
    const out = { output, card, force, wait, strict }
    if (reference.length > 1) return recoverSeveral({ ...options, references: reference }, out, dryRun, run)
    const one = { ...options, reference: reference[0] }
    if (!dryRun) return recoverOne(one, out, run)
    const { planRecover } = await import('../../lib/recover.js')
    const plan = await planRecover({ ...one, signal: run.signal, onProgress: run.onProgress })
    return { json: plan, text: planText(plan) }
  })
}

/** What --strict makes of a result. */
const failsStrict = ({ diagnostics, claimed }: RecoverResult): boolean =>
  diagnostics.verdict !== 'ok' || claimed?.verdict === 'not'

async function recoverOne(options: RecoverOptions, out: OutputFlags, run: CommandRun): Promise<Output> {
  const { output, card, force, wait, strict } = out
  const { signal, onProgress, note } = run
  const { recover } = await import('../../lib/recover.js')
  const claim = { files, force, wait, inputs: inputsOf(options), signal, onProgress }
  return withFile(card, { ...claim, folder: output }, (cardFile) =>
    withOutput(output, claim, async () => {
      const spool = await spoolIn(output, { signal, note })
      const recovered = await recover({ ...options, spool, signal, onProgress })
      const { result } = recovered
      const { terminalReport } = await import('../../lib/report/terminal.js')
      if (output !== undefined) {
        await writeOutput(output, await filesOf(recovered), force)
        await spool?.remove()
      }
      if (cardFile) {
        const { dataCard } = await import('../../lib/report/card.js')
        await cardFile.addLine(dataCard(result).trimEnd())
      }
      return {
        json: result,
        text: terminalReport(result, { color: wantsColor() }),
        styled: true,
        exitCode: strict && failsStrict(result) ? 5 : 0,
      }
    }),
  )
}

/** Several references: a table, and for each a folder with what it would have alone. */
async function recoverSeveral(
  options: FamilyOptions & { checkpoint?: string[] },
  { output, card, force, wait, strict }: OutputFlags,
  dryRun: boolean | undefined,
  { signal, onProgress, note }: CommandRun,
): Promise<Output> {
  const { checkpoint, ...family } = options
  refuseOfOne({ card, checkpoint })
  const { familyNames, planFamily, recoverFamily } = await import('../../lib/family.js')
  if (dryRun) {
    const plan = await planFamily({ ...family, signal, onProgress })
    return { json: plan, text: plan.members.flatMap(({ name, plan: one }) => [`${name}:`, ...planText(one)]) }
  }
  const names = familyNames(family.references)
  const all = [...names.flatMap((name) => files.map((file) => `${name}/${file}`)), ...familyFiles]
  const inputs = inputsOf({ ...family, reference: family.references })
  return withOutput(output, { files: all, force, wait, inputs, signal, onProgress }, async () => {
    const kept = await Promise.all(names.map(() => spoolIn(output, { signal, note })))
    const spools = kept.filter((spool) => spool !== undefined)
    const { result, alignments } = await recoverFamily({ ...family, spools, signal, onProgress })
    const { familyPage, familyReport } = await import('../../lib/report/index.js')
    if (output !== undefined) {
      const written: Record<string, string | Uint8Array> = {}
      for (const [m, { name, result: one }] of result.members.entries())
        for (const [file, data] of Object.entries(await filesOf({ result: one, alignment: alignments[m] })))
          written[`${name}/${file}`] = data
      written['result.json'] = `${JSON.stringify(result, null, 2)}\n`
      written['report.html'] = familyPage(result)
      await writeOutput(output, written, force)
      for (const spool of spools) await spool.remove()
    }
    return {
      json: result,
      text: familyReport(result, { color: wantsColor() }),
      styled: true,
      exitCode: strict && result.members.some((member) => failsStrict(member.result)) ? 5 : 0,
    }
  })
}

/** Options that belong to one model. @throws WarpError (usage) FAMILY_OPTION */
function refuseOfOne(given: Record<string, unknown>): void {
  const option = Object.keys(given).find((name) => given[name] !== undefined)
  if (option === undefined) return
  throw usageError(
    'FAMILY_OPTION',
    `--${option} belongs to one model, and several references are given`,
    { option },
    'a run for each',
  )
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
