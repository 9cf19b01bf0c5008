import path from 'node:path'
import type { Command } from 'commander'
import { execute, framed, type FrameOptions } from '../../frame.js'
import { withOutput } from '../../output-folder.js'
import { waitOption } from '../../probe-options.js'
import { integer } from '../../values.js'

export function fit(command: Command): void {
  framed(command.description('trains the projectors on all trials that are done').argument('<folder>', 'of a lab'))
    .option('--seed <n>', 'of parameters, batches and folds', integer(0), 42)
    .option('--deviations', 'the network also sees the standard deviations of the scores')
    .option('-o, --output <folder>', "of the projectors (default: projectors in the lab's folder)")
    .option('-f, --force', 'replace projectors')
    .addOption(waitOption())
    .action(
      async (
        folder: string,
        flags: FrameOptions & { seed: number; deviations?: boolean; output?: string; force?: boolean; wait?: boolean },
      ) => {
        await execute(flags, async ({ signal, onProgress }) => {
          const { fitProjectors, projectorFile, readPlan, readTrials, saveProjector, trialsFolder } = await import(
            '../../../lib/lab/index.js'
          )
          const output = flags.output ?? path.join(folder, 'projectors')
          const fitted = await fitProjectors(
            await readTrials(path.join(folder, trialsFolder), (await readPlan(folder)).digest),
            {
              seed: flags.seed,
              deviations: flags.deviations,
              signal,
              onProgress,
            },
          )
          const { force, wait } = flags
          const claim = { files: fitted.map(projectorFile), force, wait, inputs: [], signal, onProgress }
          await withOutput(output, claim, async () => {
            for (const document of fitted)
              await saveProjector(path.join(output, projectorFile(document)), document, force)
          })
          const lines = fitted.map(
            (document) =>
              `  ${projectorFile(document).padEnd(28)} mean absolute error ${document.training.error.toFixed(4)} ` +
              'on folds left out',
          )
          return {
            json: fitted,
            text: [`${fitted.length} projectors from ${fitted[0].training.trials} trials in ${output}`, ...lines].join(
              '\n',
            ),
          }
        })
      },
    )
}
