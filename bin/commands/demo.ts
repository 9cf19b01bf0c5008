import { join } from 'node:path'
import type { Command } from 'commander'
import type { DemoOutcome } from '../../lib/demo/demo.js'
import { execute, framed, wantsColor, type FrameOptions } from '../frame.js'
import { writeOutput } from '../output-folder.js'
import { integer } from '../values.js'

type Flags = FrameOptions & { output: string; force?: boolean; seed: number; threads?: number }

export function register(program: Command): void {
  const command = program
    .command('demo')
    .description('fine-tunes a small model on a secret mixture of real texts, and recovers the mixture')
  framed(command)
    .option('-o, --output <folder>', 'for the texts, the model, the result and the report', 'warp-demo')
    .option('-f, --force', 'use a folder that holds other files')
    .option('--seed <n>', 'another one, another secret', integer(0), 0)
    .option('--threads <n>', 'default: all', integer(1))
    .action(demoCommand)
}

function story(seed: number): string {
  return (
    'A small BERT that has read the King James Bible and some sonnets is now fine-tuned to tell apart five kinds of ' +
    `text:
law, psalms, gospels, letters and sonnets. How many of its 500 training texts are of each kind is a secret, drawn from
seed ${seed}. Then recover() gets the weights before and after, and 1 000 other texts of these kinds. Nothing else.`
  )
}

async function demoCommand({ output, force, seed, threads, json, quiet, verbose }: Flags): Promise<void> {
  await execute({ json, quiet, verbose }, async ({ signal, onProgress, note }) => {
    note(story(seed))
    const { demo } = await import('../../lib/demo/demo.js')
    const outcome = await demo({ output, force, seed, threads, signal, onProgress })
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
    const color = wantsColor()
    const { recovered: _recovered, ...facts } = outcome
    return {
      json: { schema: 'warp.demo/1', ...facts, result },
      text: `${terminalReport(result, { color }).trimEnd()}\n\n${revealed(outcome)}`,
      styled: true,
    }
  })
}

/** The recommended mixture beside the truth, then the trace. */
function revealed({
  folder,
  seed,
  models,
  training,
  recovered: { result },
  truth,
  errors,
  trace,
}: DemoOutcome): string {
  const { readout, mixture, interval } = result.recommended
  const width = Math.max(...truth.domains.map((name) => name.length))
  const share = (x: number): string => `${(100 * x).toFixed(1).padStart(5)} %`
  const texts = truth.counts.reduce((sum, count) => sum + count, 0)
  const points = (error: number): string => `${(100 * error).toFixed(1)} points`
  const {
    estimate,
    interval: [low, high],
  } = trace.trainingTexts
  const [probes, secret] = ['probes.jsonl', 'training.jsonl'].map((name) => join(folder, name))
  return [
    `The secret of seed ${seed}, opened now: ${texts} training texts, none of them among the probes`,
    `  ${''.padEnd(width)}  recovered      interval         truth     trace`,
    ...truth.domains.map((name, d) => {
      const [from, to] = interval[name].map(share)
      return (
        `  ${name.padEnd(width)}  ${share(mixture[name])}   ${from} –${to}  ${share(truth.mixture[d])}  ` +
        `${share(trace.mixture[name])}`
      )
    }),
    `  mean error of ${readout}: ${points(errors[readout])}; of the paper's softmax: ${points(errors.softmax)}; of ` +
      `equal shares: ${points(errors.uniform)}`,
    `  trace: with the training texts among ${trace.candidates} candidates, the embedding table tells ` +
      `${Math.round(estimate)} of them (${Math.round(low)} – ${high === null ? '…' : Math.round(high)});`,
    `  of the ${Math.round(estimate)} likeliest ${trace.found} were trained on; mean error ${points(trace.error)}`,
    '',
    `Fine-tuned in ${training.steps} steps, ${training.seconds.toFixed(1)} s. Report: ` +
      `${join(folder, 'report.html')}. Another secret: --seed ${seed + 1}`,
    'The same by hand:',
    `  warp recover --base ${models.base} --base-head ${models.baseHead} \\`,
    `    --reference ${models.reference} --probes ${probes}`,
    `  warp trace --base ${models.base} \\`,
    `    --reference ${models.reference} --probes ${probes} ${secret}`,
  ].join('\n')
}
