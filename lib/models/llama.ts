import type { Family } from './architecture.js'
import { rmsNorm } from './build.js'
import { decoder, decoderNames, decoderSizes } from './decoder.js'
import { readRope } from './rope.js'

/** LLaMA, SmolLM and whoever took the class: RMS norms, rotary positions, grouped queries, gated SiLU. */
export const llama: Family = {
  name: 'llama',
  ...decoderNames('Llama'),
  tied: false,
  notes: ['rope scaling linear and llama3'],
  read: (f) => {
    const sizes = decoderSizes(f, { epsilon: 1e-6 })
    f.only('rope_interleaved', false, 'neighbouring columns turned together')
    const attentionBias = f.flag('attention_bias', false)
    return decoder({
      family: llama,
      fields: f,
      sizes,
      activation: f.activation('hidden_act', 'silu'),
      norm: rmsNorm(sizes.layerNormEpsilon),
      biases: { qkv: attentionBias, output: attentionBias, inner: f.flag('mlp_bias', false) },
      rope: readRope(f, { headSize: sizes.headSize }),
    })
  },
}

/** Mistral: LLaMA where every layer may see only a window. */
export const mistral: Family = {
  name: 'mistral',
  ...decoderNames('Mistral'),
  tied: false,
  notes: ['windows as sliding_window says', 'rope scaling linear and llama3'],
  read: (f) => {
    const sizes = decoderSizes(f, { epsilon: 1e-6 })
    f.only('layer_types', null, 'windows by layer')
    const window = f.optional('sliding_window', 4096)
    return decoder({
      family: mistral,
      fields: f,
      sizes,
      activation: f.activation('hidden_act', 'silu'),
      norm: rmsNorm(sizes.layerNormEpsilon),
      rope: readRope(f, { headSize: sizes.headSize }),
      window: () => window,
    })
  },
}
