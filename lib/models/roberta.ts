import type { Family } from './architecture.js'
import { activate, drop, linear, weights } from './build.js'
import { encoder, encoderBases } from './bert.js'
import type { Activation, Block, Slot } from './network.js'

/** Dropout, dense, activation, dropout, `out_proj`, all of the classifier's own. */
export function twoLayerHead(from: Slot, labels: number, width: number, activation: Activation): Block {
  return {
    steps: [
      drop(from, 'features', 'head input', 'head'),
      linear('features', 'dense', width, weights('classifier.dense', width)),
      activate('dense', 'active', activation),
      drop('active', 'dropped', 'head', 'head'),
      linear('dropped', 'logits', width, weights('classifier.out_proj', labels)),
    ],
    output: 'logits',
  }
}

/** RoBERTa and its kin: BERT whose positions are counted from behind the padding id, with a head of its own. */
function robertaLike(name: string, classes: string): Family {
  const family: Family = {
    name,
    classes: { base: encoderBases(classes), classify: `${classes}ForSequenceClassification` },
    prefix: 'roberta.',
    outside: ['classifier.', 'lm_head.', 'qa_outputs.'],
    fresh: /^classifier\.(dense|out_proj)\.(weight|bias)$/,
    embedding: 'embeddings.word_embeddings.weight',
    layerPrefix: 'encoder.layer.',
    output: ['lm_head.decoder.weight'],
    tied: true,
    positionTable: true,
    notes: ['the longest text is the position table less the padding id and one'],
    read: (f) => {
      const blueprint = encoder(family, f, { typeVocabularySize: 2, epsilon: 1e-12, padTokenId: 1 })
      const { sizes, padTokenId, tables } = blueprint
      const maxPositions = sizes.maxPositions - padTokenId - 1
      if (padTokenId < 0 || maxPositions < 1) {
        throw f.unsupported(
          'CONFIG_FIELD',
          'pad_token_id',
          f.value('pad_token_id') ?? null,
          `an id below ${Math.min(sizes.vocabularySize, sizes.maxPositions - 1)}`,
          'positions are counted from it',
        )
      }
      return {
        ...blueprint,
        sizes: { ...sizes, maxPositions },
        tables: tables.map((table) => (table.by === 'position' ? { ...table, padding: padTokenId } : table)),
        classifier: (from, labels) => twoLayerHead(from, labels, sizes.hiddenSize, 'tanh'),
      }
    },
  }
  return family
}

export const roberta = robertaLike('roberta', 'Roberta')
export const xlmRoberta = robertaLike('xlm-roberta', 'XLMRoberta')
export const camembert = robertaLike('camembert', 'Camembert')
