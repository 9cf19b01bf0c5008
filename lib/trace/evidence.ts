import { join } from 'node:path'
import { access } from 'node:fs/promises'
import {
  nativeWeights,
  openModel,
  openReference,
  requireTable,
  sideTable,
  type ModelDirectory,
} from '../checkpoint/index.js'
import { compareTokenizers, pairTokenizer } from '../checkpoint/tokenizers.js'
import { inputError } from '../errors.js'
import { firstPosition } from '../models/families.js'
import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import type { Handle, TensorSurvey } from '../native/types.js'
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/index.js'
import { layoutOf, type Layout, type LayoutOptions } from './objective.js'
import { gradableOf, outputLayerOf, type OutputLayer } from './output-layer.js'
import { trained, undecided, type RowJudgement, type Verdict } from './rows.js'
import { threadsOf, type TraceRun } from './trace-run.js'
import { judgeTable, type TableRequest } from './table.js'
import type { Grading } from './tied.js'
import { matchRows } from './vocabulary.js'

/** What the tables of a pair give away, before any text is looked at. */
export interface Evidence {
  base: ModelDirectory
  reference: ModelDirectory
  /** what the model was trained for, and how its texts were laid out */
  layout: Layout
  /** of the reference; undefined when it has none */
  tokenizer: Tokenizer | undefined
  /** why it could not be read: only texts need it */
  tokenizerError: Error | undefined
  /** of the input embedding table; `state` has one entry for each of the reference's rows */
  tokens: RowJudgement
  /** rows of the reference's table that the base's has no counterpart for */
  added: number[]
  /** tokens of the longest training text, null where no position table tells */
  longestText: number | null
  /**
   * position rows: how many were trained, how many there are, ‖θ* − (1 + α)θ₀‖ of each; null where there is no such
   * table
   */
  positions: { trained: number; rows: number; residual: number[] } | null
  /** token types (segments): whether each was trained; [] where there is no such table */
  tokenTypes: boolean[]
  /** tensors that did not move beyond the stored rounding */
  frozen: string[]
  /** tensors that both have with the same shape */
  compared: number
  notes: string[]
  /**
   * the table whose rows may tell likely tokens from unlikely ones once there are texts, where no state is certain: the
   * input's if it is also the output layer, else that of the output layer; null where the input's rows tell, or none
   */
  gradable: 'input' | 'output' | null
  /** the table of a language model's targets; null in it where there is none, or none of its own */
  output: OutputLayer
  /** what the scores told, where they told something */
  grading?: Grading
}

/** What the trace makes of it all. */
export const verdictOf = ({ grading, tokens }: Pick<Evidence, 'grading' | 'tokens'>): Verdict =>
  grading ? 'graded' : tokens.verdict

/** Which tables stand for what. @throws WarpError TRACE_NO_EMBEDDING, PAIR_ARCHITECTURE, PAIR_SIZES */
function checkPair(base: ModelDirectory, reference: ModelDirectory): void {
  for (const model of [base, reference]) requireTable(model)
  const a = base.architecture.modelType,
    b = reference.architecture.modelType
  if (a !== b || base.inputEmbedding !== reference.inputEmbedding) {
    throw inputError(
      'PAIR_ARCHITECTURE',
      `the base is ${a}, the reference ${b}; expected one architecture`,
      { file: reference.dir, found: b, expected: a },
      'Give the base model that the reference was fine-tuned from.',
    )
  }
  const [, left] = base.tensors.get(base.inputEmbedding)!.shape,
    [, right] = reference.tensors.get(reference.inputEmbedding)!.shape
  if (left !== right) {
    throw inputError(
      'PAIR_SIZES',
      `embeddings of ${left} numbers in the base and of ${right} in the reference; expected one size`,
      { file: reference.dir, tensor: base.inputEmbedding, found: right, expected: left },
      'Give the base model that the reference was fine-tuned from.',
    )
  }
}

async function tokenizerOf(model: ModelDirectory): Promise<Tokenizer | undefined> {
  const there = await access(join(model.dir, 'tokenizer.json')).then(
    () => true,
    () => false,
  )
  return there ? loadTokenizer(model.dir) : undefined
}

/** @throws WarpError TRACE_NO_END where texts are said to end in a token that there is not */
function checkEnd({ dir, config }: ModelDirectory, tokenizer: Tokenizer | undefined, { eos }: Layout): void {
  if (eos !== 'appended') return
  const ids = [config.eos_token_id].flat().filter((id): id is number => typeof id === 'number')
  if (ids.length > 0 && (!tokenizer || ids.some((id) => id <= tokenizer.maxId))) return
  throw inputError(
    'TRACE_NO_END',
    ids.length === 0
      ? `${dir}: --eos appended, but config.json names no eos_token_id`
      : `${dir}: --eos appended, but the tokenizer has no token ${ids.join(', ')}, the end token of config.json`,
    { file: dir, found: ids, expected: 'an end token' },
    '--eos none, or auto, if no end token was appended in training.',
  )
}

/** @throws WarpError TRACE_WINDOW where the position table tells of longer sequences */
function checkWindow({ dir }: ModelDirectory, longest: number | null, { packed }: Layout): void {
  if (typeof packed !== 'number' || longest === null || packed >= longest) return
  throw inputError(
    'TRACE_WINDOW',
    `${dir}: --packed ${packed}, but the position table was trained on sequences of ${longest} tokens`,
    { file: dir, found: packed, expected: longest },
    `--packed ${longest} if all windows had one length.`,
  )
}

/** The other model's tables under the names of this one: only tensors of the same shape. */
function sharedTable(
  base: ModelDirectory,
  reference: ModelDirectory,
  name: string | undefined,
): Omit<TableRequest, 'base' | 'reference'> | undefined {
  if (!name) return undefined
  const left = base.tensors.get(name)!,
    right = reference.tensors.get(name)!
  if (left.shape.length !== 2 || left.shape.join() !== right.shape.join()) return undefined
  return { name, rows: right.shape[0], columns: right.shape[1], dtypes: { base: left.dtype, reference: right.dtype } }
}

/** What a run that scores the pair has found already. */
export interface KnownPair {
  survey: readonly TensorSurvey[]
  /** that reads the texts of both */
  tokenizer: Tokenizer
}

/**
 * Reads the tables of two model directories, and every other tensor once, unless they are known.
 * @throws WarpError (input) TRACE_…, PAIR_…, and those of `openModel`
 */
export async function readEvidence(
  baseDir: string,
  referenceDir: string,
  options: TraceRun = {},
  asked: LayoutOptions = {},
  known?: KnownPair,
): Promise<Evidence> {
  const open = { ...options, forward: false, tableOnly: true }
  const base = await openModel(baseDir, open),
    reference = await openReference(referenceDir, base, open)
  checkPair(base, reference)
  const layout = layoutOf(reference, asked)
  const notes = [...base.notes, ...reference.notes]
  const name = reference.inputEmbedding
  const left = base.tensors.get(name)!,
    right = reference.tensors.get(name)!
  if (reference.adapter && !right.delta && reference.files[right.file] !== reference.adapter.file)
    notes.push(`${reference.dir}: the adapter left the embedding table alone`)
  const sameSize = left.shape[0] === right.shape[0]
  if (sameSize && !known) await compareTokenizers(base.dir, reference.dir, notes, options.tokenizer)
  const match = sameSize
    ? undefined
    : matchRows(await tokenizerOf(base), await tokenizerOf(reference), left.shape[0], right.shape[0], notes)
  // rows are those of the reference: where they are not the base's, its tokenizer has other ids
  const own = sameSize ? base.dir : reference.dir
  const found =
    known && sameSize ? Promise.resolve(known.tokenizer) : pairTokenizer(own, reference.dir, notes, options.tokenizer)
  const { tokenizer, tokenizerError } = await found.then(
    (tokenizer) => ({ tokenizer, tokenizerError: undefined }),
    (error: Error) => ({ tokenizer: undefined, tokenizerError: error }),
  )
  if (!tokenizerError) checkEnd(reference, tokenizer, layout)
  if (tokenizerError) notes.push(`tokens have no spelling: ${tokenizerError.message}`)
  const handles = { base: nativeWeights(base), reference: nativeWeights(reference) }
  try {
    const dtypes = { base: left.dtype, reference: right.dtype }
    const judged = await judgeTable(
      { ...handles, name, rows: right.shape[0], columns: right.shape[1], dtypes, pairs: match?.pairs },
      options,
    )
    const tokens = explain(match ? spread(judged, match.pairs.rows, right.shape[0]) : judged, reference)
    const small = await smallTables(base, reference, handles, tokens, dtypes, layout, options)
    checkWindow(reference, small.longestText, layout)
    const survey = known ? stillOf(known.survey, name) : await frozenTensors(base, reference, tokens, options)
    const output = outputLayerOf(base, reference, layout, survey.frozen)
    return {
      gradable: gradableOf(tokens, sameSize, reference.tie !== undefined, output),
      output,
      base,
      reference,
      layout,
      tokenizer,
      tokenizerError,
      tokens,
      added: match?.added ?? [],
      notes,
      ...small,
      ...survey,
    }
  } finally {
    handles.base.close()
    handles.reference.close()
  }
}

/** Rows that were compared, back in the reference's order; the others are undecided. */
function spread(judged: RowJudgement, rows: Uint32Array, count: number): RowJudgement {
  const state = new Uint8Array(count).fill(undecided),
    residual = new Float64Array(count).fill(NaN),
    score = new Float64Array(count).fill(NaN)
  rows.forEach((row, i) => {
    state[row] = judged.state[i]
    residual[row] = judged.residual[i]
    score[row] = judged.score[i]
  })
  return {
    ...judged,
    state,
    residual,
    score,
    counts: { ...judged.counts, undecided: judged.counts.undecided + count - rows.length },
  }
}

/** Says why every row moved, where the model's files tell. */
function explain(tokens: RowJudgement, { tie, inputEmbedding }: ModelDirectory): RowJudgement {
  if (tokens.cause !== 'every-row') return tokens
  const cause = tie
    ? `${inputEmbedding} is also the output layer (${tie.name} is tied to it), and a full softmax moves every row ` +
      'at every step'
    : 'an output layer may share the table, weight decay may have been part of the gradient (Adam with L2), or the ' +
      'texts may hold every token'
  return { ...tokens, reason: `${tokens.reason}: ${cause}` }
}

type Handles = { base: Handle; reference: Handle }

async function smallTables(
  base: ModelDirectory,
  reference: ModelDirectory,
  handles: Handles,
  tokens: RowJudgement,
  dtypes: TableRequest['dtypes'],
  { objective }: Layout,
  options: TraceRun,
): Promise<Pick<Evidence, 'longestText' | 'positions' | 'tokenTypes'>> {
  const known = (table: Omit<TableRequest, 'base' | 'reference'>): TableRequest['known'] =>
    tokens.verdict !== 'none' && table.dtypes.base === dtypes.base && table.dtypes.reference === dtypes.reference
      ? tokens
      : undefined
  const quiet = { ...options, onProgress: undefined }
  const positionTable = sharedTable(base, reference, sideTable('positions', base, reference)),
    typeTable = sharedTable(base, reference, sideTable('types', base, reference))
  let positions: Evidence['positions'] = null,
    longestText: number | null = null
  if (positionTable) {
    const own = await judgeTable({ ...handles, ...positionTable }, quiet)
    const found =
      own.verdict === 'none' && own.cause !== 'frozen' && known(positionTable)
        ? await judgeTable({ ...handles, ...positionTable, known: known(positionTable) }, quiet)
        : own
    const last = found.state.lastIndexOf(trained)
    positions = { trained: found.counts.trained, rows: positionTable.rows, residual: Array.from(found.residual) }
    // of a causal language model nothing is learned from the last position
    if (last >= 0)
      longestText =
        last + 1 - firstPosition(reference.architecture.modelType, reference.config) + Number(objective === 'language')
  }
  const types =
    typeTable && known(typeTable) && (await judgeTable({ ...handles, ...typeTable, known: known(typeTable) }, quiet))
  return { longestText, positions, tokenTypes: types ? Array.from(types.state, (state) => state === trained) : [] }
}

/** Tensors that did not move, the embedding table first. */
function stillOf(survey: readonly TensorSurvey[], table: string): Pick<Evidence, 'frozen' | 'compared'> {
  const frozen = survey.filter(({ moved }) => moved === 0).map(({ name }) => name)
  const first = (name: string): number => Number(name !== table)
  return { frozen: frozen.sort((a, b) => first(a) - first(b)), compared: survey.length }
}

/** Every tensor but the embedding table, which has been read already. */
async function frozenTensors(
  base: ModelDirectory,
  reference: ModelDirectory,
  tokens: RowJudgement,
  options: TraceRun,
): Promise<Pick<Evidence, 'frozen' | 'compared'>> {
  const name = reference.inputEmbedding
  const without = (model: ModelDirectory): Handle =>
    nativeWeights({ ...model, tensors: new Map([...model.tensors].filter(([key]) => key !== name)) })
  const handles = { base: without(base), reference: without(reference) }
  try {
    const survey = await runTask(
      (onProgress) => addon().survey(handles.base, handles.reference, threadsOf(options), onProgress),
      'tensors',
      'elements',
      options,
    )
    const bad = survey.find((tensor) => tensor.nonFinite)
    if (bad) {
      const { side, index } = bad.nonFinite!
      throw inputError(
        'NOT_FINITE',
        `element ${index} of ${bad.name} in the ${side} is a NaN or an infinity`,
        { tensor: bad.name, element: index, side },
        'The checkpoint is damaged, or the training diverged; use an earlier one.',
      )
    }
    const frozen = survey.filter((tensor) => tensor.moved === 0).map((tensor) => tensor.name)
    if (tokens.cause === 'frozen') frozen.unshift(name)
    if (frozen.length === survey.length + 1) {
      throw inputError(
        'NO_SIGNAL',
        'base and reference have the same weights: there is nothing to explain',
        { file: reference.dir },
        'Give the fine-tuned model as the reference.',
      )
    }
    return { frozen, compared: survey.length + 1 }
  } finally {
    handles.base.close()
    handles.reference.close()
  }
}
