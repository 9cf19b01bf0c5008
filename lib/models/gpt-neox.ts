import type { Family, Sizes } from './architecture.js'
import { add, attention, drop, feedForward, layerNorm, part, residualLayer, weights, type Rope } from './build.js'
import { scoreHead } from './decoder.js'
import type { Activation, Block, Part, Step } from './network.js'
import { readRope } from './rope.js'
import { usualSizes } from './sizes.js'

interface Layer {
  index: number
  sizes: Sizes
  activation: Activation
  rope: Rope
  parallel: boolean
  bias: boolean
}

/** Queries, keys and values of each head lie together in one weight. */
function interleaved(at: string, { sizes: { heads, headSize }, bias }: Layer, which: 0 | 1 | 2): Part[] {
  return Array.from({ length: heads }, (_, head) =>
    part(`${at}.attention.query_key_value`, headSize, bias, (3 * head + which) * headSize),
  )
}

function layerOf(layer: Layer): Block {
  const { index, sizes, activation, rope, bias } = layer
  const { hiddenSize: width, heads, headSize, intermediateSize: inner, layerNormEpsilon } = sizes
  const at = `layers.${index}`
  const norm = layerNorm(layerNormEpsilon)
  const [before, beforeInner] = [`${at}.input_layernorm`, `${at}.post_attention_layernorm`]
  const attend = (from: string): Step[] =>
    attention({
      index,
      from,
      width,
      heads,
      headSize,
      causal: true,
      rope,
      query: { parts: interleaved(at, layer, 0) },
      keyValue: { parts: [...interleaved(at, layer, 1), ...interleaved(at, layer, 2)] },
      output: weights(`${at}.attention.dense`, width, bias),
    })
  const forward = (from: string): Step[] =>
    feedForward({
      from,
      width,
      inner,
      activation,
      up: weights(`${at}.mlp.dense_h_to_4h`, inner),
      down: weights(`${at}.mlp.dense_4h_to_h`, width),
    })
  const drops = { projection: `projection ${index}`, output: `output ${index}` }
  if (!layer.parallel) {
    const parts = { norm, norms: { before, beforeInner }, drops, attention: attend, feedForward: forward }
    return { steps: residualLayer(parts), output: 'y' }
  }
  return {
    steps: [
      norm('x', 'projected_input', before),
      ...attend('projected_input'),
      drop('projected', 'projected_dropped', drops.projection, 'hidden'),
      norm('x', 'down_input', beforeInner),
      ...forward('down_input'),
      drop('down', 'down_dropped', drops.output, 'hidden'),
      add('down_dropped', 'projected_dropped', 'both'),
      add('both', 'x', 'y'),
    ],
    output: 'y',
  }
}

/** GPT-NeoX and Pythia: attention and feed-forward side by side, part of each head turned by the position. */
export const gptNeox: Family = {
  name: 'gpt_neox',
  classes: {
    base: ['GPTNeoXModel', 'GPTNeoXForTokenClassification', 'GPTNeoXForQuestionAnswering'],
    classify: 'GPTNeoXForSequenceClassification',
    language: 'GPTNeoXForCausalLM',
  },
  prefix: 'gpt_neox.',
  outside: ['score.', 'embed_out.', 'lm_head.'],
  fresh: /^score\.weight$/,
  embedding: 'embed_in.weight',
  layerPrefix: 'layers.',
  output: ['embed_out.weight', 'lm_head.weight'],
  tied: false,
  positionTable: false,
  notes: ['parallel or one after the other, as use_parallel_residual says', 'rope scaling linear and llama3'],
  read: (f) => {
    const sizes = usualSizes(f, { epsilon: ['layer_norm_eps', 1e-5] })
    const rope = readRope(f, {
      headSize: sizes.headSize,
      thetaField: 'rotary_emb_base',
      fraction: 0.25,
      fractionField: 'rotary_pct',
    })
    const activation = f.activation('hidden_act', 'gelu')
    const parallel = f.flag('use_parallel_residual', true)
    const bias = f.flag('attention_bias', true)
    return {
      family: gptNeox,
      sizes,
      dropout: {
        embedding: f.rate(['hidden_dropout'], 0),
        attention: f.rate(['attention_dropout'], 0),
        hidden: f.rate(['hidden_dropout'], 0),
        head: 0,
      },
      embeddingSize: sizes.hiddenSize,
      tables: [{ tensor: 'embed_in.weight', by: 'token', rows: sizes.vocabularySize }],
      embed: { steps: [drop('x', 'embedded', 'embedding', 'embedding')], output: 'embedded' },
      layer: (index) => layerOf({ index, sizes, activation, rope, parallel, bias }),
      closing: { steps: [layerNorm(sizes.layerNormEpsilon)('x', 'closed', 'final_layer_norm')], output: 'closed' },
      select: 'last',
      padTokenId: f.token('pad_token_id', sizes.vocabularySize),
      paddingRow: -1,
      classifier: scoreHead(sizes.hiddenSize),
    }
  },
}
