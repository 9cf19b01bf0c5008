import type { z } from 'zod'
import type { ModelDirectory } from '../checkpoint/index.js'
import type { RunOptions } from '../native/task.js'
import type { Handle } from '../native/types.js'

/** The two models of a diff, opened: what every part starts from. */
export interface DiffPair {
  base: ModelDirectory
  reference: ModelDirectory
  handles: { base: Handle; reference: Handle }
}

/** What the parts are told; each looks at what concerns it. */
export interface PartOptions extends RunOptions {
  threads: number
  seed: number
  /** of the weights: singular values of each difference, 0 to 64 */
  singularValues: number
  /** of the weights: bytes that one difference may take in memory */
  memory: number
  /** of the words: files of neutral texts, instead of the package's own word frequencies */
  texts?: string[]
  /** of the texts */
  making: Making
}

/** How texts are made that show what the reference was taught. */
export interface Making {
  /** texts, all starts and seeds together */
  count: number
  maxNewTokens: number
  /** of `startKinds`; none: begin, words, and chat where there is a template */
  starts?: readonly string[]
  /** instead of starts: a file of texts to begin with */
  prompts?: string
  lambda: number
  /** in turn: of each start as many texts with each */
  contrasts: readonly number[]
  temperature: number
}

/** A table for a CSV file: head first. */
export type Table = (string | number | null)[][]

/** Files that a part's tables and records may become; `-o` looks at all before any work. */
const tableNames = ['weights', 'groups', 'singular-values', 'words', 'tokens', 'labels', 'surprising'] as const
const textNames = ['predictions', 'topics', 'passages', 'lens', 'passages-shared', 'domains'] as const
export type TableFile = `${(typeof tableNames | typeof textNames)[number]}.csv`
export const tableFiles: readonly string[] = [...tableNames, ...textNames].map((name) => `${name}.csv`)
export const recordsFile = 'generated.jsonl'
export type Tables = Partial<Record<TableFile, Table>>

/** Byte-level tokens spell spaces and line feeds by letters that nobody knows: by signs, for a page. */
export const spelled = (tokens: readonly string[]): string => tokens.join(' ').replaceAll('Ġ', '␣').replaceAll('Ċ', '⏎')

/** One question that `warp diff` answers, in a file of its own. */
export interface Part<T> {
  /** as `--only` and the result name it */
  name: string
  /** what it tells, in a line */
  about: string
  schema: z.ZodType<T>
  /** @throws NotApplicable where the pair is not of the kind it works on, WarpError where an input is wrong */
  run(pair: DiffPair, options: PartOptions, notes: string[]): Promise<T>
  /** for the terminal */
  lines(result: T): string[]
  /** sections of the page, HTML */
  page(result: T): string
  /** file name → table */
  tables(result: T): Tables
  /** file name → records of a JSONL file; `domains`: of each, where they are known */
  records?(result: T, domains: readonly string[] | undefined): { [recordsFile]: object[] }
}

/** Why a part has nothing to say about a pair; the other parts go on. */
export class NotApplicable extends Error {
  constructor(
    readonly code: string,
    reason: string,
  ) {
    super(reason)
  }
}
