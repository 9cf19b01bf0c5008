import { join } from 'node:path'
import { inputError, type WarpError } from '../errors.js'
import { readSmallFile } from './files.js'
import { brief, isObject, parseStrictJson, type Json, type JsonObject } from './json.js'

/** What a forward pass exists for; every other architecture can still be traced and merged. */
export type ArchitectureKind = 'bert' | 'gpt2' | 'other'

/** The sizes and switches of a network. Opened without `forward`, sizes that the configuration does not name are 0. */
export interface Architecture {
  kind: ArchitectureKind
  modelType: string
  hiddenSize: number
  layers: number
  heads: number
  intermediateSize: number
  vocabularySize: number
  maxPositions: number
  /** 0 for all but BERT */
  typeVocabularySize: number
  layerNormEpsilon: number
  activation: string
  /** BERT: the pooler's tensors are there */
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
  /** pooler, labels and tiedEmbeddings are settled later, against the tensors */
  architecture: Architecture
  notes: string[]
}

const BERT_CLASSES = [
  'BertModel',
  'BertForSequenceClassification',
  'BertForMaskedLM',
  'BertForPreTraining',
  'BertForNextSentencePrediction',
  'BertForTokenClassification',
  'BertForQuestionAnswering',
  'BertForMultipleChoice',
]
const GPT2_CLASSES = [
  'GPT2Model',
  'GPT2LMHeadModel',
  'GPT2ForSequenceClassification',
  'GPT2DoubleHeadsModel',
  'GPT2ForTokenClassification',
  'GPT2ForQuestionAnswering',
]
const ACTIVATIONS = ['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu']

/**
 * Reads `config.json`. With `forward`, the architecture must be one that can be computed here and every size it needs
 * must be there; otherwise anything goes. Code named by `auto_map` is never run.
 * @throws WarpError (input) CONFIG_…, ARCHITECTURE_…, QUANTISED, FILE_NOT_FOUND
 */
export async function readConfig(dir: string, forward: boolean): Promise<ModelConfig> {
  const file = join(dir, 'config.json')
  const config = parseStrictJson(await readSmallFile(file), { file, prefix: 'CONFIG' })
  if (!isObject(config)) {
    throw inputError(
      'CONFIG_NOT_OBJECT',
      `${file}: is ${brief(config)}; expected a JSON object`,
      { file, expected: 'an object' },
      'Copy config.json from the original model again.',
    )
  }
  refuseQuantised(config, file)
  const notes =
    'auto_map' in config && config.auto_map !== null
      ? [`${file}: auto_map names code of the model's author; it was not run`]
      : []
  const architectureName = className(config, file, forward)
  const modelType = typeof config.model_type === 'string' ? config.model_type : ''
  const kind = kindOf(architectureName, modelType, file, forward)
  const fields = new Fields(config, file)
  const computable = kind === 'bert' ? bert : gpt2
  const architecture = forward ? computable(fields) : { ...loose(config), kind, modelType }
  if (forward) checkComputable(architecture, fields)
  const pad = config.pad_token_id
  if (typeof pad === 'number' && Number.isInteger(pad) && pad >= 0 && pad < architecture.vocabularySize)
    architecture.padTokenId = pad
  return { file, config, architectureName, architecture, notes }
}

function refuseQuantised(config: JsonObject, file: string): void {
  const found = config.quantization_config ?? config.compression_config
  if (found === undefined || found === null) return
  const method = isObject(found) ? (found.quant_method ?? found.format ?? 'unknown') : found
  throw inputError(
    'QUANTISED',
    `${file}: the checkpoint is quantised (${String(method)}); expected F64, F32, F16 or BF16 weights`,
    { file, found: method, expected: ['F64', 'F32', 'F16', 'BF16'] },
    'Use the unquantised model it was made from.',
  )
}

function className(config: JsonObject, file: string, forward: boolean): string {
  const list = config.architectures
  if (Array.isArray(list) && typeof list[0] === 'string') return list[0]
  if (!forward && (list === undefined || list === null)) return ''
  throw inputError(
    'CONFIG_ARCHITECTURES',
    `${file}: "architectures" is ${brief(list)}; expected a list with one class name`,
    { file, found: list ?? null, expected: ['BertForSequenceClassification', 'GPT2ForSequenceClassification'] },
    'Add "architectures": ["BertForSequenceClassification"] (the class that wrote the checkpoint) to config.json.',
  )
}

function kindOf(name: string, modelType: string, file: string, forward: boolean): ArchitectureKind {
  const kind = BERT_CLASSES.includes(name) ? 'bert' : GPT2_CLASSES.includes(name) ? 'gpt2' : 'other'
  if (kind !== 'other' && modelType !== kind) {
    throw inputError(
      'CONFIG_MODEL_TYPE',
      `${file}: model_type is ${brief(modelType)} but architectures[0] is ${name}; expected "${kind}"`,
      { file, found: modelType, expected: kind },
      'config.json belongs to another model; copy the right one.',
    )
  }
  if (kind === 'other' && forward) {
    throw inputError(
      'ARCHITECTURE_UNSUPPORTED',
      `${file}: architecture ${name} cannot be computed; expected one of ` +
        [...BERT_CLASSES, ...GPT2_CLASSES].join(', '),
      { file, found: name, expected: [...BERT_CLASSES, ...GPT2_CLASSES] },
      '`warp trace` and `warp merge` work with any architecture.',
    )
  }
  return kind === 'other' && (modelType === 'bert' || modelType === 'gpt2') ? modelType : kind
}

/** Typed reading of configuration values; the first of several names that is present counts. */
class Fields {
  constructor(
    readonly config: JsonObject,
    readonly file: string,
  ) {}

  value(names: string[]): Json | undefined {
    return names.map((n) => this.config[n]).find((v) => v !== undefined && v !== null)
  }

  fail(name: string, found: Json | undefined, expected: string): WarpError {
    const missing = found === undefined
    return inputError(
      missing ? 'CONFIG_FIELD_MISSING' : 'CONFIG_FIELD',
      `${this.file}: "${name}" ${missing ? 'is missing' : `is ${brief(found)}`}; expected ${expected}`,
      { file: this.file, field: name, found: found ?? null, expected },
      'Copy config.json from the original model again.',
    )
  }

  count(names: string[], fallback?: number): number {
    const found = this.value(names)
    if (found === undefined && fallback !== undefined) return fallback
    if (typeof found === 'number' && Number.isInteger(found) && found >= 1 && found < 2 ** 31) return found
    throw this.fail(names[0]!, found, 'an integer from 1 to 2^31 - 1')
  }

  positive(name: string, fallback: number): number {
    const found = this.value([name]) ?? fallback
    if (typeof found === 'number' && Number.isFinite(found) && found > 0) return found
    throw this.fail(name, found, 'a number above 0')
  }

  text(name: string, fallback: string): string {
    const found = this.value([name]) ?? fallback
    if (typeof found === 'string') return found
    throw this.fail(name, found, 'a string')
  }

  /** Refuses a switch that would change the computation. */
  only(name: string, allowed: Json, meaning: string): void {
    const found = this.value([name])
    if (found === undefined || found === allowed) return
    throw inputError(
      'CONFIG_UNSUPPORTED',
      `${this.file}: "${name}" is ${brief(found)} (${meaning}); expected ${brief(allowed)}`,
      { file: this.file, field: name, found, expected: allowed },
      'This variant of the architecture cannot be computed here; `warp trace` and `warp merge` still work.',
    )
  }
}

// Sizes must be written down; switches have the defaults of the `transformers` configuration classes, which omit them.
function bert(f: Fields): Architecture {
  return {
    kind: 'bert',
    modelType: 'bert',
    hiddenSize: f.count(['hidden_size']),
    layers: f.count(['num_hidden_layers']),
    heads: f.count(['num_attention_heads']),
    intermediateSize: f.count(['intermediate_size']),
    vocabularySize: f.count(['vocab_size']),
    maxPositions: f.count(['max_position_embeddings']),
    typeVocabularySize: f.count(['type_vocab_size'], 2),
    layerNormEpsilon: f.positive('layer_norm_eps', 1e-12),
    activation: f.text('hidden_act', 'gelu'),
    pooler: false,
    labels: [],
    tiedEmbeddings: false,
  }
}

function gpt2(f: Fields): Architecture {
  const hiddenSize = f.count(['n_embd', 'hidden_size'])
  return {
    kind: 'gpt2',
    modelType: 'gpt2',
    hiddenSize,
    layers: f.count(['n_layer', 'num_hidden_layers']),
    heads: f.count(['n_head', 'num_attention_heads']),
    intermediateSize: f.count(['n_inner'], 4 * hiddenSize),
    vocabularySize: f.count(['vocab_size']),
    maxPositions: f.count(['n_positions', 'max_position_embeddings', 'n_ctx']),
    typeVocabularySize: 0,
    layerNormEpsilon: f.positive('layer_norm_epsilon', 1e-5),
    activation: f.text('activation_function', 'gelu_new'),
    pooler: false,
    labels: [],
    tiedEmbeddings: false,
  }
}

/** Sizes under whatever name they have, 0 where there is none: for tracing and merging, which need only the tensors. */
function loose(config: JsonObject): Omit<Architecture, 'kind' | 'modelType'> {
  const number = (...names: string[]): number => {
    const found = names.map((n) => config[n]).find((v) => typeof v === 'number')
    return typeof found === 'number' ? found : 0
  }
  const activation = config.hidden_act ?? config.activation_function ?? config.hidden_activation
  return {
    hiddenSize: number('hidden_size', 'n_embd', 'd_model', 'dim'),
    layers: number('num_hidden_layers', 'n_layer', 'num_layers', 'n_layers'),
    heads: number('num_attention_heads', 'n_head', 'num_heads', 'n_heads'),
    intermediateSize: number('intermediate_size', 'n_inner', 'd_ff', 'hidden_dim'),
    vocabularySize: number('vocab_size'),
    maxPositions: number('max_position_embeddings', 'n_positions'),
    typeVocabularySize: number('type_vocab_size'),
    layerNormEpsilon: number('layer_norm_eps', 'rms_norm_eps', 'layer_norm_epsilon'),
    activation: typeof activation === 'string' ? activation : '',
    pooler: false,
    labels: [],
    tiedEmbeddings: false,
  }
}

function checkComputable(a: Architecture, f: Fields): void {
  if (a.hiddenSize % a.heads !== 0) {
    throw inputError(
      'CONFIG_HEADS',
      `${f.file}: hidden size ${a.hiddenSize} is not a multiple of ${a.heads} attention heads`,
      { file: f.file, found: a.heads, expected: `a divisor of ${a.hiddenSize}` },
      'Copy config.json from the original model again.',
    )
  }
  if (!ACTIVATIONS.includes(a.activation)) {
    throw inputError(
      'CONFIG_ACTIVATION',
      `${f.file}: activation ${brief(a.activation)}; expected one of ${ACTIVATIONS.join(', ')}`,
      { file: f.file, found: a.activation, expected: ACTIVATIONS },
      '`warp trace` and `warp merge` work with any activation.',
    )
  }
  f.only('add_cross_attention', false, 'an encoder-decoder part')
  if (a.kind === 'bert') {
    f.only('is_decoder', false, 'causal attention')
    f.only('position_embedding_type', 'absolute', 'relative positions')
  } else {
    f.only('scale_attn_weights', true, 'unscaled attention')
    f.only('scale_attn_by_inverse_layer_idx', false, 'attention scaled by layer')
  }
}

/**
 * Class names by id, for a head with `rows` classes. Without `id2label` the names are LABEL_0, LABEL_1, … as in
 * `transformers`, which then assumes `num_labels` classes, or two.
 * @throws WarpError CONFIG_ID2LABEL, CONFIG_LABEL2ID, CONFIG_LABELS, CONFIG_PROBLEM_TYPE
 */
export function readLabels({ config, file }: ModelConfig, rows: number): string[] {
  const hint = 'Make id2label and label2id list the classes the head was trained with.'
  const labels = labelNames(config, file, hint)
  const inverse = config.label2id
  if (inverse !== undefined && inverse !== null) {
    const wrong =
      !isObject(inverse) ||
      Object.keys(inverse).length !== labels.length ||
      labels.some((name, id) => inverse[name] !== id)
    if (wrong) {
      throw inputError(
        'CONFIG_LABEL2ID',
        `${file}: label2id is not the inverse of id2label`,
        { file, found: inverse, expected: Object.fromEntries(labels.map((name, id) => [name, id])) },
        hint,
      )
    }
  }
  if (labels.length !== rows) {
    throw inputError(
      'CONFIG_LABELS',
      `${file}: ${labels.length} labels, but the classification head has ${rows} rows`,
      { file, found: labels.length, expected: rows },
      hint,
    )
  }
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
  const labels = isObject(map) ? Object.keys(map).map((_, id) => map[String(id)]) : []
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
