import type { Family, Sizes } from './architecture.js'
import { encoderBases } from './bert.js'
import {
  activate,
  attention,
  drop,
  feedForward,
  layerNorm,
  linear,
  part,
  residualLayer,
  weights,
  type Norm,
  type Rope,
} from './build.js'
import { reachable, readLayerTypes } from './decoder.js'
import type { Activation, Block } from './network.js'
import { readRope } from './rope.js'
import { usualSizes } from './sizes.js'

interface Layer {
  sizes: Sizes
  norm: Norm
  activation: Activation
  rope: Rope
  window?: number
  bias: { attention: boolean; inner: boolean }
}

function layerOf(index: number, { sizes, norm, activation, rope, window, bias }: Layer): Block {
  const { hiddenSize: h, heads, headSize, intermediateSize: inner } = sizes
  const at = `layers.${index}`
  const wide = `${at}.attn.Wqkv`
  const steps = residualLayer({
    norm,
    // the embedding is normalised, so the first layer does not do it again
    norms: { ...(index > 0 && { before: `${at}.attn_norm` }), beforeInner: `${at}.mlp_norm` },
    attention: (from) =>
      attention({
        index,
        from,
        width: h,
        heads,
        headSize,
        causal: false,
        rope,
        window,
        query: { parts: [part(wide, h, bias.attention)] },
        keyValue: { parts: [part(wide, h, bias.attention, h), part(wide, h, bias.attention, 2 * h)] },
        output: weights(`${at}.attn.Wo`, h, bias.attention),
      }),
    feedForward: (from) =>
      feedForward({
        from,
        width: h,
        inner,
        activation,
        gate: { parts: [part(`${at}.mlp.Wi`, inner, bias.inner)] },
        up: { parts: [part(`${at}.mlp.Wi`, inner, bias.inner, inner)] },
        down: weights(`${at}.mlp.Wo`, h, bias.inner),
        site: `inner ${index}`,
      }),
  })
  // the mean row is one of normalised rows, so that the last normalisation belongs to the last layer, not to the head
  if (index + 1 === sizes.layers) return { steps: [...steps, norm('y', 'closed', 'final_norm')], output: 'closed' }
  return { steps, output: 'y' }
}

/** ModernBERT: normalised before, rotary positions, gated GELU, two layers of three see only their surroundings. */
export const modernbert: Family = {
  name: 'modernbert',
  classes: { base: encoderBases('ModernBert'), classify: 'ModernBertForSequenceClassification' },
  prefix: 'model.',
  outside: ['head.', 'classifier.', 'decoder.', 'qa_outputs.'],
  fresh: /^classifier\.(weight|bias)$/,
  embedding: 'embeddings.tok_embeddings.weight',
  layerPrefix: 'layers.',
  output: ['decoder.weight'],
  tied: true,
  positionTable: false,
  notes: [
    'a base of a new classifier keeps the head of the masked language model',
    'attention_dropout is not applied a second time after the attention',
  ],
  read: (f) => {
    const sizes = usualSizes(f, { epsilon: ['norm_eps', 1e-5], activation: 'hidden_activation' })
    const { hiddenSize: h, headSize, layers } = sizes
    const norm = layerNorm(sizes.layerNormEpsilon, f.flag('norm_bias', false))
    const every = f.count(['global_attn_every_n_layers'], 3)
    const sliding = readLayerTypes(f, layers, (index) => index % every !== 0)
    const near = Math.floor(f.count(['local_attention'], 128) / 2) + 1
    const rope = {
      full: readRope(f, {
        headSize,
        layerType: 'full_attention',
        theta: 160_000,
        thetaField: 'global_rope_theta',
      }),
      near: readRope(f, { headSize, layerType: 'sliding_attention', thetaField: 'local_rope_theta' }),
    }
    const pooling = f.text('classifier_pooling', 'cls')
    if (pooling !== 'cls' && pooling !== 'mean')
      throw f.unsupported('CONFIG_UNSUPPORTED', 'classifier_pooling', pooling, '"cls" or "mean"', 'what the head reads')
    const activation = f.activation('hidden_activation', 'gelu')
    const headActivation = f.activation('classifier_activation', 'gelu')
    const headBias = f.flag('classifier_bias', false)
    const bias = { attention: f.flag('attention_bias', false), inner: f.flag('mlp_bias', false) }
    const padTokenId = f.token('pad_token_id', sizes.vocabularySize, 50283)
    return {
      family: modernbert,
      sizes,
      dropout: {
        embedding: f.rate(['embedding_dropout'], 0),
        attention: f.rate(['attention_dropout'], 0),
        hidden: f.rate(['mlp_dropout'], 0),
        head: f.rate(['classifier_dropout'], 0),
      },
      embeddingSize: h,
      tables: [{ tensor: 'embeddings.tok_embeddings.weight', by: 'token', rows: sizes.vocabularySize }],
      embed: {
        steps: [norm('x', 'normed', 'embeddings.norm'), drop('normed', 'embedded', 'embedding', 'embedding')],
        output: 'embedded',
      },
      layer: (index) =>
        layerOf(index, {
          sizes,
          norm,
          activation,
          bias,
          rope: sliding[index] ? rope.near : rope.full,
          window: sliding[index] ? reachable(near, sizes) : undefined,
        }),
      closing: { steps: [], output: 'x' },
      select: pooling === 'cls' ? 'first' : 'mean',
      padTokenId,
      paddingRow: padTokenId,
      classifier: (from, labels) => ({
        steps: [
          linear(from, 'dense', h, weights('head.dense', h, headBias)),
          activate('dense', 'active', headActivation),
          norm('active', 'features', 'head.norm'),
          drop('features', 'dropped', 'head', 'head'),
          linear('dropped', 'logits', h, weights('classifier', labels)),
        ],
        output: 'logits',
      }),
    }
  },
}
