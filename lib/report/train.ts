// The page of `warp train`.
import type { TrainingResult } from '../train/index.js'
import { barChart } from './bars.js'
import { lineChart, lineLabel, type Series } from './charts.js'
import { escapeHtml } from './escape.js'
import { htmlPage, list, section, wordTable } from './page.js'
import { commandLine, modelName, type InputFile } from './provenance.js'
import { csvDownload } from './tables.js'

export interface TrainPage {
  result: TrainingResult
  base: string
  tool: { name: string; version: string; commit?: string | null }
  files: readonly InputFile[]
  /** as given */
  options: Record<string, unknown>
  /** default: now */
  date?: Date
}

/** Points of a line: of more steps, means of as many as make it that. */
const mostPoints = 300

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** A training as one page. */
export function trainPage({ result, base, tool, files, options, date }: TrainPage): string {
  const { data, steps, loss, recipe, trained, output, seconds, notes } = result
  const tenth = Math.max(1, Math.floor(steps / 10))
  const [first, last] = [mean(loss.slice(0, tenth)), mean(loss.slice(-tenth))]
  const fell = last < first
  return htmlPage({
    title: `${modelName(output)}, fine-tuned from ${modelName(base)}`,
    answer:
      `${data.texts} texts of ${data.labels.length} classes, ${steps} steps: the loss went from ` +
      `${first.toFixed(3)} to ` +
      `${last.toFixed(3)} (means of the first and the last ${tenth === 1 ? 'step' : `${tenth} steps`}).`,
    verdict: {
      word: fell ? 'trained' : 'the loss did not fall',
      kind: fell ? 'ok' : 'weak',
      guarantee:
        'the same command gives the same bytes, with any number of threads and after any stop; how well the model ' +
        'does on ' +
        'other texts is not measured here (warp predict).',
    },
    sections: [
      section('Loss and gradient', lines(result)),
      section('Texts', classes(result)),
      section(
        'Recipe',
        wordTable(
          Object.entries(recipe).map(([name, value]): [string, string] => [
            name,
            typeof value === 'object' ? JSON.stringify(value) : String(value),
          ]),
        ),
      ),
      notes.length > 0 ? section('Notes', list(notes)) : '',
    ],
    how: [
      `The base's ${trained.parameters} of ${trained.of} parameters that may move are trained, in ` +
        `${trained.tensors} tensors.`,
      `Texts are drawn in an order that the seed (${recipe.seed}) decides, ${recipe.epochs} times all of them.`,
      'Each step takes the mean loss of its texts, its gradient, and moves the weights as the recipe says.',
      'Loss and norm of the gradient are those of the step, before it moves the weights.',
      'The record of the training lies beside the weights, in warp.train.json.',
    ],
    limits: [
      'A loss on the texts that are trained on says little of others.',
      `${data.truncated} of the texts were cut off at the longest length.`,
    ],
    provenance: {
      date,
      command: commandLine(['train'], options),
      tool,
      facts: [
        ['time', `${seconds.toFixed(1)} s for ${steps - result.resumedAt} steps`],
        ['texts', `SHA-256 of what was read: ${data.sha256}`],
      ],
      files,
    },
    result,
  })
}

function lines({ loss, norm }: TrainingResult): string {
  const size = Math.ceil(loss.length / mostPoints)
  const thinned = (name: string, values: readonly number[]): Series => {
    const count = Math.ceil(values.length / size)
    const part = (i: number) => values.slice(i * size, (i + 1) * size)
    return {
      name,
      x: Array.from({ length: count }, (_, i) => Math.min(values.length, i * size + (size + 1) / 2)),
      y: Array.from({ length: count }, (_, i) => mean(part(i))),
    }
  }
  const figure = (caption: string, unit: string, values: readonly number[]) => {
    const series = [thinned(caption, values)]
    const axes = { x: 'step', y: unit, range: [0, values.length] as [number, number] }
    return (
      `<figure><figcaption>${escapeHtml(caption)}${size > 1 ? `, means of ${size} steps` : ''}</figcaption>` +
      `${lineChart(lineLabel(caption, series), axes, series)}</figure>`
    )
  }
  return (
    `<div class="side">${figure('Loss', 'nats', loss)}${figure('Norm of the gradient', 'norm', norm)}</div>` +
    csvDownload('steps.csv', [['step', 'loss', 'norm'], ...loss.map((value, i) => [i + 1, value, norm[i]])])
  )
}

function classes({ data }: TrainingResult): string {
  return barChart(
    data.labels.map((name, c) => ({ name, value: data.counts[c] })),
    {
      caption: `${data.texts} texts, ${data.tokens} tokens`,
      head: ['class', 'texts'],
      format: (count) => String(count),
      file: 'classes.csv',
      many: 'classes',
    },
  )
}
