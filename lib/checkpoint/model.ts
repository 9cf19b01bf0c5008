import { inputError } from '../errors.js'
import { readConfig, readLabels, type Architecture, type ModelConfig } from './config.js'
import { isIntegerDtype, isWeightDtype } from './dtypes.js'
import type { FileRecord } from './files.js'
import type { SafetensorsHeader, StoredTensor } from './header.js'
import type { JsonObject } from './json.js'
import { checkDirectory, listDirectory, locateWeights } from './locate.js'
import {
  bodyTensors,
  canonicalNames,
  headNames,
  headTensors,
  inputEmbedding,
  isBuffer,
  layersInNames,
  poolerTensors,
  type RequiredTensor,
} from './names.js'
import { resolveTie, type Tie } from './ties.js'

/** Where one tensor of a model is. */
export interface TensorEntry extends StoredTensor {
  /** canonical, see `canonicalNames` */
  name: string
  /** index in `files` */
  file: number
}

/** An opened model: everything known about it, nothing of its weights in memory. */
export interface ModelDirectory {
  dir: string
  /** `architectures[0]` of the configuration, '' when it names none */
  architectureName: string
  architecture: Architecture
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
  /** canonical name of the table from token ids to vectors; '' when none was found (kind `other` only) */
  inputEmbedding: string
}

export interface OpenOptions {
  /**
   * true (default): only BERT and GPT-2, and every tensor the forward pass reads is checked against the configuration.
   * false: any architecture, for tracing and merging; tensors are what the files hold.
   */
  forward?: boolean
}

/**
 * Opens a Hugging Face model directory: `config.json` with `model.safetensors` or an index and its shards. Only headers
 * and JSON are read. Links of the Hugging Face cache are followed; shards that link elsewhere are refused.
 *
 * @throws WarpError (input) MODEL_DIRECTORY_…, CONFIG_…, WEIGHTS_…, INDEX_…, SAFETENSORS_…, TENSOR_…,
 *   DTYPE_UNSUPPORTED, QUANTISED, ADAPTER_ONLY, ARCHITECTURE_UNSUPPORTED, TIED_FLAG_CONTRADICTS, SHARD_LINK_ESCAPES
 */
export async function openModel(dir: string, { forward = true }: OpenOptions = {}): Promise<ModelDirectory> {
  const names = await listDirectory(dir)
  await checkDirectory(dir, names)
  const config = await readConfig(dir, forward)
  const weights = await locateWeights(dir, names, config.architectureName)
  const notes = [...config.notes, ...weights.notes]
  if (names.includes('adapter_config.json')) notes.push(`${dir}: adapter_config.json beside the weights was not used`)
  const all = tabulate(weights.headers, config, dir)
  refuseQuantisedTensors(all, dir)
  const embedding = inputEmbedding(config.architecture.kind, new Set(all.keys()))
  const tie = await resolveTie(
    config,
    all,
    embedding,
    weights.files.map((f) => f.path),
  )
  const extra = new Map<string, TensorEntry>()
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
  const unexpected = forward ? checkForward(all, config, dir) : checkAny(all, config, notes)
  if (unexpected.length > 0) notes.push(`${dir}: ${listed(unexpected)} stored but not used`)
  move(unexpected, all, extra)
  const { architecture, architectureName } = config
  return {
    dir,
    architectureName,
    architecture,
    config: config.config,
    files: weights.files,
    tensors: all,
    extra,
    tie,
    hasHead: headNames(architectureName, architecture.kind, all.keys()).length > 0,
    unexpected,
    ignored,
    notes,
    inputEmbedding: embedding,
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

function tabulate(headers: SafetensorsHeader[], { architecture }: ModelConfig, dir: string): Map<string, TensorEntry> {
  const stored = headers.flatMap((h) => h.tensors.map((t) => t.storedName))
  const names = canonicalNames(stored, architecture.kind, architecture.modelType, dir)
  const all = new Map<string, TensorEntry>()
  for (const [file, header] of headers.entries()) {
    for (const t of header.tensors) {
      const name = names.get(t.storedName)!
      all.set(name, { name, file, ...t })
    }
  }
  return all
}

/** What bitsandbytes, GPTQ, AWQ and compressed-tensors keep beside or instead of a weight. */
const quantised = /(\.(qweight|qzeros|SCB|weight_packed|weight_scale|weight_scale_inv)|\.weight\.(absmax|quant_\w+.*))$/

function refuseQuantisedTensors(all: Map<string, TensorEntry>, dir: string): void {
  const name = [...all.keys()].find((n) => quantised.test(n))
  if (name === undefined) return
  throw inputError(
    'QUANTISED',
    `${dir}: the checkpoint is quantised (tensor ${name}); expected F64, F32, F16 or BF16 weights`,
    { file: dir, tensor: name, expected: ['F64', 'F32', 'F16', 'BF16'] },
    'Use the unquantised model it was made from.',
  )
}

function checkDtype(t: TensorEntry, dir: string): void {
  if (isWeightDtype(t.dtype)) return
  throw inputError(
    'DTYPE_UNSUPPORTED',
    `${dir}: tensor ${t.name} is ${t.dtype}; expected F64, F32, F16 or BF16`,
    { file: dir, tensor: t.name, found: t.dtype, expected: ['F64', 'F32', 'F16', 'BF16'] },
    'Convert the checkpoint to F32, F16 or BF16, or use the unquantised model it was made from.',
  )
}

/** Without a forward pass every floating tensor counts, and labels are a courtesy. */
function checkAny(all: Map<string, TensorEntry>, config: ModelConfig, notes: string[]): string[] {
  const { architecture: a, architectureName } = config
  for (const t of all.values()) checkDtype(t, config.file)
  a.pooler = all.has('pooler.dense.weight')
  const head = headNames(architectureName, a.kind, all.keys())
  const last = head.find((name) => /(^|\.)(out_proj|classifier|score)\.weight$/.test(name))
  try {
    if (last) a.labels = readLabels(config, all.get(last)!.shape[0] ?? 0)
  } catch (error) {
    notes.push(`labels not known: ${(error as Error).message}`)
  }
  return []
}

/** Checks what the forward pass reads; returns what it does not. */
function checkForward(all: Map<string, TensorEntry>, config: ModelConfig, dir: string): string[] {
  const { architecture: a, architectureName, file } = config
  for (const r of bodyTensors({ ...a, layers: 0 })) checkTensor(r, all, config, dir)
  const layers = layersInNames(a.kind, all.keys())
  if (layers !== a.layers) {
    throw inputError(
      'CONFIG_LAYERS',
      `${file}: ${a.layers} layers, but the tensors have ${layers}`,
      { file, found: a.layers, expected: layers },
      'config.json belongs to another model; copy the right one.',
    )
  }
  const required = bodyTensors(a)
  const classifier = architectureName.endsWith('ForSequenceClassification')
  a.pooler = a.kind === 'bert' && (classifier || all.has('pooler.dense.weight') || all.has('pooler.dense.bias'))
  if (a.pooler) required.push(...poolerTensors(a))
  for (const r of required) checkTensor(r, all, config, dir)
  if (classifier) {
    const [weight] = headTensors(a, 0)
    const rows = all.get(weight!.name)?.shape[0]
    for (const r of headTensors(a, rows ?? 0)) checkTensor(r, all, config, dir)
    a.labels = readLabels(config, rows!)
    required.push(...headTensors(a, rows!))
  }
  const known = new Set(required.map((r) => r.name))
  return [...all.keys()].filter((name) => !known.has(name))
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
