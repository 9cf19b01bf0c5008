import type { Family } from './architecture.js'
import { encoder, encoderBases } from './bert.js'
import { linear, weights } from './build.js'
import { twoLayerHead } from './roberta.js'

/** ELECTRA (the discriminator): BERT whose embeddings may be narrower, with a head of its own. */
export const electra: Family = {
  name: 'electra',
  classes: { base: encoderBases('Electra', ['ForPreTraining']), classify: 'ElectraForSequenceClassification' },
  prefix: 'electra.',
  outside: ['classifier.', 'discriminator_predictions.', 'generator_predictions.', 'generator_lm_head.', 'qa_outputs.'],
  fresh: /^classifier\.(dense|out_proj)\.(weight|bias)$/,
  embedding: 'embeddings.word_embeddings.weight',
  layerPrefix: 'encoder.layer.',
  output: ['generator_lm_head.weight'],
  tied: true,
  positionTable: true,
  notes: ['embeddings of another width than the layers are projected'],
  read: (f) => {
    const blueprint = encoder(electra, f, { typeVocabularySize: 2, epsilon: 1e-12, padTokenId: 0 })
    const { hiddenSize } = blueprint.sizes
    const embeddingSize = f.count(['embedding_size'], 128)
    const { steps, output } = blueprint.embed
    const project = linear(output, 'projected', embeddingSize, weights('embeddings_project', hiddenSize))
    return {
      ...blueprint,
      embeddingSize,
      embed: embeddingSize === hiddenSize ? blueprint.embed : { steps: [...steps, project], output: 'projected' },
      classifier: (from, labels) => twoLayerHead(from, labels, hiddenSize, 'gelu'),
    }
  },
}
