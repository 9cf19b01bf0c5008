import { htmlPage, list, section, wordTable } from '../report/page.js'
import { commandLine, modelName } from '../report/provenance.js'
import type { InputFile } from '../report/provenance.js'
import type { DiffResult } from './index.js'

/** What a diff was made of and by, beyond what its document says. */
export interface DiffMade {
  /** options as given */
  options: Record<string, unknown>
  files: readonly InputFile[]
  date?: Date
}

/** The result as one HTML page; `sections` are those of the parts that ran. */
export function diffPage(result: DiffResult, sections: string[], { options, files, date }: DiffMade): string {
  const { inputs, skipped, notes, tool, seed, weights } = result
  const same = skipped.some(({ code }) => code === 'NO_SIGNAL')
  return htmlPage({
    title: `What changed from ${modelName(inputs.base)} to ${modelName(inputs.reference)}`,
    answer: weights?.summary ?? (same ? 'The weights are identical.' : 'The weights themselves were not compared.'),
    verdict: {
      word: weights?.verdict ?? 'no verdict',
      kind: weights === undefined ? 'weak' : weights.verdict === 'unexplained' ? 'bad' : 'ok',
      guarantee:
        'what is said of the weights is counted and measured on every number of both models; what training it ' +
        'speaks for ' +
        'is the simplest that explains it, with the evidence below.',
    },
    sections: [
      ...sections,
      skipped.length > 0
        ? section('What does not apply', wordTable(skipped.map(({ part, reason }): [string, string] => [part, reason])))
        : '',
      notes.length > 0 ? section('Notes', list(notes)) : '',
    ],
    how: [
      'Both models are read tensor by tensor, and every number of one is compared with that of the other.',
      'Differences below half a spacing of the coarser type of number are rounding; the rest moved.',
      'Which tensors moved, how far and with what singular values tells full training from adapters, heads and merges.',
      'Words: tokens whose embeddings moved, set against what ordinary language would have touched.',
      'Predictions and lens: both models read the same neutral texts; what the reference prefers tells what it ' +
        'learned.',
    ],
    limits: [
      'Several trainings can lead to the same kind of difference: the verdict names the simplest.',
      'Words and tokens are what stands out against ordinary language; what is common in both stays unseen.',
    ],
    provenance: { date, command: commandLine(['diff'], options), tool, facts: [['seed', String(seed)]], files },
    result,
  })
}
