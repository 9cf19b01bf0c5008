import { inputError } from '../errors.js'
import type { Architecture } from './config.js'
import type { ModelDirectory, StoredModel, TensorEntry } from './model.js'
import { sameBytes } from './ties.js'

const anyOf = (...words: string[]): string => `(${words.join('|').replaceAll(' ', '|')})`

/** What the last part of the name of a table from token ids to vectors is in the architectures there are. */
const tokens = new RegExp(
  `(^|\\.)${anyOf(
    'embed_tokens tok_embeddings token_embeddings? word_embeddings? shared wte embed_in embeddings? embed emb',
  )}\\.weight$`,
)
/** Parts of the names of tables of another kind, and of output layers. */
const others = new RegExp(
  `(^|[._])${anyOf(
    'lm_head heads? output embed_out output_layer decoder predictions classifier score qa_outputs',
    'pos positions? positional type segment relative rel patch time vision visual image audio',
  )}([._]|$)`,
)
const positions = new RegExp(
  `(^|\\.)${anyOf('position_embeddings? embed_positions wpe pos_emb pos_embedding positional_embedding')}(\\.weight)?$`,
)
const types = /(^|\.)(token_type_embeddings?|segment_embeddings|type_embeddings)\.weight$/
/** Rows that a table may have beyond the vocabulary, for products of round sizes or tokens to come. */
const padding = 1024

const isTable = ({ shape, dtype }: TensorEntry): boolean => shape.length === 2 && /^(B?F\d+|F8_E[45]M[23])$/.test(dtype)

/** Whether a table has a row for every token, and hardly more. */
function hasVocabulary({ shape }: TensorEntry, { vocabularySize }: Architecture): boolean {
  return vocabularySize > 0 && shape[0]! >= vocabularySize && shape[0]! < vocabularySize + padding
}

/**
 * Tables that may turn token ids into vectors, canonical names: one where the architecture or the only fitting name and
 * size tells, several of equal standing, or none.
 */
export async function inputTables({ config, all, files }: StoredModel, asked?: string): Promise<string[]> {
  const tables = [...all.values()].filter(isTable)
  if (asked !== undefined)
    return tables.filter(({ name, storedName }) => name === asked || storedName === asked).map(({ name }) => name)
  const known = config.family?.embedding
  if (known !== undefined && all.has(known)) return [known]
  const { architecture } = config
  const named = tables.filter(({ name }) => tokens.test(name) && !others.test(name.replace(/(^|.*\.)decoder\./, '$1')))
  const sized = named.filter((table) => architecture.vocabularySize === 0 || hasVocabulary(table, architecture))
  const fitting =
    sized.length > 0 ? sized : tables.filter((table) => hasVocabulary(table, architecture) && !others.test(table.name))
  const distinct: TensorEntry[] = []
  const paths = files.map(({ path }) => path)
  for (const table of fitting.sort(byStanding)) {
    const copies = await Promise.all(distinct.map((other) => sameBytes(table, other, paths)))
    if (!copies.includes(true)) distinct.push(table)
  }
  return distinct.map(({ name }) => name)
}

/** Of copies of one table the shared one is named, else the outermost. */
function byStanding(a: TensorEntry, b: TensorEntry): number {
  const shared = (t: TensorEntry): number => (/(^|\.)shared\.weight$/.test(t.name) ? 0 : 1)
  return shared(a) - shared(b) || a.name.split('.').length - b.name.split('.').length || (a.name < b.name ? -1 : 1)
}

/** Tables of positions and of token types that both models have, the encoder's or decoder's own first. */
export function sideTable(
  kind: 'positions' | 'types',
  base: ModelDirectory,
  reference: ModelDirectory,
): string | undefined {
  const pattern = kind === 'positions' ? positions : types
  const stem = stemOf(reference.inputEmbedding)
  const names = [...reference.tensors.values()]
    .filter((t) => isTable(t) && pattern.test(t.name) && !/(^|[._])(vision|visual|image|patch|audio)/.test(t.name))
    .map(({ name }) => name)
    .filter((name) => base.tensors.has(name))
  const own = names.find((name) => stemOf(name) === stem)
  // of two towers that share the table of tokens, the encoder reads the text
  return own ?? (names.length === 1 ? names[0] : names.find((name) => /(^|\.)encoder\./.test(name)))
}

const stemOf = (name: string): string => name.replace(/[^.]+(\.weight)?$/, '')

/**
 * The table of a model that is to be traced.
 * @throws WarpError (input) TRACE_NO_EMBEDDING, TRACE_EMBEDDING_AMBIGUOUS, DTYPE_UNSUPPORTED
 */
export function requireTable({ dir, tensors, inputEmbedding, embeddingCandidates }: ModelDirectory): TensorEntry {
  const table = tensors.get(inputEmbedding)
  if (table?.shape.length === 2) {
    if (!table.dtype.startsWith('F8')) return table
    throw inputError(
      'DTYPE_UNSUPPORTED',
      `${dir}: the embedding table ${table.name} is ${table.dtype}; expected F64, F32, F16 or BF16`,
      { file: dir, tensor: table.name, found: table.dtype, expected: ['F64', 'F32', 'F16', 'BF16'] },
      'Eight bits round away what training changes in a row; use the checkpoint it was made from.',
    )
  }
  if (embeddingCandidates.length > 1) {
    throw inputError(
      'TRACE_EMBEDDING_AMBIGUOUS',
      `${dir}: ${embeddingCandidates.length} tables may be the input embedding: ${embeddingCandidates.join(', ')}`,
      { file: dir, found: embeddingCandidates },
      `Name one: --embedding ${embeddingCandidates[0]}.`,
    )
  }
  const tables = [...tensors.values()].filter(isTable).sort((a, b) => b.shape[0]! - a.shape[0]!)
  const some = tables.slice(0, 6).map(({ name, shape }) => `${name} [${shape}]`)
  throw inputError(
    'TRACE_NO_EMBEDDING',
    `${dir}: no input embedding table was found among ${tensors.size} tensors` +
      (some.length > 0 ? `; the tables with most rows are ${some.join(', ')}` : ''),
    { file: dir, found: tables.slice(0, 20).map(({ name }) => name) },
    'Name the table that turns token ids into vectors: --embedding NAME.',
  )
}
