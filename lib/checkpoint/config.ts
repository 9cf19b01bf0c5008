import { join } from 'node:path'
import { inputError } from '../errors.js'
import type { Blueprint, Family, Sizes } from '../models/architecture.js'
import { familyOf, familyOfClass, unsupportedArchitecture } from '../models/families.js'
import { Fields } from '../models/fields.js'
import { quantisation } from './damage.js'
import { readSmallFile } from './files.js'
import { brief, isObject, parseStrictJson, type JsonObject } from './json.js'

/** The sizes and switches of a network. Opened without `forward`, sizes that the configuration does not name are 0. */
export interface Architecture extends Sizes {
  /** the family in lib/models, 'other' where there is none: such a model can still be traced and merged */
  kind: string
  modelType: string
  /** layers of the head that a base model may have too, such as a pooler, are there */
  pooler: boolean
  /** class names by id, empty when there is no classification head */
  labels: string[]
  padTokenId?: number
  /** the output layer is the input embedding table */
  tiedEmbeddings: boolean
}

/** `config.json` and what it says; tensors have not been looked at yet. */
export interface ModelConfig {
  file: string
  config: JsonObject
  /** `architectures[0]`, or '' */
  architectureName: string
  /** undefined for an architecture that cannot be computed */
  family?: Family
  /** with `forward`: what the family makes of the configuration */
  blueprint?: Blueprint
  /** pooler, labels and tiedEmbeddings are settled later, against the tensors */
  architecture: Architecture
  /** the method of a quantisation that it speaks of */
  quantised?: string
  notes: string[]
}

/**
 * Reads `config.json`. With `forward`, the architecture must be one that can be computed here and every size it needs
 * must be there; otherwise anything goes. Code named by `auto_map` is never run.
 * @throws WarpError (input) CONFIG_…, ARCHITECTURE_…, FILE_NOT_FOUND
 */
export async function readConfig(dir: string, forward: boolean): Promise<ModelConfig> {
  const file = join(dir, 'config.json')
  return interpretConfig(await readConfigFile(file), file, forward)
}

/** @throws WarpError (input) CONFIG_…, FILE_NOT_FOUND */
export async function readConfigFile(file: string): Promise<JsonObject> {
  const config = parseStrictJson(await readSmallFile(file), { file, prefix: 'CONFIG' })
  if (!isObject(config)) {
    throw inputError(
      'CONFIG_NOT_OBJECT',
      `${file}: is ${brief(config)}; expected a JSON object`,
      { file, expected: 'an object' },
      'Copy config.json from the original model again.',
    )
  }
  return config
}

/** What a configuration says. @throws WarpError as `readConfig` */
export function interpretConfig(config: JsonObject, file: string, forward: boolean): ModelConfig {
  const notes =
    'auto_map' in config && config.auto_map !== null
      ? [`${file}: auto_map names code of the model's author; it was not run`]
      : []
  const architectureName = className(config, file, forward)
  const modelType = typeof config.model_type === 'string' ? config.model_type : ''
  const family = findFamily(architectureName, modelType, file, forward)
  const blueprint = forward ? family!.read(new Fields(config, file)) : undefined
  const architecture = { ...loose(config), ...blueprint?.sizes, kind: family?.name ?? 'other', modelType }
  const pad = config.pad_token_id
  if (typeof pad === 'number' && Number.isInteger(pad) && pad >= 0 && pad < architecture.vocabularySize)
    architecture.padTokenId = pad
  const quantised = quantisation(config)
  return { file, config, architectureName, family, blueprint, architecture, quantised, notes }
}

function className(config: JsonObject, file: string, forward: boolean): string {
  const list = config.architectures
  if (Array.isArray(list) && typeof list[0] === 'string') return list[0]
  if (!forward && (list === undefined || list === null)) return ''
  throw inputError(
    'CONFIG_ARCHITECTURES',
    `${file}: "architectures" is ${brief(list)}; expected a list with one class name`,
    { file, found: list ?? null, expected: 'one class name' },
    'Add "architectures" with the name of the class that wrote the checkpoint to config.json.',
  )
}

/** The family of the class; its `model_type` has to agree. */
function findFamily(name: string, modelType: string, file: string, forward: boolean): Family | undefined {
  const family = familyOfClass(name)
  if (family && family.name !== modelType) {
    throw inputError(
      'CONFIG_MODEL_TYPE',
      `${file}: model_type is ${brief(modelType)} but architectures[0] is ${name}; expected "${family.name}"`,
      { file, found: modelType, expected: family.name },
      'config.json belongs to another model; copy the right one.',
    )
  }
  if (!family && forward) throw unsupportedArchitecture(name, file)
  return family ?? familyOf('', modelType)
}

/** Sizes under whatever name they have, 0 where there is none: for tracing and merging, which need only the tensors. */
function loose(config: JsonObject): Omit<Architecture, 'kind' | 'modelType'> {
  // of a model that sees or hears too, the part that reads text has a configuration of its own
  const inner = [config.text_config, config.language_config, config.llm_config].find(isObject) ?? {}
  const number = (...names: string[]): number => {
    const found = [config, inner].flatMap((from) => names.map((n) => from[n])).find((v) => typeof v === 'number')
    return typeof found === 'number' ? found : 0
  }
  const activation = config.hidden_act ?? config.activation_function ?? config.hidden_activation
  return {
    hiddenSize: number('hidden_size', 'n_embd', 'd_model', 'dim'),
    layers: number('num_hidden_layers', 'n_layer', 'num_layers', 'n_layers'),
    heads: number('num_attention_heads', 'n_head', 'num_heads', 'n_heads'),
    kvHeads: number('num_key_value_heads'),
    headSize: number('head_dim'),
    intermediateSize: number('intermediate_size', 'n_inner', 'd_ff', 'hidden_dim'),
    vocabularySize: number('padded_vocab_size', 'vocab_size'),
    maxPositions: number('max_position_embeddings', 'n_positions'),
    typeVocabularySize: number('type_vocab_size'),
    layerNormEpsilon: number('layer_norm_eps', 'rms_norm_eps', 'layer_norm_epsilon'),
    activation: typeof activation === 'string' ? activation : '',
    pooler: false,
    labels: [],
    tiedEmbeddings: false,
  }
}

/**
 * Class names by id, for a head with `rows` classes. Without `id2label` the names are LABEL_0, LABEL_1, … as in
 * `transformers`, which then assumes `num_labels` classes, or two. `id2label` alone decides: a `label2id` that says
 * something else, as many tools leave behind, is noted.
 * @throws WarpError CONFIG_ID2LABEL, CONFIG_LABELS, CONFIG_PROBLEM_TYPE
 */
export function readLabels({ config, file, notes }: ModelConfig, rows: number): string[] {
  const hint = 'Make id2label list the classes the head was trained with.'
  const labels = labelNames(config, file, hint)
  const inverse = config.label2id ?? undefined
  const same =
    isObject(inverse) &&
    Object.keys(inverse).length === labels.length &&
    labels.every((name, id) => String(inverse[name]) === String(id))
  if (inverse !== undefined && !same) notes.push(`${file}: label2id is not the inverse of id2label, which alone counts`)
  if (labels.length !== rows) {
    throw inputError(
      'CONFIG_LABELS',
      `${file}: ${labels.length} labels, but the classification head has ${rows} rows`,
      { file, found: labels.length, expected: rows },
      hint,
    )
  }
  if (typeof config.num_labels === 'number' && config.num_labels !== labels.length)
    notes.push(`${file}: num_labels is ${config.num_labels}, id2label has ${labels.length} names, which alone count`)
  const problem = config.problem_type ?? (rows === 1 ? 'regression' : 'single_label_classification')
  if (problem !== 'single_label_classification') {
    throw inputError(
      'CONFIG_PROBLEM_TYPE',
      `${file}: the head is trained for ${String(problem)} with ${rows} outputs; expected ` +
        'single_label_classification with at least two',
      { file, found: problem, expected: 'single_label_classification' },
      'Only models that choose one of several classes can be used.',
    )
  }
  return labels
}

function labelNames(config: JsonObject, file: string, hint: string): string[] {
  const map = config.id2label
  if (map === undefined || map === null) {
    const count = typeof config.num_labels === 'number' ? config.num_labels : 2
    return Array.from({ length: Math.min(Math.max(0, Math.trunc(count)), 1_000_000) }, (_, id) => `LABEL_${id}`)
  }
  const given = isObject(map) ? Object.keys(map).map((_, id) => map[String(id)]) : []
  const labels = given.map((name) => (typeof name === 'number' ? String(name) : name)) // numbers as names are names
  const good =
    isObject(map) && labels.every((name) => typeof name === 'string') && new Set(labels).size === labels.length
  if (!good) {
    throw inputError(
      'CONFIG_ID2LABEL',
      `${file}: id2label has to give each id from 0 to n-1 its own name; found ${brief(map)}`,
      { file, found: map, expected: '{"0": name, "1": name, …}' },
      hint,
    )
  }
  return labels as string[]
}
