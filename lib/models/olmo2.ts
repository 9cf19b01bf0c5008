import type { Family } from './architecture.js'
import { rmsNorm } from './build.js'
import { decoder, decoderNames, decoderSizes } from './decoder.js'
import { readRope } from './rope.js'

/** OLMo 2: normalised after attention and feed-forward; queries and keys over their whole width. */
export const olmo2: Family = {
  name: 'olmo2',
  ...decoderNames('Olmo2'),
  tied: false,
  notes: ['rope scaling linear and llama3'],
  read: (f) => {
    const sizes = decoderSizes(f, { epsilon: 1e-5 })
    const bias = f.flag('attention_bias', false)
    return decoder({
      family: olmo2,
      fields: f,
      sizes,
      activation: f.activation('hidden_act', 'silu'),
      norm: rmsNorm(sizes.layerNormEpsilon),
      biases: { qkv: bias, output: bias },
      norms: (at) => ({ after: `${at}.post_attention_layernorm`, afterInner: `${at}.post_feedforward_layernorm` }),
      queryNorms: 'over all',
      rope: readRope(f, { headSize: sizes.headSize }),
      padDefault: 1,
    })
  },
}
