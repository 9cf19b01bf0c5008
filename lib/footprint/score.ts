import type { Architecture } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { DeviceRequest, Handle, ModelRequest, ScorePlan, ScoreRequest, ScoreResult } from '../native/types.js'
import type { PackedProbes } from '../text/index.js'

const activations: Record<string, ModelRequest['activation']> = {
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
}

/** What native code needs to know of the model whose head has these `labels`. */
export function modelRequest(architecture: Architecture): ModelRequest {
  const {
    kind,
    hiddenSize,
    layers,
    heads,
    intermediateSize,
    vocabularySize,
    maxPositions,
    typeVocabularySize,
    layerNormEpsilon,
  } = architecture
  const activation = activations[architecture.activation]
  if (kind === 'other' || !activation) {
    throw inputError(
      'ARCHITECTURE_UNSUPPORTED',
      `no forward pass for ${architecture.modelType} with activation ${architecture.activation}`,
      {},
      'score a BERT or GPT-2 classifier; warp trace and warp merge take any model',
    )
  }
  if (kind === 'bert' && !architecture.pooler) {
    throw inputError(
      'POOLER_MISSING',
      'a BERT classifier reads its pooler, but the model has none (pooler.dense.weight)',
      {},
      'Use a checkpoint saved from BertForSequenceClassification or BertModel.',
    )
  }
  return {
    kind,
    hiddenSize,
    layers,
    heads,
    intermediateSize,
    vocabularySize,
    maxPositions,
    typeVocabularySize,
    layerNormEpsilon,
    activation,
    labels: architecture.labels.length,
    padTokenId: architecture.padTokenId ?? -1,
  }
}

export interface ScoreOptions extends RunOptions {
  scope: 'head' | 'top'
  gradients: boolean
  threads: number
  /** bytes of native working memory */
  memory: number
  /** GPUs instead of the CPU */
  device?: DeviceRequest
}

function request(
  path: Handle,
  model: ModelRequest,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): ScoreRequest {
  const { ids, typeIds, offsets, label, domain } = probes
  const { scope, gradients, threads, memory, device } = options
  return {
    path,
    model,
    ids,
    typeIds,
    offsets,
    label,
    domain,
    domains,
    scope,
    gradients,
    threads,
    memory,
    ...(device && { device }),
  }
}

/**
 * What `scoreProbes` would hold and do.
 * @throws WarpError (resource) MEMORY_BUDGET; on GPUs DEVICE_MEMORY_BUDGET, DEVICE_HEAD_SIZE and what keeps one from
 *   being used
 */
export function planProbes(
  path: Handle,
  model: ModelRequest,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): Promise<ScorePlan> {
  return runTask(() => addon().planScore(request(path, model, probes, domains, options)), 'plan', 'tokens', {
    signal: options.signal,
  })
}

/**
 * Forward passes at θ₀, every point of the path and θ*; losses, alignment matrix (WARP section 3.2), gradient
 * statistics. The same bits for any `threads` and any `memory`.
 * @throws WarpError (resource) MEMORY_BUDGET, OUT_OF_MEMORY; (input) DIRECTION_ZERO, LOSS_NOT_FINITE, FILE_SHRANK
 */
export function scoreProbes(
  path: Handle,
  model: ModelRequest,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): Promise<ScoreResult> {
  return runTask(
    (onProgress) => addon().score(request(path, model, probes, domains, options), onProgress),
    'score',
    'tokens',
    options,
  )
}
