import os from 'node:os'
import { nativeWeights, openModel, openReference, whileUnchanged, type InputFile } from '../checkpoint/index.js'
import { version } from '../doctor.js'
import { checkWhole, inputError, usageError, type WarpError, refuseUnused } from '../errors.js'
import { localModels } from '../hub/index.js'
import { checkGenerateOptions } from '../generate/options.js'
import { startConflict, startKinds, startUnknown } from '../generate/starts.js'
import type { RunOptions } from '../native/task.js'
import { checkOptions, type Kinds, runKinds } from '../options.js'
import type { DomainsResult } from './domains.js'
import type { LensResult } from './lens.js'
import { diffPage } from './page.js'
import {
  NotApplicable,
  recordsFile,
  tableFiles,
  type DiffPair,
  type Making,
  type PartOptions,
  type Table,
} from './part.js'
import { partNames, parts } from './parts.js'
import type { PredictionsResult } from './predictions.js'
import { mostValues } from './tensors.js'
import type { TextsResult } from './texts.js'
import type { WeightsResult } from './weights.js'
import type { WordsResult } from './words.js'

export { diffSchema } from './schema.js'
/** Every file that tables and records may become. */
export const diffFiles: readonly string[] = [...tableFiles, recordsFile]
export { partNames, parts } from './parts.js'
export { planDiff, type DiffPlan } from './plan.js'
export type { DomainsResult } from './domains.js'
export type { LensResult } from './lens.js'
export type { PredictionsResult } from './predictions.js'
export type { TextsResult } from './texts.js'
export type { WeightsResult } from './weights.js'
export type { WordsResult } from './words.js'

export interface DiffOptions extends RunOptions {
  base: string
  reference: string
  /** parts to run; default: all */
  only?: readonly string[]
  /** singular values of each difference, 0 to 64 (default): 0 leaves them out, and with them updates of low rank */
  singularValues?: number
  /** files of ordinary texts to set the trained words against; default: word counts of English Wikipedia summaries */
  texts?: string[]
  /** bytes that the difference of one tensor may take in memory; larger ones are read again; default 512 MiB */
  memory?: number
  /** of the random vectors behind the singular values; default 0 */
  seed?: number
  /** default: all */
  threads?: number
  /** texts that the reference is made to write, all starts and seeds together; default 256 */
  count?: number
  /** of each; default 48 */
  maxNewTokens?: number
  /** `begin`, `chat`, `words`; default: all that there are */
  starts?: readonly string[]
  /** instead of starts: a file of texts to begin with */
  prompts?: string
  /** the point of the path that writes; default 1, the reference */
  lambda?: number
  /** a > 0: logits z + a(z − z₀); default: half of the texts with 0, half with 1 */
  contrast?: number
  /** default 1 */
  temperature?: number
}

export const diffKinds: Kinds<DiffOptions> = {
  ...runKinds,
  ...{ base: 'text', reference: 'text', only: 'texts', singularValues: 'number', texts: 'texts', memory: 'number' },
  ...{ seed: 'number', threads: 'number', count: 'number', maxNewTokens: 'number', starts: 'texts', prompts: 'text' },
  ...{ lambda: 'number', contrast: 'number', temperature: 'number' },
}

/** `warp diff --json`, schema `warp.diff/1`. */
export interface DiffResult {
  schema: 'warp.diff/1'
  tool: { name: 'warp-recover'; version: string }
  command: 'diff'
  seed: number
  inputs: { base: string; reference: string }
  skipped: { part: string; code: string; reason: string }[]
  weights?: WeightsResult
  words?: WordsResult
  predictions?: PredictionsResult
  lens?: LensResult
  texts?: TextsResult
  domains?: DomainsResult
  notes: string[]
}

/** Everything that a diff found, and the forms of it. */
export interface Diffed {
  result: DiffResult
  /** one HTML page, which lists these files and their hashes */
  page(files?: readonly InputFile[]): string
  /** for a terminal */
  lines: string[]
  /** file name → rows, head first */
  tables: Record<string, Table>
  /** file name → records of a JSONL file */
  records: Record<string, object[]>
}

/**
 * What the difference of two models tells without any candidate texts. Each part that does not apply to the pair says
 * why in `skipped`, and the others go on.
 *
 * @throws WarpError (usage) DIFF_PART_UNKNOWN, OPTION_RANGE; (input) DIFF_NOTHING_APPLIES where no part had anything to
 *   say, NOT_FINITE, and all of `openModel` and of reading texts
 */
export async function diff(given: DiffOptions): Promise<Diffed> {
  checkOptions('diff', given, diffKinds, ['base', 'reference'])
  const options = await localModels(given)
  const chosen = chosenParts(options.only)
  const asked = partOptions(options)
  return whileUnchanged([options.base, options.reference], () => diffOpened(options, given, chosen, asked))
}

/** @param given as the caller named the models */
async function diffOpened(
  options: DiffOptions,
  given: DiffOptions,
  chosen: typeof parts,
  asked: PartOptions,
): Promise<Diffed> {
  const base = await openModel(options.base, { forward: false })
  const reference = await openReference(options.reference, base, { forward: false })
  const result: DiffResult = {
    schema: 'warp.diff/1',
    tool: { name: 'warp-recover', version: version() },
    command: 'diff',
    seed: asked.seed,
    inputs: { base: given.base, reference: given.reference },
    skipped: [],
    notes: [...new Set([...base.notes, ...reference.notes])],
  }
  const pair: DiffPair = {
    base,
    reference,
    handles: { base: nativeWeights(base), reference: nativeWeights(reference) },
  }
  const found: Record<string, unknown> = {}
  try {
    for (const part of chosen) {
      try {
        found[part.name] = await part.run(pair, asked, result.notes)
      } catch (error) {
        if (!(error instanceof NotApplicable)) throw error
        result.skipped.push({ part: part.name, code: error.code, reason: error.message })
      }
    }
  } finally {
    pair.handles.base.close()
    pair.handles.reference.close()
  }
  const same = result.skipped.some(({ code }) => code === 'NO_SIGNAL') // identical weights are an answer
  if (result.skipped.length === chosen.length && !same) throw nothing(result)
  const { notes, ...before } = result
  const { signal: _signal, onProgress: _onProgress, ...plain } = given
  return forms({ ...before, ...found, notes: [...new Set(notes)] }, plain)
}

/** The parts that are asked for. @throws WarpError (usage) DIFF_PART_UNKNOWN */
export function chosenParts(only: readonly string[] | undefined): typeof parts {
  const unknown = only?.find((name) => !partNames.includes(name))
  if (unknown !== undefined || only?.length === 0) {
    throw usageError(
      'DIFF_PART_UNKNOWN',
      unknown === undefined ? 'no part was named' : `there is no part ${JSON.stringify(unknown)}`,
      { found: unknown, expected: [...partNames] },
      `One or more of ${partNames.join(', ')}.`,
    )
  }
  return parts.filter(({ name }) => !only || only.includes(name))
}

/** Options that only some parts look at. @throws WarpError (usage) OPTION_UNUSED */
function checkUsed({ only, ...options }: DiffOptions): void {
  const without = (...names: string[]): boolean => only !== undefined && !names.some((name) => only.includes(name))
  const { singularValues, texts, count, maxNewTokens, starts, prompts, lambda, contrast, temperature } = options
  if (without('weights')) refuseUnused({ singularValues }, 'without the part weights')
  if (without('words', 'predictions', 'lens')) refuseUnused({ texts }, 'without words, predictions and lens')
  const making = { count, maxNewTokens, starts, prompts, lambda, contrast, temperature }
  if (without('texts', 'domains')) refuseUnused(making, 'without the part texts')
}

/** What the parts are told. @throws WarpError (usage) OPTION_RANGE, OPTION_UNUSED and those of `generate` */
export function partOptions(options: DiffOptions): PartOptions {
  const { threads, seed = 0, singularValues = mostValues, memory = 512 * 2 ** 20, texts, signal, onProgress } = options
  checkWhole('threads', threads, 1, 1024)
  checkWhole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  checkWhole('singular-values', singularValues, 0, mostValues)
  checkWhole('memory', memory, 0, Number.MAX_SAFE_INTEGER)
  checkUsed(options)
  const run = { signal, onProgress, threads: threads ?? os.availableParallelism() }
  return { ...run, seed, singularValues, memory, texts, making: makingOf(options) }
}

/** What `generate` refuses is refused before any part runs. */
function makingOf({ base, reference, starts, prompts, ...options }: DiffOptions): Making {
  const unknown = starts?.find((name) => !(startKinds as readonly string[]).includes(name))
  if (unknown !== undefined || starts?.length === 0) throw startUnknown(unknown ?? '')
  if (starts && prompts !== undefined) throw startConflict()
  const { count = 256, maxNewTokens = 48, lambda, contrast, temperature } = options
  const sampling = checkGenerateOptions({ base, reference, count, maxNewTokens, lambda, contrast, temperature })
  return { ...sampling, contrasts: contrast === undefined ? [0, 1] : [contrast], starts, prompts }
}

function nothing({ skipped, inputs }: DiffResult): WarpError {
  const reasons = skipped.map(({ part, reason }) => `${part}: ${reason}`)
  return inputError(
    'DIFF_NOTHING_APPLIES',
    `nothing can be said about this pair; ${reasons.join('; ')}`,
    { file: inputs.reference, found: skipped },
    'Give the base model that the reference was fine-tuned from.',
  )
}

function forms(result: DiffResult, options: Record<string, unknown>): Diffed {
  const ran = parts.filter(({ name }) => name in result)
  const of = (name: string): unknown => result[name as keyof DiffResult]
  const skipped = result.skipped.map(({ part, reason }) => `${part}: does not apply: ${reason}`)
  const lines = [
    ...ran.flatMap((part) => part.lines(of(part.name))),
    ...skipped,
    ...result.notes.map((note) => `note: ${note}`),
  ]
  const tables = Object.assign({}, ...ran.map((part) => part.tables(of(part.name)))) as Record<string, Table>
  const records = Object.assign({}, ...ran.map((part) => part.records?.(of(part.name), result.domains?.of) ?? {}))
  return {
    result,
    lines,
    tables,
    records,
    page: (files = []) => {
      const sections = ran.map((part) => part.page(of(part.name)))
      return diffPage(result, sections, { options, files })
    },
  }
}
