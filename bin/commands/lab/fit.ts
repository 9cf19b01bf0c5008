import path from 'node:path'
import type { Command } from 'commander'
import { execute, framed, type FrameOptions } from '../../frame.js'
import { withOutput } from '../../output-folder.js'
import { waitOption } from '../../probe-options.js'
import { integer } from '../../values.js'

interface Flags extends FrameOptions {
  folds?: number
  seed: number
  deviations?: boolean
  output?: string
  force?: boolean
  wait?: boolean
}

export function fit(command: Command): void {
  framed(command.description('trains the projectors on all trials that are done').argument('<folder>', 'of a lab'))
    .option('--folds <n>', 'of the cross-validation (default: 10; with fewer trials leave-one-out)', integer(2))
    .option('--seed <n>', 'of parameters, batches and folds', integer(0), 42)
    .option('--deviations', 'the network also sees the standard deviations of the scores')
    .option('-o, --output <folder>', "of the projectors (default: projectors in the lab's folder)")
    .option('-f, --force', 'replace projectors')
    .addOption(waitOption())
    .action(async (folder: string, flags: Flags) => {
      await execute(flags, async ({ signal, onProgress }) => {
        const { fitProjectors, foldsText, projectorFile, readPlan, readTrials, saveProjector, trialsFolder } =
          await import('../../../lib/lab/index.js')
        const output = flags.output ?? path.join(folder, 'projectors')
        const fitted = await fitProjectors(
          await readTrials(path.join(folder, trialsFolder), (await readPlan(folder)).digest),
          {
            folds: flags.folds,
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
            `  ${projectorFile(document).padEnd(28)} mean absolute error ${document.training.error.toFixed(4)}`,
        )
        const { trials, folds } = fitted[0].training
        const best = [...fitted].sort((a, b) => a.training.error - b.training.error)[0]
        const text = [
          `${fitted.length} projectors from ${trials} trials in ${output}, errors by ${foldsText(folds, trials)}`,
          ...lines,
          `use one: warp recover … --projector ${path.join(output, projectorFile(best))}`,
        ]
        return { json: fitted, text }
      })
    })
}
