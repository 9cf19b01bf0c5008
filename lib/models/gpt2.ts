import type { Family } from './architecture.js'
import { attention, drop, feedForward, layerNorm, linear, residualLayer, weights, type Weights } from './build.js'

/** Conv1D: stored inputs × outputs. */
const conv = (name: string, rows: number, storedOutputs = rows, firsts: number[] = [0]): Weights => ({
  parts: firsts.map((first) => ({ weight: `${name}.weight`, bias: `${name}.bias`, first, rows })),
  turned: true,
  storedOutputs,
})

/** GPT-2: normalised before attention and feed-forward, and at the end; causal; tokens and positions are tables. */
export const gpt2: Family = {
  name: 'gpt2',
  classes: {
    base: ['GPT2Model', 'GPT2DoubleHeadsModel', 'GPT2ForTokenClassification', 'GPT2ForQuestionAnswering'],
    classify: 'GPT2ForSequenceClassification',
    language: 'GPT2LMHeadModel',
  },
  prefix: 'transformer.',
  outside: ['score.', 'lm_head.', 'multiple_choice_head.', 'classifier.', 'qa_outputs.'],
  fresh: /^score\.weight$/,
  embedding: 'wte.weight',
  layerPrefix: 'h.',
  output: ['lm_head.weight'],
  tied: true,
  positionTable: true,
  notes: ['no attention scaled by layer, no cross-attention'],
  read: (f) => {
    const hiddenSize = f.count(['n_embd', 'hidden_size'])
    const layers = f.count(['n_layer', 'num_hidden_layers'])
    const heads = f.count(['n_head', 'num_attention_heads'])
    const inner = f.count(['n_inner'], 4 * hiddenSize)
    const vocabularySize = f.count(['vocab_size'])
    const maxPositions = f.count(['n_positions', 'max_position_embeddings', 'n_ctx'])
    const layerNormEpsilon = f.epsilon('layer_norm_epsilon', 1e-5)
    const norm = layerNorm(layerNormEpsilon)
    f.heads(['n_head', 'num_attention_heads'], hiddenSize)
    const activation = f.activation('activation_function', 'gelu_new')
    f.only('add_cross_attention', false, 'an encoder-decoder part')
    f.only('scale_attn_weights', true, 'unscaled attention')
    f.only('scale_attn_by_inverse_layer_idx', false, 'attention scaled by layer')
    const headSize = hiddenSize / heads
    return {
      family: gpt2,
      sizes: {
        hiddenSize,
        layers,
        heads,
        kvHeads: heads,
        headSize,
        intermediateSize: inner,
        vocabularySize,
        maxPositions,
        typeVocabularySize: 0,
        layerNormEpsilon,
        activation: f.text('activation_function', 'gelu_new'),
      },
      dropout: {
        embedding: f.rate(['embd_pdrop'], 0.1),
        attention: f.rate(['attn_pdrop'], 0.1),
        hidden: f.rate(['resid_pdrop'], 0.1),
        head: 0,
      },
      embeddingSize: hiddenSize,
      tables: [
        { tensor: 'wte.weight', by: 'token', rows: vocabularySize },
        { tensor: 'wpe.weight', by: 'position', rows: maxPositions },
      ],
      embed: { steps: [drop('x', 'embedded', 'embedding', 'embedding')], output: 'embedded' },
      layer: (index) => {
        const at = `h.${index}`
        return {
          steps: residualLayer({
            norm,
            norms: { before: `${at}.ln_1`, beforeInner: `${at}.ln_2` },
            drops: { projection: `projection ${index}`, output: `output ${index}` },
            attention: (from) =>
              attention({
                index,
                from,
                width: hiddenSize,
                heads,
                headSize,
                causal: true,
                query: conv(`${at}.attn.c_attn`, hiddenSize, 3 * hiddenSize),
                keyValue: conv(`${at}.attn.c_attn`, hiddenSize, 3 * hiddenSize, [hiddenSize, 2 * hiddenSize]),
                output: conv(`${at}.attn.c_proj`, hiddenSize),
              }),
            feedForward: (from) =>
              feedForward({
                from,
                width: hiddenSize,
                inner,
                activation,
                up: conv(`${at}.mlp.c_fc`, inner),
                down: conv(`${at}.mlp.c_proj`, hiddenSize),
              }),
          }),
          output: 'y',
        }
      },
      closing: { steps: [norm('x', 'closed', 'ln_f')], output: 'closed' },
      select: 'last',
      padTokenId: f.token('pad_token_id', vocabularySize),
      paddingRow: -1,
      classifier: (from, labels) => ({
        steps: [linear(from, 'logits', hiddenSize, weights('score', labels, false))],
        output: 'logits',
      }),
    }
  },
}
