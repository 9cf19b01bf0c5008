import type { Family, Sizes } from './architecture.js'
import { rmsNorm, type Surroundings } from './build.js'
import { decoder, decoderNames, decoderSizes, readLayerTypes, type DecoderPlan } from './decoder.js'
import { activationOf, type Fields } from './fields.js'
import { readRope } from './rope.js'

type Shared = Omit<DecoderPlan, 'family' | 'rope'>

/** What all three have: gains counted from 1, embeddings × √hidden size, heads of their own size, a tanh-GELU gate. */
function shared(f: Fields, field: string): Shared & { sizes: Sizes } {
  const act = { field, fallback: 'gelu_pytorch_tanh' }
  const sizes = decoderSizes(f, { epsilon: 1e-6, headSize: 256, activation: act })
  f.only('use_bidirectional_attention', false, 'attention to later tokens')
  const bias = f.flag('attention_bias', false)
  return {
    fields: f,
    sizes,
    activation: f.activation(act.field, act.fallback),
    norm: rmsNorm(sizes.layerNormEpsilon, 1),
    biases: { qkv: bias, output: bias },
    factor: Math.sqrt(sizes.hiddenSize),
    padDefault: 0,
  }
}

/** Normalised before and after attention and feed-forward. */
const sandwich = (at: string): Surroundings['norms'] => ({
  before: `${at}.input_layernorm`,
  after: `${at}.post_attention_layernorm`,
  beforeInner: `${at}.pre_feedforward_layernorm`,
  afterInner: `${at}.post_feedforward_layernorm`,
})

export const gemma: Family = {
  name: 'gemma',
  ...decoderNames('Gemma'),
  tied: true,
  notes: ['hidden_act gelu is its tanh approximation; a hidden_activation that says otherwise is refused'],
  read: (f) => {
    const plan = shared(f, 'hidden_act')
    // the first checkpoints say gelu and mean its approximation, which transformers knows too
    const activation = plan.activation === 'gelu' ? 'gelu_tanh' : plan.activation
    const other = f.value('hidden_activation')
    if (other !== undefined && activationOf(String(other)) !== activation)
      throw f.unsupported('CONFIG_UNSUPPORTED', 'hidden_activation', other, activation, 'another one than hidden_act')
    return decoder({ family: gemma, ...plan, activation, rope: readRope(f, { headSize: plan.sizes.headSize }) })
  },
}

/** Gemma 2: sandwich norms, every other layer sees a window, scores and logits capped. */
export const gemma2: Family = {
  name: 'gemma2',
  ...decoderNames('Gemma2'),
  tied: true,
  notes: ['windows by layer_types, else every other layer'],
  read: (f) => {
    const plan = shared(f, 'hidden_activation')
    const window = f.optional('sliding_window', 4096)
    const sliding = readLayerTypes(f, plan.sizes.layers, (index) => index % 2 === 0)
    return decoder({
      family: gemma2,
      ...plan,
      norms: sandwich,
      rope: readRope(f, { headSize: plan.sizes.headSize }),
      window: (index) => (sliding[index] ? window : undefined),
      scale: 1 / Math.sqrt(f.positive('query_pre_attn_scalar', 256)),
      softcap: f.optional('attn_logit_softcapping', 50),
      logitSoftcap: f.optional('final_logit_softcapping', 30),
    })
  },
}

/** Gemma 3, text only: sandwich norms, queries and keys normalised by head, their own theta with windows. */
export const gemma3: Family = {
  name: 'gemma3_text',
  ...decoderNames('Gemma3', 'Gemma3Text'),
  tied: true,
  notes: ['text models (gemma3_text); checkpoints with a vision tower are refused'],
  read: (f) => {
    const plan = shared(f, 'hidden_activation')
    const { headSize, layers } = plan.sizes
    f.only('attn_logit_softcapping', null, 'capped scores')
    const window = f.optional('sliding_window', 4096)
    const every = f.count(['sliding_window_pattern', '_sliding_window_pattern'], 6)
    const sliding = readLayerTypes(f, layers, (index) => (index + 1) % every !== 0)
    const wide = readRope(f, { headSize, layerType: 'full_attention', theta: 1_000_000 })
    const near = readRope(f, {
      headSize,
      layerType: 'sliding_attention',
      thetaField: 'rope_local_base_freq',
      scaled: false,
    })
    return decoder({
      family: gemma3,
      ...plan,
      norms: sandwich,
      queryNorms: 'by head',
      rope: (index) => (sliding[index] ? near : wide),
      window: (index) => (sliding[index] ? window : undefined),
      scale: 1 / Math.sqrt(f.positive('query_pre_attn_scalar', 256)),
      logitSoftcap: f.optional('final_logit_softcapping'),
    })
  },
}
