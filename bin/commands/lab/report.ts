import path from 'node:path'
import type { Command } from 'commander'
import { packageTool } from '../../../lib/doctor.js'
import { execute, framed, type FrameOptions } from '../../frame.js'
import { withOutput, writeOutput } from '../../output-folder.js'
import { waitOption } from '../../probe-options.js'
import { integer } from '../../values.js'

const files = ['report.json', 'trials.csv', 'report.html']

export function report(command: Command): void {
  framed(
    command
      .description('cross-validates every readout on the trials: the table of mean errors')
      .argument('<folder>', 'of a lab'),
  )
    .option('--folds <n>', 'of the cross-validation (default: 10; with fewer trials leave-one-out)', integer(2))
    .option('--seed <n>', 'of folds and fits (default: 42)', integer(0))
    .option('-o, --output <folder>', `writes ${files.join(', ')}`)
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
          const claim = { files, force, wait, inputs: [], signal, onProgress }
          return withOutput(output, claim, async () => {
            const plan = await readPlan(folder)
            const { sampler, digest } = plan
            const reported = await reportTable(await readTrials(path.join(folder, trialsFolder), digest), {
              ...options,
              sampler,
              signal,
              onProgress,
            })
            if (output) {
              const { labPage } = await import('../../../lib/report/index.js')
              const { errorsOf } = await import('../../../lib/lab/report.js')
              const { report } = reported
              const truths = report.trials.map(({ truth }) => truth)
              const errors = reported.estimates.map((row) => errorsOf(row, truths).map((error) => error?.mae ?? null))
              const about = { plan, tool: packageTool(), folder, options: { ...options, output } }
              const written = {
                'report.json': `${JSON.stringify(report, null, 2)}\n`,
                'trials.csv': trialsCsv(reported),
                'report.html': labPage({ report, errors, ...about }),
              }
              await writeOutput(output, written, force)
            }
            return { json: reported.report, text: labTable(reported.report, { width: process.stdout.columns }) }
          })
        })
      },
    )
}
