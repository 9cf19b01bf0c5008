import { join } from 'node:path'
import { inputError, type ErrorDetails, type WarpError } from '../errors.js'
import { isWeightDtype, type WeightDtype } from './dtypes.js'
import { fileRecord, readSmallFile, type FileRecord } from './files.js'
import { readSafetensorsHeader, type StoredTensor } from './header.js'
import { brief, isObject, parseStrictJson, type JsonObject } from './json.js'
import { listDirectory } from './locate.js'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

/** Where one of the two matrices of a difference is, see `LowRankDelta` in lib/native/types.ts. */
interface Factor {
  dtype: WeightDtype
  offset: number
  transposed: boolean
}

/** What an adapter adds to one tensor: scale · left · right. */
export interface AdapterDelta {
  /** of the tensor, as the class that was trained calls it */
  name: string
  left: Factor
  right: Factor
  rank: number
  scale: number
  /** of the tensor it belongs to */
  shape: [number, number]
}

/** An adapter in peft's layout, read but not put on any model. */
export interface Adapter {
  dir: string
  /** of its weights */
  file: FileRecord
  /** what it says it was made for, '' when it does not say */
  base: string
  /** `SEQ_CLS`, `CAUSAL_LM`, …, '' when it does not say */
  task: string
  deltas: AdapterDelta[]
  /** tensors that were trained whole (`modules_to_save`, biases) */
  saved: StoredTensor[]
  /** ranks that occur, ascending */
  ranks: number[]
}

/** Whether a folder holds an adapter and no whole model. */
export function isAdapter(names: readonly string[]): boolean {
  return names.includes(CONFIG) && !names.some((name) => /^model\.safetensors(\.index\.json)?$/.test(name))
}

/** What the adapter in a folder says it is for (`SEQ_CLS`, …), '' when it does not; undefined where there is none. */
export async function adapterTask(dir: string): Promise<string | undefined> {
  const names = await listDirectory(dir)
  if (!isAdapter(names) || names.includes('config.json')) return undefined
  const file = join(dir, CONFIG)
  const config = parseStrictJson(await readSmallFile(file), { file, prefix: 'CONFIG' })
  return isObject(config) && typeof config.task_type === 'string' ? config.task_type : ''
}

/** Switches under which a tensor is not its base plus scale · B A; any but these values are refused. */
const plain: Record<string, readonly unknown[]> = {
  use_dora: [false],
  use_qalora: [false],
  use_bdlora: [false],
  lora_bias: [false],
  layer_replication: [],
  target_parameters: [],
  trainable_token_indices: [],
  alora_invocation_tokens: [],
  kasa_config: [],
  monteclora_config: [],
  init_lora_weights: [true, false, 'gaussian', 'eva', 'orthogonal'],
}

const dora = 'DoRA also scales each row by a magnitude of its own, which cannot be formed here yet'
const shifted = 'the initialisation changed the base too, so the adapter alone does not tell the difference'

/**
 * Reads `adapter_config.json` and the header of `adapter_model.safetensors`.
 * @throws WarpError (input) ADAPTER_…, CONFIG_…, SAFETENSORS_…
 */
export async function readAdapter(dir: string, names: readonly string[]): Promise<Adapter> {
  const file = join(dir, CONFIG)
  const config = parseStrictJson(await readSmallFile(file), { file, prefix: 'CONFIG' })
  if (!isObject(config)) throw wrong(file, `is ${brief(config)}; expected an object`)
  refuseOtherKinds(config, file)
  if (!names.includes(WEIGHTS)) {
    const pickle = names.includes('adapter_model.bin')
    throw inputError(
      'ADAPTER_WEIGHTS_MISSING',
      `${dir}: ${CONFIG} without ${WEIGHTS}${pickle ? '; only a pickle, adapter_model.bin' : ''}`,
      { file: join(dir, WEIGHTS), found: names.slice(0, 20), expected: WEIGHTS },
      pickle ? 'Load the adapter with peft and save it again: it then writes safetensors.' : 'Copy the missing file.',
    )
  }
  const path = join(dir, WEIGHTS)
  const record = await fileRecord(path)
  const { tensors } = await readSafetensorsHeader(path)
  const { modules, saved } = sortTensors(tensors, path)
  const deltas = [...modules].map(([name, parts]) => deltaOf(name, parts, config, path))
  if (deltas.length === 0 && saved.length === 0)
    throw inputError('ADAPTER_EMPTY', `${path}: no tensors`, { file: path }, 'Save the adapter again.')
  return {
    dir,
    file: record,
    base: typeof config.base_model_name_or_path === 'string' ? config.base_model_name_or_path : '',
    task: typeof config.task_type === 'string' ? config.task_type : '',
    deltas,
    saved,
    ranks: [...new Set(deltas.map(({ rank }) => rank))].sort((a, b) => a - b),
  }
}

function wrong(file: string, what: string, details: ErrorDetails = {}): WarpError {
  return inputError(
    'ADAPTER_CONFIG',
    `${file}: ${what}`,
    { file, ...details },
    `Copy ${CONFIG} from the adapter again.`,
  )
}

function refuseOtherKinds(config: JsonObject, file: string): void {
  const unsupported = (field: string, found: unknown, why: string): WarpError =>
    inputError(
      'ADAPTER_UNSUPPORTED',
      `${file}: "${field}" is ${brief(found as never)}: ${why}`,
      { file, field, found },
      'Merge the adapter with peft (merge_and_unload), save the model, and give that.',
    )
  if (config.peft_type !== 'LORA') throw unsupported('peft_type', config.peft_type ?? null, 'only LoRA is read')
  for (const [field, allowed] of Object.entries(plain)) {
    const found = config[field]
    if (found === undefined || found === null || allowed.includes(found)) continue
    const why = field === 'use_dora' ? dora : field === 'init_lora_weights' ? shifted : 'only plain LoRA is read'
    throw unsupported(field, found, why)
  }
}

interface Parts {
  a?: StoredTensor
  b?: StoredTensor
  embedding: boolean
}

const matrix = /^(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$/

/** Tensors by what they are: the two matrices of each module, and whole tensors under the names of the class. */
function sortTensors(
  tensors: readonly StoredTensor[],
  file: string,
): { modules: Map<string, Parts>; saved: StoredTensor[] } {
  const modules = new Map<string, Parts>()
  const saved: StoredTensor[] = []
  for (const tensor of tensors) {
    const name = tensor.storedName.replace(/^base_model\.(model\.)?/, '')
    const found = matrix.exec(name)
    if (!isWeightDtype(tensor.dtype) || (!found && /(^|\.)(lora_|\w*adapter|prompt_)/.test(name))) {
      throw inputError(
        'ADAPTER_UNSUPPORTED',
        `${file}: tensor ${tensor.storedName} (${tensor.dtype}) is no part of a plain LoRA adapter`,
        { file, tensor: tensor.storedName },
        'Merge the adapter with peft (merge_and_unload), save the model, and give that.',
      )
    }
    if (!found) {
      saved.push({ ...tensor, storedName: name.replace(/\.(modules_to_save(\.default)?|base_layer)\./, '.') })
      continue
    }
    const [, module, embedding, side] = found
    const parts = modules.get(module!) ?? { embedding: embedding !== undefined }
    parts[side === 'A' ? 'a' : 'b'] = tensor
    modules.set(module!, parts)
  }
  return { modules, saved }
}

/**
 * B A of a linear layer [outputs × inputs]: left is B, right A. Of an embedding, and of a layer that keeps its matrix
 * the other way round, its transpose: left is Aᵀ, right Bᵀ.
 */
function deltaOf(module: string, { a, b, embedding }: Parts, config: JsonObject, file: string): AdapterDelta {
  const fail = (what: string, tensor = a ?? b!): WarpError =>
    inputError(
      'ADAPTER_TENSORS',
      `${file}: ${module}: ${what}`,
      { file, tensor: tensor.storedName, found: tensor.shape },
      'The adapter is incomplete; save or download it again.',
    )
  if (!a || !b) throw fail(`lora_${a ? 'B' : 'A'} is missing`)
  const rank = a.shape[0] ?? 0
  if (a.shape.length !== 2 || b.shape.length !== 2)
    throw fail(`lora_A is [${a.shape}], lora_B [${b.shape}]; only matrices are read`)
  if (b.shape[1] !== rank || rank === 0) throw fail(`lora_A is [${a.shape}], lora_B [${b.shape}]; the ranks differ`, b)
  const turned = embedding || config.fan_in_fan_out === true
  const factor = (t: StoredTensor): Factor => ({
    dtype: t.dtype as WeightDtype,
    offset: t.offset,
    transposed: turned,
  })
  const [outputs, inputs] = [b.shape[0]!, a.shape[1]!]
  return {
    name: `${module}.weight`,
    left: factor(turned ? a : b),
    right: factor(turned ? b : a),
    rank,
    scale: scaleOf(module, rank, config, join(file, '..', CONFIG)),
    shape: turned ? [inputs, outputs] : [outputs, inputs],
  }
}

/** alpha / rank, of rank-stabilised LoRA alpha / √rank; patterns give single modules numbers of their own. */
function scaleOf(module: string, rank: number, config: JsonObject, file: string): number {
  const number = (plainField: string, patterns: string): number => {
    const table = config[patterns] ?? {}
    if (!isObject(table)) throw wrong(file, `"${patterns}" is ${brief(table)}; expected an object`)
    const key = Object.keys(table).find((pattern) => matches(pattern, module, file))
    const found = key === undefined ? config[plainField] : table[key]
    if (typeof found === 'number' && Number.isFinite(found) && found > 0) return found
    throw wrong(file, `"${key === undefined ? plainField : patterns}" gives ${brief(found ?? null)} for ${module}`)
  }
  const said = number('r', 'rank_pattern')
  if (said !== rank)
    throw wrong(file, `rank ${said} for ${module}, whose tensors have rank ${rank}`, { found: said, expected: rank })
  const alpha = number('lora_alpha', 'alpha_pattern')
  return alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank)
}

/** Patterns are regular expressions for the end of a module's name, from a dot on. */
function matches(pattern: string, module: string, file: string): boolean {
  // a repeated group could make a match take for ever
  if (pattern.length > 1000 || /\)[*+?{]/.test(pattern))
    throw wrong(file, `${JSON.stringify(pattern.slice(0, 100))} is no pattern for the names of modules`)
  try {
    return new RegExp(`^(?:.*\\.)?(?:${pattern})$`).test(module)
  } catch {
    throw wrong(file, `${JSON.stringify(pattern)} is no pattern for the names of modules`)
  }
}
