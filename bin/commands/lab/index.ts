import type { Command } from 'commander'
import { fit } from './fit.js'
import { plan } from './plan.js'
import { report } from './report.js'
import { run } from './run.js'

export function register(program: Command): void {
  const lab = program
    .command('lab')
    .description(
      'synthetic mixtures: fine-tune and footprint many models, train the projector, cross-validate every readout',
    )
  plan(lab.command('plan'))
  run(lab.command('run'))
  fit(lab.command('fit'))
  report(lab.command('report'))
}
