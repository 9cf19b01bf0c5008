import { z } from 'zod'
import { WarpError } from '../errors.js'
import { objectiveOf } from '../models/families.js'
import { askModel, openForward, type OpenedModel } from '../predict.js'
import { escapeHtml } from '../report/escape.js'
import { list, section } from '../report/page.js'
import { table } from '../report/tables.js'
import { loadTokenizer } from '../text/tokenizer/index.js'
import { readTexts } from './compare.js'
import { NotApplicable, type DiffPair, type PartOptions, type Tables } from './part.js'

const share = z.number().min(0).max(1)

/** What two classifiers make of ordinary texts. */
export const outputsSchema = z.object({
  /** whether the base has a classifier of these labels; if not, it is taken to give all of them equal shares */
  baseClassifies: z.boolean(),
  /** mean probability of each label over the texts, the one that rose most first */
  labels: z.array(z.object({ label: z.string(), base: share, reference: share })),
  /** the texts that surprise the base most, KL(p* ‖ p₀) in nats */
  texts: z.array(z.object({ text: z.string(), divergence: z.number().min(0), label: z.string(), probability: share })),
})
export type Outputs = z.infer<typeof outputsSchema>

const mostTexts = 20

export interface Compared {
  outputs: Outputs
  /** of every text */
  divergence: number[]
  neutral: string
}

/** The outputs of a classifier on neutral texts, set against the base's. @throws NotApplicable where there are none */
export async function compareOutputs({ base, reference }: DiffPair, options: PartOptions): Promise<Compared> {
  const [from, to] = [base.architecture.modelType, reference.architecture.modelType]
  if (from !== to) throw new NotApplicable('PAIR_ARCHITECTURE', `the base is ${from}, the reference ${to}`)
  const { texts, neutral } = await readTexts(options)
  const own = await outputsOf(reference.dir, texts, options)
  const classifies = objectiveOf(base.architectureName) === 'classify'
  const before = classifies ? await outputsOf(base.dir, texts, options) : undefined
  const shared = before?.labels.join() === own.labels.join() ? before : undefined
  const equal = own.labels.map(() => 1 / own.labels.length)
  const pairs = own.rows.map((p, i) => ({ p, q: shared?.rows[i] ?? equal }))
  const divergence = pairs.map(({ p, q }) => Math.max(0, divergenceOf(p, q)))
  const mean = (rows: number[][], label: number): number => rows.reduce((sum, row) => sum + row[label] / rows.length, 0)
  const labels = own.labels.map((label, c) => ({
    label,
    base: mean(
      pairs.map(({ q }) => q),
      c,
    ),
    reference: mean(own.rows, c),
  }))
  const order = [...divergence.keys()].sort((a, b) => divergence[b] - divergence[a] || a - b)
  return {
    divergence,
    neutral,
    outputs: {
      baseClassifies: shared !== undefined,
      labels: labels.sort((a, b) => b.reference - b.base - (a.reference - a.base)),
      texts: order.slice(0, mostTexts).map((i) => {
        const probability = Math.max(...own.rows[i])
        const label = own.labels[own.rows[i].indexOf(probability)]
        return { text: texts[i], divergence: divergence[i], label, probability }
      }),
    },
  }
}

const divergenceOf = (p: number[], q: number[]): number =>
  p.reduce((sum, value, c) => sum + (value > 0 ? value * Math.log(value / Math.max(q[c], Number.MIN_VALUE)) : 0), 0)

/** Probabilities of each label, by text. */
async function outputsOf(
  dir: string,
  texts: string[],
  { threads, memory, signal }: PartOptions,
): Promise<{ labels: string[]; rows: number[][] }> {
  let opened: OpenedModel | undefined
  try {
    opened = await openForward(dir)
    const tokens = await (await loadTokenizer(dir)).encodeBatch(texts, { maxLength: opened.maxLength })
    const records = texts.map((text, row) => ({ text, row, source: `neutral text ${row + 1}` }))
    const none = new Int32Array(texts.length).fill(-1)
    const run = { threads, memory: Math.max(memory, 2 ** 30), signal }
    const found = await askModel(opened, records, tokens, none, run)
    return { labels: opened.labels, rows: found.map(({ logits }) => softmax(logits!)) }
  } catch (error) {
    if (error instanceof WarpError && error.kind === 'input') throw new NotApplicable(error.code, error.message)
    throw error
  } finally {
    opened?.close()
  }
}

function softmax(logits: number[]): number[] {
  const most = Math.max(...logits)
  const powers = logits.map((value) => Math.exp(value - most))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((value) => value / sum)
}

const percent = (value: number): string => `${+(100 * value).toPrecision(3)} %`
const against = ({ baseClassifies }: Outputs): string =>
  baseClassifies ? 'the base’s own outputs' : 'equal shares, as the base has no classifier of these labels'

export function outputLines(outputs: Outputs): string[] {
  return [
    `  labels, against ${against(outputs)}: ${outputs.labels
      .slice(0, 8)
      .map(({ label, base, reference }) => `${label} ${percent(base)} → ${percent(reference)}`)
      .join(', ')}`,
    ...outputs.texts
      .slice(0, 3)
      .map(({ text, divergence, label }) => `  ${divergence.toPrecision(3)} nats: ${JSON.stringify(text)} as ${label}`),
  ]
}

export function outputPage(outputs: Outputs, neutral: string): string {
  return [
    section('Predictions', `<p>What the classifier makes of ${escapeHtml(neutral)}.</p>`),
    list([`set against ${against(outputs)}`]),
    table(
      ['label', 'base', 'reference'],
      outputs.labels.map(({ label, base, reference }) => [escapeHtml(label), percent(base), percent(reference)]),
      { caption: 'Mean probability of each label' },
    ),
    table(
      ['text', 'nats', 'label', 'probability'],
      outputs.texts.map(({ text, divergence, label, probability }) => [
        escapeHtml(text),
        divergence.toPrecision(3),
        escapeHtml(label),
        percent(probability),
      ]),
      { caption: 'The texts that surprise the base most' },
    ),
  ].join('\n')
}

export function outputTables({ labels, texts }: Outputs): Tables {
  return {
    'labels.csv': [
      ['label', 'base', 'reference'],
      ...labels.map(({ label, base, reference }) => [label, base, reference]),
    ],
    'surprising.csv': [
      ['text', 'divergence', 'label', 'probability'],
      ...texts.map(({ text, divergence, label, probability }) => [text, divergence, label, probability]),
    ],
  }
}
