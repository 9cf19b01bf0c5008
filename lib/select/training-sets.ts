import { inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import type { Objective } from '../objectives/index.js'
import { Random } from '../random.js'
import type { LabelledTexts } from '../train/index.js'
import { labelTexts } from './label.js'
import { unpackWindows } from './packed.js'
import { readAnyShard } from './shards.js'
import { readCorpus, textsOf } from './texts.js'
import type { Place } from './types.js'

/** What the base is trained on, and how its labels are taken. */
export interface SetOptions extends RunOptions {
  reference: string
  objective: Objective
  labels: string[]
  /** the reference's probabilities are learned in the place of labels */
  soft: boolean
  threads?: number
}

export interface LabelledDocument {
  text: string
  source: string
  /** characters of the text that are a prompt */
  prompt: number
  label: string | null
  probabilities: number[] | null
}

/** @throws WarpError (input) EVALUATE_LABEL, EVALUATE_PROBABILITIES */
export function asTexts(documents: LabelledDocument[], { objective, labels, soft }: SetOptions): LabelledTexts {
  const texts = documents.map(({ text }) => text)
  const sources = documents.map(({ source }) => source)
  if (objective === 'language') {
    const label = new Int32Array(texts.length)
    const set: LabelledTexts = {
      texts,
      sources,
      objective,
      label,
      labels: ['texts'],
      domain: label,
      domains: ['texts'],
    }
    if (documents.some(({ prompt }) => prompt > 0))
      set.prompts = documents.map(({ text, prompt }) => text.slice(0, prompt))
    return set
  }
  const label = Int32Array.from(documents, ({ label: name, source }) => {
    const id = name === null ? -1 : labels.indexOf(name)
    if (id >= 0) return id
    throw inputError(
      'EVALUATE_LABEL',
      `${source}: the document has no label of the reference`,
      { file: source, found: name, expected: labels },
      'select again with --labels auto',
    )
  })
  const set: LabelledTexts = { texts, sources, objective, label, labels, domain: label, domains: labels }
  if (soft) set.soft = Float32Array.from(documents.flatMap((document) => softLabel(document, labels)))
  return set
}

function softLabel({ probabilities, source }: LabelledDocument, { length }: string[]): number[] {
  const sum = probabilities?.reduce((a, b) => a + b, 0) ?? 0
  if (probabilities?.length === length && probabilities.every((p) => p >= 0) && Math.abs(sum - 1) < 1e-3)
    return probabilities
  throw inputError(
    'EVALUATE_PROBABILITIES',
    `${source}: the document has no probabilities of the reference's ${length} labels`,
    { file: source, expected: length, found: probabilities?.length ?? null },
    'select again, or leave out --labels soft',
  )
}

/** As many windows of the same corpus, drawn at random, with the reference's labels. */
export async function randomSets(
  folder: string,
  { sets, count, window }: { sets: number; count: number; window: number },
  options: SetOptions,
): Promise<LabelledTexts[]> {
  const { reference, objective, labels } = options
  const corpus = await readCorpus(folder)
  const places: Place[] = []
  for (let shard = 0; shard < corpus.shards; shard++)
    places.push(...unpackWindows((await readAnyShard(folder, shard)).packed).places)
  const draws = Array.from({ length: sets }, (_, set) =>
    new Random(set, 'select evaluate random').permutation(places.length).slice(0, count),
  )
  const rows = Uint32Array.from(new Set(draws.flatMap((draw) => Array.from(draw))))
  const texts = await textsOf(folder, corpus, places, rows, { signal: options.signal })
  const textOf = new Map(Array.from(rows, (row, i) => [row, texts[i]]))
  const made: LabelledTexts[] = []
  for (const draw of draws) {
    const chosen = Array.from(draw, (row) => ({ ...places[row], text: textOf.get(row)! }))
    if (objective === 'language') {
      made.push(
        asTexts(
          chosen.map(({ text, source, prompt }) => ({ text, source, prompt, label: null, probabilities: null })),
          options,
        ),
      )
      continue
    }
    const said = await labelTexts(
      reference,
      chosen.map(({ text }) => text),
      window,
      options,
    )
    const c = labels.length
    const documents = chosen.map(({ text, source, prompt }, i) => ({
      text,
      source,
      prompt,
      label: labels[said.label[i]],
      probabilities: Array.from(said.probability.subarray(i * c, (i + 1) * c)),
    }))
    made.push(asTexts(documents, options))
  }
  return made
}
