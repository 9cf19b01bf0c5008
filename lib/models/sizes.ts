import type { Sizes } from './architecture.js'
import type { Fields } from './fields.js'

export interface SizesDefaults {
  epsilon: [field: string, fallback: number]
  /** field of the activation; default hidden_act */
  activation?: string
  /** where config.json has no type_vocab_size; default: there are no types */
  typeVocabularySize?: number
}

/** Sizes under their usual names, where each head has keys of its own and a like share of the hidden size. */
export function usualSizes(
  f: Fields,
  { epsilon, activation = 'hidden_act', typeVocabularySize }: SizesDefaults,
): Sizes {
  const hiddenSize = f.count(['hidden_size'])
  const heads = f.heads(['num_attention_heads'], hiddenSize)
  return {
    hiddenSize,
    layers: f.count(['num_hidden_layers']),
    heads,
    kvHeads: heads,
    headSize: hiddenSize / heads,
    intermediateSize: f.count(['intermediate_size']),
    vocabularySize: f.count(['vocab_size']),
    maxPositions: f.count(['max_position_embeddings']),
    typeVocabularySize: typeVocabularySize === undefined ? 0 : f.count(['type_vocab_size'], typeVocabularySize),
    layerNormEpsilon: f.epsilon(...epsilon),
    activation: f.text(activation, 'gelu'),
  }
}
