import type { Command } from 'commander'
import type { FootprintOptions } from '../../lib/footprint/index.js'
import { printable, printableName } from '../../lib/printable.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { withOutput, writeOutput } from '../output-folder.js'
import { planText } from '../plan-text.js'
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

type Flags = FrameOptions & FootprintOptions & { output?: string; force?: boolean; wait?: boolean; dryRun?: boolean }

const files = ['footprint.json', 'alignment.npy']

export function register(program: Command): void {
  const command = program
    .command('footprint')
    .description('only the alignment matrix of the probes and the footprint of each domain')
  for (const add of [pairOptions, probeOptions, pathOptions, resourceOptions]) add(command)
  framed(command)
    .addOption(scopeOption())
    .option('-o, --output <folder>', `writes ${files.join(', ')}`)
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .option('-n, --dry-run', 'check everything and print the plan')
    .action(footprintCommand)
}

async function footprintCommand(flags: Flags): Promise<void> {
  const { output, force, wait, dryRun, json, quiet, verbose, ...options } = flags
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    const { footprint, npy, planFootprint } = await import('../../lib/footprint/index.js')
    if (dryRun) {
      const plan = await planFootprint({ ...options, signal, onProgress })
      return { json: plan, text: planText(plan) }
    }
    const claim = { files, force, wait, inputs: inputsOf(options), signal, onProgress }
    return withOutput(output, claim, async () => {
      const spool = await spoolIn(output, { signal, note })
      const { alignment, ...result } = await footprint({ ...options, spool, signal, onProgress })
      const shape = [alignment.length / result.lambdas.length, result.lambdas.length]
      if (output !== undefined)
        await writeOutput(
          output,
          { 'footprint.json': JSON.stringify(result, null, 2) + '\n', 'alignment.npy': npy(alignment, shape) },
          force,
        )
      await spool?.remove()
      const names = result.domains.map(({ name }) => printableName(name))
      const width = Math.max(...names.map((name) => name.length))
      const row = (name: string, cells: string[]): string =>
        `${name.padEnd(width)}  ${cells.map((cell) => cell.padStart(8)).join(' ')}`
      return {
        json: result,
        text: [
          `S[d, k]: mean Mimic Score by domain and point (scope ${result.scope}, ${shape[0]} probes)`,
          row(
            '',
            result.lambdas.map((lambda) => lambda.toFixed(3)),
          ),
          ...names.map((name, d) =>
            row(
              name,
              result.footprint.mean[d].map((value) => value.toFixed(4)),
            ),
          ),
          ...result.notes.map((note) => `note: ${printable(note, 1000)}`),
        ],
      }
    })
  })
}
