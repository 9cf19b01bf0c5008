import type { Architecture } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import type { ModelRequest } from '../native/types.js'
import { activationOf } from './fields.js'

/** The families that the addon computes today. */
export const computed = ['bert', 'gpt2']

/**
 * What the addon needs to know of the model whose head has these labels, while it knows two architectures by name
 * instead of reading networks. Goes away when it does.
 * @throws WarpError ARCHITECTURE_UNSUPPORTED
 */
export function modelRequest(architecture: Architecture): ModelRequest {
  const { kind, hiddenSize, layers, heads, intermediateSize, vocabularySize, maxPositions } = architecture
  const activation = activationOf(architecture.activation)
  if (!computed.includes(kind) || !activation || activation === 'silu' || activation === 'tanh') {
    throw inputError(
      'ARCHITECTURE_UNSUPPORTED',
      `no forward pass for ${architecture.modelType} with activation ${architecture.activation}`,
      { found: architecture.modelType, expected: computed },
      `score a classifier of ${computed.join(' or ')}; warp trace and warp merge take any model`,
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
    typeVocabularySize: architecture.typeVocabularySize,
    layerNormEpsilon: architecture.layerNormEpsilon,
    activation,
    labels: architecture.labels.length,
    padTokenId: architecture.padTokenId ?? -1,
  }
}
