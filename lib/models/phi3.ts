import type { Family } from './architecture.js'
import { rmsNorm } from './build.js'
import { decoder, decoderNames, decoderSizes } from './decoder.js'
import { readRope } from './rope.js'

/** Phi-3: LLaMA with queries, keys and values in one weight, gate and up in another. */
export const phi3: Family = {
  name: 'phi3',
  ...decoderNames('Phi3'),
  tied: false,
  notes: ['models of short texts; the scaling of the long ones (longrope) is refused'],
  read: (f) => {
    const sizes = decoderSizes(f, { epsilon: 1e-5 })
    const window = f.optional('sliding_window')
    return decoder({
      family: phi3,
      fields: f,
      sizes,
      activation: f.activation('hidden_act', 'silu'),
      norm: rmsNorm(sizes.layerNormEpsilon),
      rope: readRope(f, { headSize: sizes.headSize }),
      window: () => window,
      fused: true,
      dropped: f.rate(['resid_pdrop'], 0),
      padDefault: 32000,
    })
  },
}
