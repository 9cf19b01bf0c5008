// The headings of a command's options in --help, the man page and the documents.
import type { Command, Option } from 'commander'

export const pathGroup = 'Path between the models:'
export const trainingGroup = 'Training:'

/** By what an option is called; those that are not here stand under Options, as they are the command's own. */
const groups: Record<string, readonly string[]> = {
  'Models:': ['base', 'reference', 'model', 'baseHead', 'tokenizer', 'objective', 'embedding'],
  'Texts:': [
    ...['probes', 'data', 'corpus', 'texts', 'prompts', 'test', 'true', 'format', 'columns', 'quotes', 'text'],
    ...['response', 'label', 'domain', 'labelMap', 'skipInvalid', 'limit', 'perDomain', 'maxLength', 'truncate'],
    ...['dropUnlabeled', 'paragraphs', 'window', 'stride'],
  ],
  [pathGroup]: ['path', 'points', 'lambdas', 'scope'],
  'Resources:': [
    'device',
    'deviceMemory',
    'precision',
    'shards',
    'shard',
    'executor',
    'workers',
    'threads',
    'memory',
    'seed',
  ],
  'Output:': [
    ...['output', 'card', 'members', 'force', 'forceSelection', 'wait', 'strict', 'dryRun', 'json', 'quiet', 'verbose'],
    ...['config', 'help'],
  ],
}
const groupOf = new Map(Object.entries(groups).flatMap(([group, names]) => names.map((name) => [name, group] as const)))

/** Options that `add` adds stand under one heading. */
export function under(command: Command, group: string, add: (command: Command) => Command): Command {
  command.optionsGroup(group)
  return add(command).optionsGroup('')
}

/** Gives every option of a command, and of those below it, its heading; the shared ones come last. */
export function groupOptions(command: Command): void {
  for (const option of command.options) {
    const group = option.helpGroupHeading ?? groupOf.get(option.attributeName())
    if (group !== undefined) option.helpGroup(group)
  }
  const order = ['Models:', 'Texts:', pathGroup, trainingGroup, undefined, 'Resources:', 'Output:']
  const rank = (group: string | undefined): number => order.indexOf(group)
  const options = command.options as Option[]
  options.sort((a, b) => rank(a.helpGroupHeading) - rank(b.helpGroupHeading))
  if (options.length > 0 && command.parent) command.optionsGroup('Output:').helpOption(true).optionsGroup('')
  const needed = options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags.replace(/^-\w, /, ''))
  const given = command.registeredArguments.map((argument) => `<${argument.name()}>`)
  if (needed.length > 0) command.usage([...given, ...needed, '[options]'].join(' '))
  for (const below of command.commands) groupOptions(below)
}
