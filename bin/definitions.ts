// The commands and their options as plain data: what completions and the man page are made of.
import type { Command } from 'commander'

export interface OptionFacts {
  /** `-o, --output <folder>` */
  flags: string
  short: string | undefined
  long: string
  description: string
  takesValue: boolean
  choices: readonly string[]
  /** the heading it stands under */
  group: string
}

export interface CommandFacts {
  /** words behind `warp` */
  path: string[]
  description: string
  usage: string
  arguments: { name: string; description: string; choices: readonly string[] }[]
  options: OptionFacts[]
  /** names of commands below */
  below: string[]
  examples: readonly string[]
}

/** Every command with the program itself first, a parent before those below it. */
export function commandFacts(program: Command, examplesOf: (name: string) => readonly string[]): CommandFacts[] {
  const all: CommandFacts[] = []
  const add = (command: Command, path: string[]): void => {
    const helper = command.createHelp()
    all.push({
      path,
      description: command.description(),
      usage: command.usage(),
      arguments: command.registeredArguments.map((argument) => ({
        name: argument.name(),
        description: argument.description,
        choices: argument.argChoices ?? [],
      })),
      options: helper.visibleOptions(command).map((option) => ({
        flags: option.flags,
        short: option.short,
        long: option.long!,
        description: helper.optionDescription(option),
        takesValue: option.required || option.optional,
        choices: option.argChoices ?? [],
        group: option.helpGroupHeading ?? 'Options:',
      })),
      below: command.commands.map((one) => one.name()),
      examples: examplesOf(path.join(' ')),
    })
    for (const one of command.commands) add(one, [...path, one.name()])
  }
  add(program, [])
  return all
}

/** The command that arguments are for, by name, and what stands behind it. */
export function commandOf(program: Command, args: string[]): { command: Command; names: string[]; rest: string[] } {
  let [command, rest] = [program, args]
  const names: string[] = []
  for (;;) {
    const below = command.commands.find((one) => one.name() === rest[0])
    if (below === undefined) return { command, names, rest }
    names.push(rest[0])
    ;[command, rest] = [below, rest.slice(1)]
  }
}
