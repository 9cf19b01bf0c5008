import { join } from 'node:path'
import type { Command } from 'commander'
import type { DemoOutcome } from '../../lib/demo/run.js'
import { execute, framed, type FrameOptions } from '../frame.js'
import { writeOutput } from '../output-folder.js'
import { integer } from '../values.js'

type Flags = FrameOptions & { output: string; force?: boolean; threads?: number }

export function register(program: Command): void {
  const command = program.command('demo').description('recover the secret mixture of a small model that comes with the package')
  framed(command)
    .option('-o, --output <folder>', 'for the texts, the result and the report', 'warp-demo')
    .option('--force', 'use a folder that holds other files')
    .option('--threads <n>', 'default: all', integer(1))
    .action(demoCommand)
}

const story = `A small BERT was pre-trained on the King James Bible and some sonnets, then fine-tuned to tell apart five
kinds of text: law, psalms, gospels, letters and sonnets. How many of its training texts were of each kind is a secret.
Now recover() gets the weights before and after, and 1 000 other texts of these kinds. Nothing else.`

async function demoCommand({ output, force, threads, json, quiet, verbose }: Flags): Promise<void> {
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    note(story)
    const { demo } = await import('../../lib/demo/run.js')
    const outcome = await demo({ output, force, threads, signal, onProgress })
    const { result, alignment } = outcome.recovered
    const { npy } = await import('../../lib/footprint/index.js')
    const { htmlReport, terminalReport } = await import('../../lib/report/index.js')
    const shape = [alignment.length / result.lambdas.length, result.lambdas.length]
    const files = {
      'result.json': JSON.stringify(result, null, 2) + '\n',
      'alignment.npy': npy(alignment, shape),
      'report.html': htmlReport(result),
    }
    await writeOutput(output, files, true)
    const { default: colors } = await import('picocolors')
    const color = colors.isColorSupported && process.stdout.isTTY
    const { folder, models, truth, errors } = outcome
    return {
      json: { schema: 'warp.demo/1', folder, models, truth, errors, result },
      text: `${terminalReport(result, { color }).trimEnd()}\n\n${revealed(outcome)}`,
    }
  })
}

/** The recommended mixture beside the truth. */
function revealed({ folder, models, recovered: { result }, truth, errors }: DemoOutcome): string {
  const { readout, mixture, interval } = result.recommended
  const width = Math.max(...truth.domains.map((name) => name.length))
  const share = (x: number): string => `${(100 * x).toFixed(1).padStart(5)} %`
  const texts = truth.counts.reduce((sum, count) => sum + count, 0)
  const points = (error: number): string => `${(100 * error).toFixed(1)} points`
  return [
    `The secret, opened now: ${texts} training texts`,
    `  ${''.padEnd(width)}  recovered      interval         truth`,
    ...truth.domains.map((name, d) => {
      const [low, high] = interval[name].map(share)
      return `  ${name.padEnd(width)}  ${share(mixture[name])}   ${low} –${high}  ${share(truth.mixture[d])}`
    }),
    `  mean error of ${readout}: ${points(errors[readout])}; of equal shares: ${points(errors.uniform)}`,
    '',
    `Report: ${join(folder, 'report.html')}`,
    'The same by hand:',
    `  warp recover --base ${models.base} --base-head ${models.baseHead} \\`,
    `    --reference ${models.reference} --probes ${join(folder, 'probes.jsonl')}`,
  ].join('\n')
}
