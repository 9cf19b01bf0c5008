import { Argument, type Command } from 'commander'
import { completionScript, shells, type Shell } from '../completions.js'
import { commandFacts } from '../definitions.js'
import { examplesOf } from '../examples.js'
import { execute, framed, type FrameOptions } from '../frame.js'

export function register(program: Command): void {
  framed(program.command('completions'))
    .description('a script with which the shell completes commands, options and their values')
    .addArgument(new Argument('<shell>', 'that the script is for').choices(shells))
    .action((shell: Shell, flags: FrameOptions) =>
      execute(flags, () => {
        const text = completionScript(shell, commandFacts(program, examplesOf))
        return Promise.resolve({ json: { schema: 'warp.completions/1', shell, script: text }, text })
      }),
    )
}
