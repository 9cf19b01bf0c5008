// What was read for features, and the texts of their windows: they stay in the corpus where that can be read twice.
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { readDocument, writeDocument } from '../document.js'
import { inputError } from '../errors.js'
import { stat } from '../stat.js'
import { hashSources, probeFormats, type ReadControl, type ReadInput } from '../text/index.js'
import { documents } from './corpus.js'
import { unpackWindows } from './packed.js'
import { readAnyShard } from './shards.js'
import type { FeatureOptions, Place } from './types.js'

const count = z.int().nonnegative()
/** How a corpus was read, and what it was. */
const readingForm = z.object({
  /** files and folders, by absolute paths where they are of this machine */
  sources: z.array(z.string()),
  options: z.object({
    format: z.enum(probeFormats).optional(),
    columns: z.array(z.string()).optional(),
    quotes: z.boolean().optional(),
    text: z.array(z.string()).optional(),
    response: z.string().optional(),
    label: z.string().optional(),
    paragraphs: z.boolean().optional(),
  }),
  /** bytes and SHA-256 of each source; empty where texts are kept */
  inputs: z.array(z.object({ size: count, sha256: z.string() })),
  /** texts are in the shards: stdin, or a pipe */
  kept: z.boolean(),
})
export type CorpusReading = z.infer<typeof readingForm>

/** What a corpus came to, whole: of all parts the same. */
export const corpusForm = z.object({
  /** of the pair, path, windows and version */
  key: z.string(),
  shards: count,
  windows: count,
  documents: count,
  split: count,
  truncated: count,
  reading: readingForm,
})
const form = corpusForm.extend({ schema: z.literal('warp.select.corpus/1') })
/** What says beside the shards that all are there. */
export type CorpusDocument = z.infer<typeof form>

export const corpusFile = 'corpus.json'

export const writeCorpus = (folder: string, document: CorpusDocument): Promise<void> =>
  writeDocument(join(folder, corpusFile), document, { force: true })

/** @throws WarpError (input) CORPUS_… */
export const readCorpus = (folder: string): Promise<CorpusDocument> =>
  readDocument(join(folder, corpusFile), {
    prefix: 'CORPUS',
    schema: 'warp.select.corpus/1',
    form,
    again: 'make the features with `warp select`',
  })

/** The document, undefined where there is none. @throws WarpError (input) CORPUS_… */
export async function findCorpus(folder: string): Promise<CorpusDocument | undefined> {
  const names = await readdir(folder).catch(() => [] as string[])
  return names.includes(corpusFile) ? readCorpus(folder) : undefined
}

/** How a corpus is to be read; `inputs` are known once it was. */
export async function readingOf(options: FeatureOptions): Promise<CorpusReading> {
  const { corpus, format, columns, quotes, text, response, label, paragraphs } = options
  const kinds = await Promise.all(corpus.map((one) => stat(one).catch(() => undefined)))
  const sources = corpus.map((one, i) => (one !== '-' && kinds[i] ? resolve(one) : one))
  const kept = corpus.some((one, i) => one === '-' || (kinds[i] && !kinds[i].isFile() && !kinds[i].isDirectory()))
  return { sources, options: { format, columns, quotes, text, response, label, paragraphs }, inputs: [], kept }
}

/** Without the paths, which may be others on another machine. */
export const plainInputs = (inputs: ReadInput[]): CorpusReading['inputs'] =>
  inputs.map(({ size, sha256 }) => ({ size, sha256 }))

const sameInputs = (a: CorpusReading['inputs'], b: CorpusReading['inputs']): boolean =>
  a.length === b.length && a.every(({ sha256 }, i) => sha256 === b[i].sha256)

/** Whether a corpus has the same bytes still. @throws WarpError of the readers */
export async function isSame({ kept, inputs }: CorpusReading, now: CorpusReading, control: ReadControl) {
  if (kept || now.kept) return false
  return sameInputs(inputs, await hashSources(now.sources, now.options, control))
}

/** The texts of all windows in their order, some at a time. @throws WarpError CORPUS_CHANGED; those of the readers */
export async function* eachText(
  folder: string,
  { shards, reading }: Pick<CorpusDocument, 'shards' | 'reading'>,
  places: readonly Place[],
  { signal, onProgress }: ReadControl,
): AsyncGenerator<string[]> {
  if (reading.kept) {
    for (let shard = 0; shard < shards; shard++) yield unpackWindows((await readAnyShard(folder, shard)).packed).texts
    return
  }
  const inputs: ReadInput[] = []
  let at = 0
  for await (const batch of documents(reading.sources, reading.options, { signal, onProgress, inputs })) {
    const texts: string[] = []
    for (const { row, text } of batch)
      for (; at < places.length && places[at].document === row; at++)
        texts.push(text.slice(places[at].from, places[at].to))
    yield texts
  }
  if (at === places.length && sameInputs(reading.inputs, inputs)) return
  throw inputError(
    'CORPUS_CHANGED',
    `${reading.sources.join(', ')}: not what the features were made from`,
    { file: reading.sources[0], expected: reading.inputs, found: plainInputs(inputs) },
    'the corpus as it was, or select again',
  )
}

/** The texts of some windows. @throws as `eachText` */
export async function textsOf(
  folder: string,
  corpus: Pick<CorpusDocument, 'shards' | 'reading'>,
  places: readonly Place[],
  rows: Uint32Array,
  control: ReadControl,
): Promise<string[]> {
  const wanted = new Map(Array.from(rows, (row) => [row, '']))
  let at = 0
  for await (const texts of eachText(folder, corpus, places, control))
    for (const text of texts) {
      if (wanted.has(at)) wanted.set(at, text)
      at++
    }
  return Array.from(rows, (row) => wanted.get(row)!)
}
