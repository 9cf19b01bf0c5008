import { inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { predict, type Prediction } from '../predict.js'
import type { ProbeOptions } from '../text/index.js'

export interface TestOptions
  extends RunOptions,
    Pick<ProbeOptions, 'format' | 'columns' | 'text' | 'response' | 'label'> {
  /** texts on which models are compared; with labels, for classifiers */
  test: string[]
  labelMap?: Record<string, string> | string
  threads?: number
}

/** What a model said of the test texts. */
export interface Answers {
  /** accuracy of a classifier, perplexity of a language model */
  value: number
  predictions: Pick<Prediction, 'predicted' | 'logits'>[]
}

/** @throws WarpError (input) EVALUATE_NO_LABELS; those of `predict` */
export async function askModel(model: string, options: TestOptions): Promise<Answers> {
  const { test, labelMap, format, columns, text, response, label, threads, signal, onProgress } = options
  const predictions: Answers['predictions'] = []
  const { accuracy, perplexity, objective } = await predict({
    model,
    texts: test,
    labelMap,
    format,
    columns,
    text,
    response,
    label,
    threads,
    signal,
    onProgress,
    onText: ({ predicted, logits }) => void predictions.push({ predicted, logits }),
  })
  const value = objective === 'language' ? perplexity : accuracy
  if (value !== null) return { value, predictions }
  throw inputError(
    'EVALUATE_NO_LABELS',
    `${test.join(', ')}: the test texts have no labels`,
    { file: test[0] },
    'name the column with --label',
  )
}

/** How alike two classifiers are: share of equal predictions, mean Kullback–Leibler divergence from the reference. */
export function compareAnswers(found: Answers, reference: Answers): { agreement: number; divergence: number } {
  let [same, divergence] = [0, 0]
  for (const [i, { predicted, logits }] of found.predictions.entries()) {
    const other = reference.predictions[i]
    if (predicted === other.predicted) same++
    const [p, q] = [logProbabilities(other.logits!), logProbabilities(logits!)]
    divergence += p.reduce((sum, value, c) => sum + Math.exp(value) * (value - q[c]), 0)
  }
  return { agreement: same / found.predictions.length, divergence: divergence / found.predictions.length }
}

function logProbabilities(logits: number[]): number[] {
  const top = Math.max(...logits)
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - top), 0)) + top
  return logits.map((value) => value - total)
}
