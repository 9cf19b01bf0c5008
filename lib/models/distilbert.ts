import type { Family, Sizes } from './architecture.js'
import { encoderBases } from './bert.js'
import { activate, attention, drop, feedForward, layerNorm, linear, part, postNormLayer, weights } from './build.js'
import type { Activation, Block } from './network.js'

// config.json has no say in it
const EPSILON = 1e-12
const norm = layerNorm(EPSILON)

function layerOf({ hiddenSize: h, heads, headSize, intermediateSize }: Sizes, index: number, act: Activation): Block {
  const at = `transformer.layer.${index}`
  const steps = postNormLayer({
    norm,
    norms: { after: `${at}.sa_layer_norm`, afterInner: `${at}.output_layer_norm` },
    drops: { output: `output ${index}` },
    attention: (from) =>
      attention({
        index,
        from,
        width: h,
        heads,
        headSize,
        causal: false,
        query: weights(`${at}.attention.q_lin`, h),
        keyValue: { parts: [part(`${at}.attention.k_lin`, h), part(`${at}.attention.v_lin`, h)] },
        output: weights(`${at}.attention.out_lin`, h),
      }),
    feedForward: (from) =>
      feedForward({
        from,
        width: h,
        inner: intermediateSize,
        activation: act,
        up: weights(`${at}.ffn.lin1`, intermediateSize),
        down: weights(`${at}.ffn.lin2`, h),
      }),
  })
  return { steps, output: 'y' }
}

/** DistilBERT: BERT without token types and pooler, its head dense, ReLU, dense. */
export const distilbert: Family = {
  name: 'distilbert',
  classes: { base: encoderBases('DistilBert'), classify: 'DistilBertForSequenceClassification' },
  prefix: 'distilbert.',
  outside: ['pre_classifier.', 'classifier.', 'vocab_', 'qa_outputs.'],
  fresh: /^(pre_classifier|classifier)\.(weight|bias)$/,
  embedding: 'embeddings.word_embeddings.weight',
  layerPrefix: 'transformer.layer.',
  output: ['vocab_projector.weight'],
  tied: true,
  positionTable: true,
  notes: ['positions are the stored table, learned or not'],
  read: (f) => {
    const hiddenSize = f.count(['dim', 'hidden_size'])
    const heads = f.heads(['n_heads', 'num_attention_heads'], hiddenSize)
    const sizes: Sizes = {
      hiddenSize,
      layers: f.count(['n_layers', 'num_hidden_layers']),
      heads,
      kvHeads: heads,
      headSize: hiddenSize / heads,
      intermediateSize: f.count(['hidden_dim']),
      vocabularySize: f.count(['vocab_size']),
      maxPositions: f.count(['max_position_embeddings']),
      typeVocabularySize: 0,
      layerNormEpsilon: EPSILON,
      activation: f.text('activation', 'gelu'),
    }
    const activation = f.activation('activation', 'gelu')
    const padTokenId = f.token('pad_token_id', sizes.vocabularySize, 0)
    return {
      family: distilbert,
      sizes,
      dropout: {
        embedding: f.rate(['dropout'], 0.1),
        attention: f.rate(['attention_dropout'], 0.1),
        hidden: f.rate(['dropout'], 0.1),
        head: f.rate(['seq_classif_dropout'], 0.2),
      },
      embeddingSize: hiddenSize,
      tables: [
        { tensor: 'embeddings.word_embeddings.weight', by: 'token', rows: sizes.vocabularySize },
        { tensor: 'embeddings.position_embeddings.weight', by: 'position', rows: sizes.maxPositions },
      ],
      embed: {
        steps: [norm('x', 'normed', 'embeddings.LayerNorm'), drop('normed', 'embedded', 'embedding', 'embedding')],
        output: 'embedded',
      },
      layer: (index) => layerOf(sizes, index, activation),
      closing: { steps: [], output: 'x' },
      select: 'first',
      padTokenId,
      paddingRow: padTokenId,
      classifier: (from, labels) => ({
        steps: [
          linear(from, 'dense', hiddenSize, weights('pre_classifier', hiddenSize)),
          activate('dense', 'active', 'relu'),
          drop('active', 'dropped', 'head', 'head'),
          linear('dropped', 'logits', hiddenSize, weights('classifier', labels)),
        ],
        output: 'logits',
      }),
    }
  },
}
