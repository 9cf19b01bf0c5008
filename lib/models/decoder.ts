import type { Blueprint, Family, Sizes } from './architecture.js'
import {
  attention,
  feedForward,
  linear,
  part,
  residualLayer,
  weights,
  type Norm,
  type Rope,
  type Surroundings,
} from './build.js'
import type { Fields } from './fields.js'
import type { Activation, Block } from './network.js'

export interface DecoderDefaults {
  epsilon: number
  activation?: { field: string; fallback: string }
  /** where config.json has no head_dim; default hidden size / heads */
  headSize?: number
}

/** Sizes of LLaMA and what came after it. @throws WarpError CONFIG_KV_HEADS, CONFIG_HEADS */
export function decoderSizes(f: Fields, defaults: DecoderDefaults): Sizes {
  const hiddenSize = f.count(['hidden_size'])
  const own = f.value('head_dim') !== undefined || defaults.headSize !== undefined
  const heads = own ? f.count(['num_attention_heads']) : f.heads(['num_attention_heads'], hiddenSize)
  const kvHeads = f.count(['num_key_value_heads'], heads)
  if (heads % kvHeads !== 0) {
    throw f.unsupported('CONFIG_KV_HEADS', 'num_key_value_heads', kvHeads, `a divisor of ${heads}`, 'heads of keys')
  }
  const { field = 'hidden_act', fallback = 'silu' } = defaults.activation ?? {}
  f.activation(field, fallback)
  return {
    hiddenSize,
    layers: f.count(['num_hidden_layers']),
    heads,
    kvHeads,
    headSize: f.count(['head_dim'], defaults.headSize ?? hiddenSize / heads),
    intermediateSize: f.count(['intermediate_size']),
    vocabularySize: f.count(['vocab_size']),
    maxPositions: f.count(['max_position_embeddings']),
    typeVocabularySize: 0,
    layerNormEpsilon: f.epsilon('rms_norm_eps', defaults.epsilon),
    activation: f.text(field, fallback),
  }
}

export interface DecoderPlan {
  family: Family
  fields: Fields
  sizes: Sizes
  activation: Activation
  norm: Norm
  /** biases of queries, keys and values; of the attention's output; of the feed-forward */
  biases?: { qkv?: boolean; output?: boolean; inner?: boolean }
  /** normalisations of a layer; default before attention and feed-forward */
  norms?: (at: string) => Surroundings['norms']
  /** normalisations of queries and keys */
  queryNorms?: 'by head' | 'over all'
  rope: Rope | ((index: number) => Rope)
  window?: (index: number) => number | undefined
  scale?: number
  softcap?: number
  logitSoftcap?: number
  /** of the embedding */
  factor?: number
  /** queries, keys and values in one stored weight, gate and up in another */
  fused?: boolean
  /** dropout of what attention and feed-forward give, the rate of the configuration */
  dropped?: number
  padDefault?: number
}

const preNorms = (at: string): Surroundings['norms'] => ({
  before: `${at}.input_layernorm`,
  beforeInner: `${at}.post_attention_layernorm`,
})

/** A causal decoder with rotary positions and a gated feed-forward; the head reads the last token. */
export function decoder(plan: DecoderPlan): Blueprint {
  const { family, fields: f, sizes, norm, factor, logitSoftcap, dropped = 0 } = plan
  const { hiddenSize, vocabularySize } = sizes
  const padTokenId = f.token('pad_token_id', vocabularySize, plan.padDefault)
  return {
    family,
    sizes,
    dropout: { embedding: 0, attention: f.rate(['attention_dropout'], 0), hidden: dropped, head: 0 },
    embeddingSize: hiddenSize,
    tables: [{ tensor: family.embedding, by: 'token', rows: vocabularySize, ...(factor !== undefined && { factor }) }],
    embed: { steps: [], output: 'x' },
    layer: (index) => decoderLayer(plan, index),
    closing: { steps: [norm('x', 'closed', 'norm')], output: 'closed' },
    select: 'last',
    padTokenId,
    paddingRow: padTokenId,
    classifier: scoreHead(hiddenSize),
    grouped: true,
    ...(logitSoftcap !== undefined && { logitSoftcap }),
  }
}

/** One linear step without a bias. */
export const scoreHead =
  (hiddenSize: number): Blueprint['classifier'] =>
  (from, labels) => ({
    steps: [linear(from, 'logits', hiddenSize, weights('score', labels, false))],
    output: 'logits',
  })

function decoderLayer(plan: DecoderPlan, index: number): Block {
  const { sizes, norm, norms = preNorms, queryNorms, rope, window, scale, softcap, fused, activation } = plan
  const { qkv = false, output = false, inner: innerBias = false } = plan.biases ?? {}
  const { hiddenSize: width, heads, kvHeads, headSize, intermediateSize: inner } = sizes
  const at = `layers.${index}`
  const [queries, keys] = [heads * headSize, kvHeads * headSize]
  const attend = `${at}.self_attn`
  const one = `${attend}.qkv_proj`
  const steps = residualLayer({
    norm,
    norms: norms(at),
    ...(plan.dropped !== undefined && { drops: { projection: `projection ${index}`, output: `output ${index}` } }),
    attention: (from) =>
      attention({
        index,
        from,
        width,
        heads,
        kvHeads,
        headSize,
        query: { parts: [fused ? part(one, queries, qkv) : part(`${attend}.q_proj`, queries, qkv)] },
        keyValue: {
          parts: fused
            ? [part(one, keys, qkv, queries), part(one, keys, qkv, queries + keys)]
            : [part(`${attend}.k_proj`, keys, qkv), part(`${attend}.v_proj`, keys, qkv)],
        },
        output: weights(`${attend}.o_proj`, width, output),
        causal: true,
        scale,
        softcap,
        window: reachable(window?.(index), sizes),
        rope: typeof rope === 'function' ? rope(index) : rope,
        ...(queryNorms && {
          norms: { norm, query: `${attend}.q_norm`, key: `${attend}.k_norm`, perHead: queryNorms === 'by head' },
        }),
      }),
    feedForward: (from) =>
      feedForward({
        from,
        width,
        inner,
        activation,
        gate: weights(`${at}.mlp.${fused ? 'gate_up_proj' : 'gate_proj'}`, inner, innerBias),
        up: fused
          ? { parts: [part(`${at}.mlp.gate_up_proj`, inner, innerBias, inner)] }
          : weights(`${at}.mlp.up_proj`, inner, innerBias),
        down: weights(`${at}.mlp.down_proj`, width, innerBias),
      }),
  })
  return { steps, output: 'y' }
}

/** A window that no text can fill is none. */
export const reachable = (window: number | undefined, { maxPositions }: Sizes): number | undefined =>
  window !== undefined && window < maxPositions ? window : undefined

/**
 * Which layers see only a window: `layer_types`, else by number.
 * @throws WarpError CONFIG_LAYER_TYPES
 */
export function readLayerTypes(f: Fields, layers: number, fallback: (index: number) => boolean): boolean[] {
  const found = f.value('layer_types')
  if (found === undefined) return Array.from({ length: layers }, (_, index) => fallback(index))
  const known = ['full_attention', 'sliding_attention']
  if (!Array.isArray(found) || found.length !== layers || found.some((type) => !known.includes(String(type)))) {
    throw f.unsupported(
      'CONFIG_LAYER_TYPES',
      'layer_types',
      found,
      `${layers} of ${known.join(', ')}`,
      'kinds of layers',
    )
  }
  return found.map((type) => type === 'sliding_attention')
}

/** What the families of decoders share in names. */
export const decoderNames = (
  start: string,
  model = start,
): Pick<
  Family,
  'classes' | 'prefix' | 'outside' | 'fresh' | 'embedding' | 'layerPrefix' | 'output' | 'positionTable'
> => ({
  classes: {
    base: [`${model}Model`],
    classify: `${model}ForSequenceClassification`,
    language: `${start}ForCausalLM`,
  },
  prefix: 'model.',
  outside: ['score.', 'lm_head.'],
  fresh: /^score\.weight$/,
  embedding: 'embed_tokens.weight',
  layerPrefix: 'layers.',
  output: ['lm_head.weight'],
  positionTable: false,
})
