// Prompts and responses of a language model: losses and gradients are the response's alone.
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { predict, type Prediction } from '../../lib/predict.js'
import { evaluateSelection, select, type SelectOptions } from '../../lib/select/index.js'
import { train } from '../../lib/train/index.js'
import { temporaryDirectory as folder } from '../support/models.js'
import { networkFixture } from '../support/networks.js'
import { bytePairTokenizer, pairText } from '../support/pair.js'

const rows = (kind: string, first: number, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const words = pairText(kind, first + i)
      .slice(0, 18)
      .trim()
    return { question: words.slice(0, 6).trim(), answer: words.slice(6).trim() }
  })
function fileOf(list: object[]): string {
  const file = join(folder(), 'texts.jsonl')
  writeFileSync(file, list.map((one) => `${JSON.stringify(one)}\n`).join(''))
  return file
}

let base: string
let reference: string
const columns = { text: ['question'], response: 'answer' }
const corpus = rows('animals', 100, 20)
beforeAll(async () => {
  base = folder()
  cpSync(networkFixture('llama-language'), base, { recursive: true })
  writeFileSync(join(base, 'tokenizer.json'), JSON.stringify(bytePairTokenizer()))
  reference = join(folder(), 'trained')
  const learned = { epochs: 2, batch: 8, learningRate: 3e-3 }
  await train({ base, data: [fileOf(rows('animals', 0, 40))], output: reference, ...columns, ...learned })
})

async function said(texts: object[], more: { text?: string[]; response?: string }): Promise<Prediction[]> {
  const found: Prediction[] = []
  await predict({ model: reference, texts: [fileOf(texts)], ...more, onText: (one) => void found.push(one) })
  return found
}

test('predict: the loss of a response is that of the text without that of its prompt', async () => {
  const responses = await said(corpus, columns)
  const whole = await said(
    corpus.map(({ question, answer }) => ({ text: `${question} ${answer}` })),
    {},
  )
  const prompts = await said(
    corpus.map(({ question }) => ({ text: question })),
    {},
  )
  for (const [i, { loss, targets, tokens }] of responses.entries()) {
    // in single precision, sums of some tens of terms of about 5
    expect(Math.abs(loss! - (whole[i].loss! - prompts[i].loss!))).toBeLessThan(1e-3)
    expect(targets).toBe(tokens - prompts[i].tokens)
    expect(whole[i].targets).toBe(tokens - 1)
  }
})

test('select goes by responses; what it chose is trained on and judged by them', async () => {
  const output = folder()
  const options: SelectOptions = { base, reference, corpus: [fileOf(corpus)], output, window: 20, count: 8, ...columns }
  const { documents, result } = await select({ ...options, features: 'head', lambdas: [0.5], strategy: 'loss-min' })
  const responses = await said(corpus, columns)
  for (const { document, score, text, prompt } of documents) {
    expect(Math.abs(score - responses[document].loss!)).toBeLessThan(1e-3)
    expect(text).toBe(`${corpus[document].question} ${corpus[document].answer}`)
    expect(text.slice(0, prompt)).toBe(corpus[document].question)
  }
  const losses = responses.map(({ loss }) => loss!).sort((a, b) => a - b)
  expect(documents.map(({ score }) => score).every((score, i) => Math.abs(score - losses[i]) < 1e-3)).toBe(true)
  writeFileSync(join(output, 'result.json'), JSON.stringify(result))
  writeFileSync(join(output, 'selection.jsonl'), documents.map((one) => `${JSON.stringify(one)}\n`).join(''))
  const test = fileOf(rows('animals', 200, 10))
  const evaluated = await evaluateSelection({ selection: output, test: [test], ...columns, epochs: 1, batch: 4 })
  const judged = await predict({ model: reference, texts: [test], ...columns })
  expect(evaluated.rows.map(({ name }) => name)).toEqual(['selected', 'random', 'reference'])
  expect(evaluated.rows[2].value).toBeCloseTo(judged.perplexity!, 9)
  const long = select({ ...options, output: folder(), window: 5, features: 'head', lambdas: [0.5] })
  await expect(long).rejects.toMatchObject({ code: 'CORPUS_RESPONSE_LONG', exitCode: 3 })
})
