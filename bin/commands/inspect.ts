import type { Command } from 'commander'
import { printable, printableName } from '../../lib/printable.js'
import { execute, framed, type FrameOptions } from '../frame.js'

export function register(program: Command): void {
  framed(program.command('inspect').argument('<dir>', 'a model directory, or hf:owner/name[@revision]'))
    .description('what is in a model directory: architecture, tensors, head, tokenizer, problems')
    .action((dir: string, options: FrameOptions) =>
      execute(options, async (run) => {
        const { inspect } = await import('../../lib/checkpoint/index.js')
        const found = await inspect(dir, run)
        return { json: found, text: text(found), exitCode: found.usable === 'no' ? 3 : 0 }
      }),
    )
}

function text(found: import('../../lib/checkpoint/index.js').Inspection): string[] {
  const a = found.architecture
  const uses = Object.entries(found.verdicts).flatMap(([command, verdict]) =>
    verdict === 'yes'
      ? [command]
      : verdict === 'as base' || verdict === 'as reference'
        ? [`${command} (${verdict})`]
        : [],
  )
  const what = found.adapter ? 'an adapter' : found.architectureName || 'unknown architecture'
  const lines = [
    `${found.dir}: ${what}, usable for ${uses.join(', ') || 'nothing'}`,
    found.adapter &&
      `  made for ${found.adapter.base || 'a base it does not name'}: ` +
        `${found.adapter.differences} differences of rank ` +
        `${found.adapter.ranks.join(', ')}, ${found.adapter.saved.length} whole tensors`,
    a &&
      `  ${a.layers} layers, hidden ${a.hiddenSize}, ${a.heads} heads, vocabulary ${a.vocabularySize}, ` +
        `${a.maxPositions} positions`,
    !found.adapter &&
      `  ${found.parameters.toLocaleString('en')} parameters in ${found.tensors.length} tensors: ` +
        Object.entries(found.dtypes)
          .map(([dtype, count]) => `${count} ${dtype}`)
          .join(', '),
    !found.adapter &&
      (found.head.present
        ? `  head: ${found.head.labels.length} labels: ${found.head.labels.map(printableName).join(', ')}`
        : found.objective === 'language'
          ? '  language model'
          : '  no classification head'),
    `  tokenizer: ${found.tokenizer.join(', ') || 'none'}`,
    found.tie && `  ${printableName(found.tie.name)} is tied to ${printableName(found.tie.to)}`,
    ...found.notes.map((note) => `  note: ${printable(note, 1000)}`),
    ...found.problems.flatMap(({ code, message, hint }) => [
      `  problem: ${printable(message, 1000)} [${code}]`,
      hint !== '' && `    try: ${hint}`,
    ]),
  ]
  return lines.filter((line) => typeof line === 'string')
}
