import type { Blueprint, Family, Sizes } from './architecture.js'
import { activate, attention, drop, feedForward, layerNorm, linear, part, postNormLayer, weights } from './build.js'
import type { Fields } from './fields.js'
import type { Activation, Block } from './network.js'
import { usualSizes } from './sizes.js'

/** Defaults of the configuration class that its relatives have changed. */
export interface EncoderDefaults {
  typeVocabularySize: number
  epsilon: number
  padTokenId: number
}

/**
 * The encoder: embeddings and normalisation; per layer attention, then feed-forward, each followed by dropout, sum and
 * normalisation. Without a head.
 */
export function encoder(family: Family, f: Fields, defaults: EncoderDefaults): Omit<Blueprint, 'classifier'> {
  const sizes = usualSizes(f, {
    epsilon: ['layer_norm_eps', defaults.epsilon],
    typeVocabularySize: defaults.typeVocabularySize,
  })
  const activation = f.activation('hidden_act', 'gelu')
  f.only('add_cross_attention', false, 'an encoder-decoder part')
  f.only('is_decoder', false, 'causal attention')
  f.only('position_embedding_type', 'absolute', 'relative positions')
  const padTokenId = f.token('pad_token_id', sizes.vocabularySize, defaults.padTokenId)
  const { hiddenSize, vocabularySize, maxPositions, typeVocabularySize } = sizes
  const norm = layerNorm(sizes.layerNormEpsilon)
  return {
    family,
    sizes,
    dropout: {
      embedding: f.rate(['hidden_dropout_prob'], 0.1),
      attention: f.rate(['attention_probs_dropout_prob'], 0.1),
      hidden: f.rate(['hidden_dropout_prob'], 0.1),
      head: f.rate(['classifier_dropout', 'hidden_dropout_prob'], 0.1),
    },
    embeddingSize: hiddenSize,
    tables: [
      { tensor: 'embeddings.word_embeddings.weight', by: 'token', rows: vocabularySize },
      { tensor: 'embeddings.position_embeddings.weight', by: 'position', rows: maxPositions },
      { tensor: 'embeddings.token_type_embeddings.weight', by: 'type', rows: typeVocabularySize },
    ],
    embed: {
      steps: [norm('x', 'normed', 'embeddings.LayerNorm'), drop('normed', 'embedded', 'embedding', 'embedding')],
      output: 'embedded',
    },
    layer: (index) => encoderLayer(sizes, index, activation),
    closing: { steps: [], output: 'x' },
    select: 'first',
    padTokenId,
    paddingRow: padTokenId,
  }
}

function encoderLayer(sizes: Sizes, index: number, activation: Activation): Block {
  const { hiddenSize, intermediateSize, heads, headSize, layerNormEpsilon } = sizes
  const at = `encoder.layer.${index}`
  return {
    steps: postNormLayer({
      norm: layerNorm(layerNormEpsilon),
      norms: { after: `${at}.attention.output.LayerNorm`, afterInner: `${at}.output.LayerNorm` },
      drops: { projection: `projection ${index}`, output: `output ${index}` },
      attention: (from) =>
        attention({
          index,
          from,
          width: hiddenSize,
          heads,
          headSize,
          causal: false,
          query: weights(`${at}.attention.self.query`, hiddenSize),
          keyValue: {
            parts: [part(`${at}.attention.self.key`, hiddenSize), part(`${at}.attention.self.value`, hiddenSize)],
          },
          output: weights(`${at}.attention.output.dense`, hiddenSize),
        }),
      feedForward: (from) =>
        feedForward({
          from,
          width: hiddenSize,
          inner: intermediateSize,
          activation,
          up: weights(`${at}.intermediate.dense`, intermediateSize),
          down: weights(`${at}.output.dense`, hiddenSize),
        }),
    }),
    output: 'y',
  }
}

/** Classes of the library whose head is no part of the network: bases of a classifier. */
export const encoderBases = (prefix: string, more: readonly string[] = []): string[] =>
  ['Model', 'ForMaskedLM', ...more, 'ForTokenClassification', 'ForQuestionAnswering', 'ForMultipleChoice'].map(
    (end) => prefix + end,
  )

/** BERT: the head reads the first token through the pooler. */
export const bert: Family = {
  name: 'bert',
  classes: {
    base: encoderBases('Bert', ['ForPreTraining', 'ForNextSentencePrediction']),
    classify: 'BertForSequenceClassification',
  },
  prefix: 'bert.',
  outside: ['classifier.', 'cls.', 'qa_outputs.'],
  fresh: /^classifier\.(weight|bias)$/,
  embedding: 'embeddings.word_embeddings.weight',
  layerPrefix: 'encoder.layer.',
  output: ['cls.predictions.decoder.weight'],
  tied: true,
  positionTable: true,
  rename: (name) => name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias'),
  notes: ['absolute positions only; no decoder, no cross-attention'],
  read: (f) => {
    const blueprint = encoder(bert, f, { typeVocabularySize: 2, epsilon: 1e-12, padTokenId: 0 })
    const h = blueprint.sizes.hiddenSize
    return {
      ...blueprint,
      classifier: (from, labels) => ({
        steps: [
          linear(from, 'pooled', h, weights('pooler.dense', h)),
          activate('pooled', 'active', 'tanh'),
          drop('active', 'dropped', 'head', 'head'),
          linear('dropped', 'logits', h, weights('classifier', labels)),
        ],
        output: 'logits',
      }),
    }
  },
}
