import { inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import type { Objective } from '../objectives/index.js'
import { Random } from '../random.js'
import type { LabelledTexts } from '../train/index.js'
import { labelTexts } from './label.js'
import { unpackWindows } from './packed.js'
import { listShards, readAnyShard } from './shards.js'
import type { Window } from './types.js'

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
  label: string | null
  probabilities: number[] | null
}

/** @throws WarpError (input) EVALUATE_LABEL */
export function asTexts(documents: LabelledDocument[], { objective, labels, soft }: SetOptions): LabelledTexts {
  const texts = documents.map(({ text }) => text)
  const sources = documents.map(({ source }) => source)
  if (objective === 'language') {
    const label = new Int32Array(texts.length)
    return { texts, sources, objective, label, labels: ['texts'], domain: label, domains: ['texts'] }
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
  if (soft) set.soft = Float32Array.from(documents.flatMap(({ probabilities }) => probabilities!))
  return set
}

/** As many windows of the same corpus, drawn at random, with the reference's labels. */
export async function randomSets(
  folder: string,
  { sets, count, window }: { sets: number; count: number; window: number },
  options: SetOptions,
): Promise<LabelledTexts[]> {
  const { reference, objective, labels } = options
  const windows: Window[] = []
  for (const shard of await listShards(folder))
    windows.push(...unpackWindows((await readAnyShard(folder, shard)).packed))
  const made: LabelledTexts[] = []
  for (let set = 0; set < sets; set++) {
    const rows = new Random(set, 'select evaluate random').permutation(windows.length).slice(0, count)
    const chosen = Array.from(rows, (row) => windows[row])
    if (objective === 'language') {
      made.push(
        asTexts(
          chosen.map(({ text, source }) => ({ text, source, label: null, probabilities: null })),
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
    const documents = chosen.map(({ text, source }, i) => ({
      text,
      source,
      label: labels[said.label[i]],
      probabilities: Array.from(said.probability.subarray(i * c, (i + 1) * c)),
    }))
    made.push(asTexts(documents, options))
  }
  return made
}
