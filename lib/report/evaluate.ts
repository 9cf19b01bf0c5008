// The page of `warp select evaluate`.
import type { EvaluateResult, SelectResult } from '../select/index.js'
import { barChart } from './bars.js'
import { htmlPage, list, section } from './page.js'
import { commandLine, modelName, type InputFile } from './provenance.js'
import { grid } from './tables.js'

export interface EvaluatePage {
  result: EvaluateResult
  /** what was evaluated */
  selection: Pick<SelectResult, 'base' | 'reference' | 'selected' | 'features' | 'strategy' | 'corpus' | 'notes'>
  tool: { name: string; version: string; commit?: string | null }
  files: readonly InputFile[]
  /** as given, without the folder */
  options: Record<string, unknown>
  /** default: now */
  date?: Date
}

type Row = EvaluateResult['rows'][number]

const kinds: Record<Row['name'], string> = {
  selected: 'the selected documents',
  random: 'random documents',
  true: 'the true texts',
  reference: 'the reference itself',
}

/** The evaluation as one page. */
export function evaluatePage(page: EvaluatePage): string {
  const { result, selection, tool, files, options, date } = page
  const { rows, measure, seeds, testTexts, labels } = result
  const format = formatOf(result)
  const find = (name: Row['name']) => rows.find((row) => row.name === name)
  const [base, reference] = [selection.base, selection.reference].map(modelName)
  const others = (['random', 'true', 'reference'] as const).flatMap((name) => {
    const row = find(name)
    return row ? [`${kinds[name]} ${format(row.value)}`] : []
  })
  return htmlPage({
    title: `Do ${selection.selected} documents explain how ${reference} came from ${base}?`,
    answer:
      `Trained on the selected documents, ${base} reaches ${measure} ${format(find('selected')!.value)}` +
      `${others.length > 0 ? `; ${others.join(', ')}` : ''}.`,
    verdict: verdictOf(result),
    sections: [
      section(measure === 'accuracy' ? 'Accuracy on the test texts' : 'Perplexity of the test texts', bars(result)),
      section('Likeness to the reference', measures(result)),
      selection.notes.length > 0 ? section('Notes of the selection', list(selection.notes)) : '',
    ],
    how: [
      `${selection.selected} documents were chosen by ${selection.features} features and ${selection.strategy}, ` +
        `without any training text.`,
      `The base is trained on them with ${labels} labels of the reference, ${seeds} times by seed.`,
      'The same is done with as many random documents of the corpus, and with the true texts where they were given.',
      `Each model answers the same ${testTexts} test texts; so does the reference.`,
      'Agreement and divergence compare the answers with the reference, cosine and length the way the weights went.',
    ],
    limits: [
      'Documents that lead the base to the same place need not be those that were trained on, nor like them.',
      'The trainings use one recipe, which need not be that of the reference.',
      ...(seeds < 2 ? ['One training of each tells nothing of how far another seed would have led: see --seeds.'] : []),
    ],
    provenance: {
      date,
      command: commandLine(['select', 'evaluate', result.selection], options),
      tool,
      facts: [['corpus', selection.corpus.join(', ')]],
      files,
    },
    result,
  })
}

const formatOf =
  ({ measure }: EvaluateResult) =>
  (value: number): string =>
    measure === 'accuracy' ? `${(100 * value).toFixed(1)} %` : value.toPrecision(4)

/** Whether selected documents do better than random ones, beyond what the seeds explain. */
function verdictOf(result: EvaluateResult): Parameters<typeof htmlPage>[0]['verdict'] {
  const { rows, measure } = result
  const find = (name: Row['name']) => rows.find((row) => row.name === name)
  const [selected, random, reference] = [find('selected')!, find('random'), find('reference')!]
  const guarantee =
    'it says how much of the way to the reference these documents lead on these test texts, and nothing of whether ' +
    'they were trained on.'
  if (!random)
    return { word: 'nothing to compare with', kind: 'weak', guarantee, reasons: ['No random documents were tried.'] }
  const better = (measure === 'accuracy' ? 1 : -1) * (selected.value - random.value)
  const noise = [selected, random].reduce((sum, { sd, values }) => sum + (sd ?? 0) ** 2 / values.length, 0)
  const known = selected.sd !== null && random.sd !== null
  const clear = better > 2 * Math.sqrt(noise)
  const [from, to] =
    measure === 'accuracy' ? [random.value, reference.value] : [random.value, reference.value].map(Math.log)
  const at = measure === 'accuracy' ? selected.value : Math.log(selected.value)
  const way = to === from ? null : (at - from) / (to - from)
  const reasons = [
    ...(way === null
      ? []
      : [`The selected documents lead ${(100 * way).toFixed(0)} % of the way from random ones to the reference.`]),
    known
      ? `Twice the noise of the seeds: ${formatOf(result)(2 * Math.sqrt(noise))}.`
      : 'One training of one kind only: noise unknown.',
  ]
  if (better <= 0) return { word: 'no better than random documents', kind: 'bad', guarantee, reasons }
  return {
    word: clear && known ? 'better than random documents' : 'better, as far as so few trainings tell',
    kind: clear && known ? 'ok' : 'weak',
    guarantee,
    reasons,
  }
}

function bars(result: EvaluateResult): string {
  const { rows, measure } = result
  return barChart(
    rows.map(({ name, value, values }) => ({
      name: kinds[name],
      value,
      ...(values.length > 1 && { low: Math.min(...values), high: Math.max(...values) }),
    })),
    {
      caption: `${measure === 'accuracy' ? 'Accuracy' : 'Perplexity (less is better)'}, the mean of all trainings`,
      head: ['trained on', measure, 'least – most'],
      format: formatOf(result),
      file: 'evaluation.csv',
      order: 'given',
      ...(measure === 'accuracy' && { most: 1 }),
    },
  )
}

function measures({ rows }: EvaluateResult): string {
  return grid(
    rows.map(({ name, texts, agreement, divergence, displacement, overlap }) => ({
      name: kinds[name],
      values: [
        texts || null,
        agreement,
        divergence,
        displacement?.cosine ?? null,
        displacement?.relativeNorm ?? null,
        overlap?.containment ?? null,
      ],
    })),
    {
      caption: 'Against the reference, and against the true texts',
      corner: 'trained on',
      columns: ['texts', 'same label', 'divergence', 'cosine', 'length', 'words in'],
      format: (value) => (Number.isInteger(value) && value > 1 ? String(value) : value.toFixed(3)),
      file: 'likeness.csv',
    },
  )
}
