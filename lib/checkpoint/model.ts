import { inputError } from '../errors.js'
import { localFolder } from '../hub/index.js'
import type { Blueprint, Family, Objective } from '../models/architecture.js'
import {
  classifierOf,
  headTensors,
  languageModelOf,
  outlineOf,
  requiredTensors,
  type RequiredTensor,
} from '../models/facts.js'
import type { Network } from '../models/network.js'
import type { Adapter } from './adapter.js'
import type { RunOptions } from '../native/task.js'
import type { LowRankDelta, TensorTail } from '../native/types.js'
import { readConfig, readLabels, type Architecture, type ModelConfig } from './config.js'
import { isIntegerDtype, isWeightDtype } from './dtypes.js'
import type { FileRecord } from './files.js'
import type { SafetensorsHeader, StoredTensor } from './header.js'
import type { JsonObject } from './json.js'
import { checkDirectory, listDirectory, locateWeights } from './locate.js'
import { quantisedError, quantisedTensors, refuseDamaged } from './damage.js'
import { canonicalNames, headNames, isBuffer, layersInNames } from './names.js'
import { inputTables } from './tables.js'
import { resolveTie, type Tie } from './ties.js'
import { unwrap } from './wrappers.js'

/** Where one tensor of a model is. */
export interface TensorEntry extends StoredTensor {
  /** canonical, see `canonicalNames` */
  name: string
  /** index in `files` */
  file: number
  /** where its last rows are, see `growVocabulary` */
  tail?: TensorTail
  /** what an adapter adds to what is stored */
  delta?: LowRankDelta
}

/** The files of a model directory and what they hold, before anything is asked of it. */
export interface StoredModel {
  dir: string
  config: ModelConfig
  files: FileRecord[]
  /** by canonical name */
  all: Map<string, TensorEntry>
  notes: string[]
}

/** An opened model: everything known about it, nothing of its weights in memory. */
export interface ModelDirectory {
  dir: string
  /** `architectures[0]` of the configuration, '' when it names none */
  architectureName: string
  architecture: Architecture
  /** undefined for an architecture that cannot be computed */
  family?: Family
  /** with `forward`: what the network is made from, see lib/models */
  blueprint?: Blueprint
  config: JsonObject
  /** the weight files, as they were when they were opened */
  files: FileRecord[]
  /** by canonical name: with `forward` what the network reads, otherwise every floating tensor, tied ones once */
  tensors: Map<string, TensorEntry>
  /** by canonical name: what is stored beside these (`unexpected` and `ignored`) */
  extra: Map<string, TensorEntry>
  /** output layer and input embedding that are one table */
  tie?: Tie
  hasHead: boolean
  /** canonical names of stored tensors that the network does not read, for example another head's */
  unexpected: string[]
  /** canonical names of buffers: position ids, causal masks, counters */
  ignored: string[]
  notes: string[]
  /** tables that may be `inputEmbedding`: several where nothing tells which, see `requireTable` */
  embeddingCandidates: string[]
  /** put on a base: its own tensors are the base's, with what the adapter adds */
  adapter?: Adapter
  /** canonical name of the table from token ids to vectors; '' when none was found (never where the family is known) */
  inputEmbedding: string
}

export interface OpenOptions extends RunOptions {
  /**
   * true (default): only families of lib/models, and every tensor the forward pass reads is checked against the
   * configuration. false: any architecture, for tracing and merging; tensors are what the files hold.
   */
  forward?: boolean
  /** name of the table from token ids to vectors, where it cannot be told */
  embedding?: string
  /** that table is all that is needed: what is quantised beside it is left out */
  tableOnly?: boolean
  /** what the model is opened for: a language model is but the base of a classifier (default), or reads its own head */
  objective?: Objective
}

/**
 * Opens a Hugging Face model directory: `config.json` with `model.safetensors` or an index and its shards. Only headers
 * and JSON are read. Links of the Hugging Face cache are followed; shards that link elsewhere are refused. The name of
 * a repository of the hub stands for its folder in the cache, see `localFolder`.
 *
 * @throws WarpError (input) MODEL_DIRECTORY_…, CONFIG_…, WEIGHTS_…, INDEX_…, SAFETENSORS_…, TENSOR_…,
 *   DTYPE_UNSUPPORTED, QUANTISED, ADAPTER_ONLY, ARCHITECTURE_UNSUPPORTED, TIED_FLAG_CONTRADICTS, SHARD_LINK_ESCAPES
 */
export async function openModel(given: string, options: OpenOptions = {}): Promise<ModelDirectory> {
  const { dir, notes } = await localFolder(given, 'model', options)
  const names = await listDirectory(dir)
  await checkDirectory(dir, names)
  const stored = await readStored(dir, options)
  stored.notes.unshift(...notes) // one list: the labels, read later, add to it
  return settle(stored, options)
}

/** Reads the configuration and the headers of a directory; nothing is asked of them yet. */
export async function readStored(dir: string, { forward = true }: OpenOptions): Promise<StoredModel> {
  const names = await listDirectory(dir)
  const config = await readConfig(dir, forward)
  const weights = await locateWeights(dir, names, config.architectureName)
  const { notes } = config // its labels are read later
  notes.push(...weights.notes)
  if (names.includes('adapter_config.json')) notes.push(`${dir}: adapter_config.json beside the weights was not used`)
  config.quantised ??= names.find((name) => /^quant(ize)?_config\.json$/.test(name))
  return { dir, config, files: weights.files, all: tabulate(weights.headers, config, dir, notes), notes }
}

/** The tie of a stored model, see `resolveTie`. */
export async function tieOf(stored: StoredModel): Promise<Tie | undefined> {
  const { config, all, files } = stored
  const [embedding = '', ...more] = await inputTables(stored)
  if (more.length > 0) return undefined
  return resolveTie(
    config,
    all,
    embedding,
    files.map((f) => f.path),
  )
}

/**
 * Names of the tensors that are no weights but codes of a quantisation, to be left out.
 * @throws WarpError QUANTISED where they are needed
 */
function codes({ dir, config, all, notes }: StoredModel, embedding: string, tableOnly: boolean): string[] {
  const found = [...quantisedTensors(all, config.quantised)]
  if (found.length === 0) {
    if (config.quantised)
      notes.push(`${dir}: its configuration speaks of a quantisation (${config.quantised}), but no tensor is quantised`)
    return []
  }
  if (!tableOnly || found.includes(embedding))
    throw quantisedError(dir, found.includes(embedding) ? embedding : found[0]!, config.quantised)
  notes.push(`${dir}: ${listed(found)} quantised and left out`)
  return found
}

/**
 * Sorts what is stored into what the model reads and the rest.
 * @param tie of a model whose tensors an adapter changes
 */
export async function settle(stored: StoredModel, options: OpenOptions, tie?: Tie): Promise<ModelDirectory> {
  const { forward = true, objective = 'classify' } = options
  const { dir, config, files, all, notes } = stored
  refuseDamaged(stored)
  const candidates = await inputTables(stored, options.embedding)
  const embedding = candidates.length === 1 ? candidates[0]! : ''
  tie ??= await tieOf(stored)
  const extra = new Map<string, TensorEntry>()
  move(codes(stored, embedding, options.tableOnly ?? false), all, extra)
  const ignored: string[] = []
  for (const t of all.values()) {
    if (isBuffer(t) || (!forward && isIntegerDtype(t.dtype))) ignored.push(t.name)
  }
  if (tie) {
    config.architecture.tiedEmbeddings = true
    notes.push(`${dir}: ${tie.name} is tied to ${tie.to}`)
    if (all.has(tie.name)) ignored.push(tie.name)
  }
  move(ignored, all, extra)
  const unexpected = forward ? checkForward(all, config, dir, objective, tie) : checkAny(all, config, notes)
  if (unexpected.length > 0) notes.push(`${dir}: ${listed(unexpected)} stored but not used`)
  move(unexpected, all, extra)
  const { architecture, architectureName, family, blueprint } = config
  return {
    dir,
    architectureName,
    architecture,
    family,
    blueprint,
    config: config.config,
    files,
    tensors: all,
    extra,
    tie,
    hasHead: headNames(architectureName, family, all.keys()).length > 0,
    unexpected,
    ignored,
    notes,
    inputEmbedding: embedding,
    embeddingCandidates: candidates,
  }
}

/** `1 tensor (a)`, `12 tensors (a, b, c, …)`. */
export function listed(names: readonly string[]): string {
  const some = names.slice(0, 3).join(', ') + (names.length > 3 ? ', …' : '')
  return `${names.length} tensor${names.length === 1 ? '' : 's'} (${some})`
}

function move(names: readonly string[], from: Map<string, TensorEntry>, to: Map<string, TensorEntry>): void {
  for (const name of names) {
    to.set(name, from.get(name)!)
    from.delete(name)
  }
}

function tabulate(
  headers: SafetensorsHeader[],
  { architecture, family }: ModelConfig,
  dir: string,
  notes: string[],
): Map<string, TensorEntry> {
  const unwrapped = unwrap(headers.flatMap((h) => h.tensors.map((t) => t.storedName)))
  if (unwrapped.note) notes.push(`${dir}: ${unwrapped.note}`)
  const names = canonicalNames([...unwrapped.names.values()], family, architecture.modelType, dir)
  const all = new Map<string, TensorEntry>()
  for (const [file, header] of headers.entries()) {
    for (const t of header.tensors) {
      const storedName = unwrapped.names.get(t.storedName)!
      const name = names.get(storedName)!
      all.set(name, { ...t, name, file, storedName })
    }
  }
  return all
}

function checkDtype(t: TensorEntry, dir: string): void {
  if (isWeightDtype(t.dtype)) return
  throw inputError(
    'DTYPE_UNSUPPORTED',
    `${dir}: tensor ${t.name} is ${t.dtype}; expected F64, F32, F16, BF16 or FP8`,
    { file: dir, tensor: t.name, found: t.dtype, expected: ['F64', 'F32', 'F16', 'BF16'] },
    'Convert the checkpoint to F32, F16 or BF16, or use the unquantised model it was made from.',
  )
}

/** Without a forward pass every floating tensor counts, and labels are a courtesy. */
function checkAny(all: Map<string, TensorEntry>, config: ModelConfig, notes: string[]): string[] {
  const { architecture: a, architectureName } = config
  for (const t of all.values()) checkDtype(t, config.file)
  const head = headNames(architectureName, config.family, all.keys())
  const last = head.find((name) => /(^|\.)(out_proj|classifier|score)\.weight$/.test(name))
  try {
    if (last) a.labels = readLabels(config, all.get(last)!.shape[0] ?? 0)
  } catch (error) {
    notes.push(`labels not known: ${(error as Error).message}`)
  }
  return []
}

/** Checks what the forward pass reads; returns what it does not. */
function checkForward(
  all: Map<string, TensorEntry>,
  config: ModelConfig,
  dir: string,
  objective: Objective,
  tie: Tie | undefined,
): string[] {
  const { architecture: a, architectureName, file } = config
  const blueprint = config.blueprint!
  const { family, sizes, grouped } = blueprint
  const needed = (network: Parameters<typeof requiredTensors>[0]): RequiredTensor[] => requiredTensors(network, grouped)
  const check = (list: RequiredTensor[]): RequiredTensor[] => {
    for (const r of list) checkTensor(r, all, config, dir)
    return list
  }
  check(needed(outlineOf(blueprint, 0)))
  const layers = layersInNames(family, all.keys())
  if (layers !== sizes.layers) {
    throw inputError(
      'CONFIG_LAYERS',
      `${file}: ${sizes.layers} layers, but the tensors have ${layers}`,
      { file, found: sizes.layers, expected: layers },
      'config.json belongs to another model; copy the right one.',
    )
  }
  const required = check(needed(outlineOf(blueprint)))
  if (objective === 'language') {
    if (architectureName === family.classes.language)
      required.push(...check(needed(languageModelOf(blueprint, outputOf(family, all, tie), 0))))
  } else {
    const classifier = architectureName === family.classes.classify
    const [last] = headTensors(classifierOf(blueprint, 0, 0)).last
    const rows = all.get(last!)?.shape[0] ?? 0
    const head = needed(classifierOf(blueprint, rows, 0)).filter(({ group }) => group === 'head')
    const carried = head.filter(({ name }) => !family.fresh.test(name) && !required.some((r) => r.name === name))
    a.pooler = carried.length > 0 && (classifier || carried.some(({ name }) => all.has(name)))
    if (a.pooler) required.push(...check(carried))
    if (classifier) {
      required.push(...check(head))
      a.labels = readLabels(config, rows)
    }
  }
  const known = new Set(required.map((r) => r.name))
  return [...all.keys()].filter((name) => !known.has(name))
}

/**
 * The network of a model opened with `forward`: a classifier with as many classes as it has labels, or as many as are
 * asked for, or a language model.
 */
export function networkOf(model: ModelDirectory, objective: Objective, labels?: number): Network {
  const { blueprint, tensors, tie, architecture } = model
  if (!blueprint) throw new Error(`${model.dir} was opened without forward`)
  if (objective === 'language') return languageModelOf(blueprint, outputOf(blueprint.family, tensors, tie))
  return classifierOf(blueprint, labels ?? architecture.labels.length)
}

/** The output table of a language model: the input's where they are tied, else the stored one. */
export function outputOf({ output }: Family, tensors: ReadonlyMap<string, unknown>, tie: Tie | undefined): string {
  return tie?.to ?? output.find((name) => tensors.has(name)) ?? output[0]
}

function checkTensor(r: RequiredTensor, all: Map<string, TensorEntry>, config: ModelConfig, dir: string): void {
  const t = all.get(r.name)
  if (!t) {
    throw inputError(
      'TENSOR_MISSING',
      `${dir}: tensor ${r.name} [${r.shape}] is missing; ${config.architectureName} needs it`,
      { file: dir, tensor: r.name, expected: r.shape },
      'The checkpoint is incomplete or config.json belongs to another model.',
    )
  }
  const wrong = t.shape.length === r.shape.length ? t.shape.findIndex((size, i) => size !== r.shape[i]) : -2
  if (wrong !== -1) {
    throw inputError(
      r.codes[wrong] ?? 'TENSOR_SHAPE',
      `${dir}: tensor ${r.name} is [${t.shape}], config.json asks for [${r.shape}]`,
      { file: dir, tensor: r.name, found: t.shape, expected: r.shape },
      'config.json belongs to another model, or the tensor is damaged.',
    )
  }
  checkDtype(t, dir)
}
