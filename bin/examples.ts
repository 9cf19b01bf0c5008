// What one would type first: printed below a command's help, and three of them where no command was given.
import type { Command } from 'commander'

const pair = '--base minilm-l6 --reference expert-ag'

const lab = [
  'lab plan --base minilm-l6 --data domains.jsonl --trials 16 --texts 800 -o lab',
  'lab run lab',
  'lab report lab',
  'lab fit lab',
]

/** By a command's name, without `warp`; the README says where its models and texts come from. */
const examples: Record<string, readonly string[]> = {
  recover: [
    `recover ${pair} --base-head zeros --probes domains.jsonl -o mixture`,
    `recover ${pair} --base-head zeros --probes news.csv --columns label,title,body --text title,body --dry-run`,
    'recover --base minilm-l6 --base-head zeros --reference run/checkpoint-* --probes domains.jsonl -o steps',
  ],
  footprint: [`footprint ${pair} --base-head zeros --probes domains.jsonl --points 5 -o footprint`],
  trace: [`trace ${pair} -o trace`, `trace ${pair} --probes pool.jsonl -o trace`],
  merge: [`merge ${pair} --path ties --density 0.9 --lambda 0.4 -o merged`],
  train: [
    'train --base minilm-l6 --data texts.jsonl --epochs 2 --learning-rate 2e-5 -o tuned',
    'train --base smollm2-135m --data texts.jsonl --dry-run -o tuned',
  ],
  predict: ['predict --model expert-ag --texts texts.jsonl -o predictions.jsonl'],
  select: [`select ${pair} --corpus wiki.jsonl --count 400 -o picked`],
  'select merge': [
    `select ${pair} --corpus wiki.jsonl --shards 8 --shard 0 -o parts # to --shard 7, anywhere`,
    'select merge parts --count 400 -o picked',
  ],
  'select evaluate': ['select evaluate picked --test test.jsonl --true true.jsonl --labels soft'],
  diff: [`diff ${pair} -o difference`],
  generate: ['generate --model smollm2-135m --start words --count 4 --max-new-tokens 12 -o texts.jsonl'],
  lab,
  'lab plan': [lab[0]],
  'lab run': [lab[1]],
  'lab report': [lab[2]],
  'lab fit': [lab[3]],
  inspect: ['inspect smollm2-135m'],
  doctor: ['doctor'],
  completions: ['completions bash >> ~/.bashrc'],
  demo: ['demo'],
}

/** For somebody who typed nothing: what it is, three examples, the commands. */
export function shortHelp(program: Command): string[] {
  const [first, second, third] = ['demo', examples.trace[0], examples.recover[0]]
  const names = program.commands.map((command) => command.name())
  return [
    program.description(),
    '',
    `  warp ${first}`.padEnd(24) + 'the whole story, on models and texts that come along',
    `  warp ${second}`,
    `  warp ${third}`,
    '',
    `Commands: ${names.join(', ')}`,
    'warp --help, warp COMMAND --help',
  ]
}

/** Of a command, without `warp`. */
export const examplesOf = (name: string): readonly string[] => examples[name] ?? []

/** Adds examples to the help of every command. */
export function addExamples(program: Command): void {
  const add = (command: Command, name: string): void => {
    const lines = examples[name]
    command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  warp ${line}`).join('\n')}`)
    for (const below of command.commands) add(below, `${name} ${below.name()}`)
  }
  for (const command of program.commands) add(command, command.name())
}
