import type { Blueprint, Family } from './architecture.js'
import { rmsNorm } from './build.js'
import { decoder, decoderNames, decoderSizes, readLayerTypes, type DecoderPlan } from './decoder.js'
import type { Fields } from './fields.js'
import { readRope } from './rope.js'

function qwen(family: Family, f: Fields, headSize: number | undefined, more: Partial<DecoderPlan>): Blueprint {
  const sizes = decoderSizes(f, { epsilon: 1e-6, headSize })
  const window = f.flag('use_sliding_window', false) ? f.optional('sliding_window', 4096) : undefined
  const first = f.value('max_window_layers') === 0 ? 0 : f.count(['max_window_layers'], 28)
  const sliding = readLayerTypes(f, sizes.layers, (index) => index >= first)
  return decoder({
    family,
    fields: f,
    sizes,
    activation: f.activation('hidden_act', 'silu'),
    norm: rmsNorm(sizes.layerNormEpsilon),
    rope: readRope(f, { headSize: sizes.headSize }),
    window: (index) => (sliding[index] ? window : undefined),
    ...more,
  })
}

/** Qwen2: LLaMA with biases of queries, keys and values. */
export const qwen2: Family = {
  name: 'qwen2',
  ...decoderNames('Qwen2'),
  tied: false,
  notes: ['windows as use_sliding_window, max_window_layers and layer_types say', 'rope scaling linear and llama3'],
  read: (f) => qwen(qwen2, f, undefined, { biases: { qkv: true } }),
}

/** Qwen3: queries and keys normalised by head, heads of their own size. */
export const qwen3: Family = {
  name: 'qwen3',
  ...decoderNames('Qwen3'),
  tied: false,
  notes: ['windows as use_sliding_window, max_window_layers and layer_types say', 'rope scaling linear and llama3'],
  read: (f) => {
    const bias = f.flag('attention_bias', false)
    return qwen(qwen3, f, 128, { biases: { qkv: bias, output: bias }, queryNorms: 'by head' })
  },
}
