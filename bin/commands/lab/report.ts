import path from 'node:path'
import type { Command } from 'commander'
import { execute, framed, type FrameOptions } from '../../frame.js'
import { withOutput, writeOutput } from '../../output-folder.js'
import { waitOption } from '../../probe-options.js'
import { integer } from '../../values.js'

export function report(command: Command): void {
  framed(
    command
      .description('cross-validates every readout on the trials: the table of mean errors')
      .argument('<folder>', 'of a lab'),
  )
    .option('--folds <n>', 'of the cross-validation (default: 10; with fewer trials leave-one-out)', integer(2))
    .option('--seed <n>', 'of folds and fits (default: 42)', integer(0))
    .option('-o, --output <folder>', 'writes report.json and trials.csv')
    .option('-f, --force', 'replace existing output')
    .addOption(waitOption())
    .action(
      async (
        folder: string,
        {
          output,
          force,
          wait,
          json,
          quiet,
          verbose,
          ...options
        }: FrameOptions & { folds?: number; seed?: number; output?: string; force?: boolean; wait?: boolean },
      ) => {
        await execute({ json, quiet, verbose }, async ({ signal, onProgress }) => {
          const { labTable, readPlan, readTrials, reportTable, trialsCsv, trialsFolder } = await import(
            '../../../lib/lab/index.js'
          )
          const claim = { files: ['report.json', 'trials.csv'], force, wait, inputs: [], signal, onProgress }
          return withOutput(output, claim, async () => {
            const { sampler, digest } = await readPlan(folder)
            const reported = await reportTable(await readTrials(path.join(folder, trialsFolder), digest), {
              ...options,
              sampler,
              signal,
              onProgress,
            })
            if (output)
              await writeOutput(
                output,
                { 'report.json': `${JSON.stringify(reported.report, null, 2)}\n`, 'trials.csv': trialsCsv(reported) },
                force,
              )
            return { json: reported.report, text: labTable(reported.report, { width: process.stdout.columns }) }
          })
        })
      },
    )
}
