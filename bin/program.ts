// Every command and option, once: what runs, helps, completes and is documented.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Command } from 'commander'
import { register as completions } from './commands/completions.js'
import { register as demo } from './commands/demo.js'
import { register as diff } from './commands/diff.js'
import { register as doctor } from './commands/doctor.js'
import { register as footprint } from './commands/footprint.js'
import { register as generate } from './commands/generate.js'
import { register as inspect } from './commands/inspect.js'
import { register as merge } from './commands/merge.js'
import { register as lab } from './commands/lab/index.js'
import { register as predict } from './commands/predict.js'
import { register as recover } from './commands/recover.js'
import { register as select } from './commands/select.js'
import { register as trace } from './commands/trace.js'
import { register as train } from './commands/train.js'
import { addExamples } from './examples.js'
import { groupOptions } from './groups.js'

const { version } = JSON.parse(readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8')) as {
  version: string
}
const commands = [
  ...[recover, footprint, trace, merge, train, predict, select, diff, generate, lab, inspect, doctor, demo],
  completions,
]

export function makeProgram(): Command {
  const program = new Command('warp')
    .description('Recovers what a fine-tuned model was trained on from its weights alone.')
    .version(version)
    .enablePositionalOptions() // what stands behind a command is its own
  for (const register of commands) register(program)
  program.addHelpText('after', '\nColours: --no-color or NO_COLOR=1 turns them off, FORCE_COLOR=1 on.')
  groupOptions(program)
  addExamples(program)
  return program
}
