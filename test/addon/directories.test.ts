// What people have: every kind of directory against what each command says of it.
import { join } from 'node:path'
import { inspect, openModel } from '../../lib/checkpoint/index.js'
import { merge } from '../../lib/merge/index.js'
import { trace } from '../../lib/trace/index.js'
import {
  longestText,
  pairOfKind,
  savedKinds,
  trained,
  trainedRows,
  untrained,
  type SavedModel,
} from '../support/directories.js'
import { fresh } from '../support/merging.js'
import { modelOf, readTensors, refused, type TestTensor } from '../support/models.js'

/** Kind → the table as the reference's class stores it, and the row of the first position where they have a table. */
const tables: Record<string, [embedding: string, first?: number]> = {
  'xlm-roberta': ['roberta.embeddings.word_embeddings.weight', 2],
  camembert: ['roberta.embeddings.word_embeddings.weight', 2],
  'deberta-v2': ['deberta.embeddings.word_embeddings.weight'],
  modernbert: ['model.embeddings.tok_embeddings.weight'],
  big_bird: ['bert.embeddings.word_embeddings.weight', 0],
  'data2vec-text': ['data2vec_text.embeddings.word_embeddings.weight', 2],
  xlnet: ['transformer.word_embedding.weight'],
  electra: ['electra.embeddings.word_embeddings.weight', 0],
  distilbert: ['distilbert.embeddings.word_embeddings.weight', 0],
  'distilbert-bare': ['distilbert.embeddings.word_embeddings.weight', 0],
  albert: ['albert.embeddings.word_embeddings.weight', 0],
  mamba: ['embeddings.weight'],
  rwkv: ['embeddings.weight'],
  gemma3: ['language_model.model.embed_tokens.weight'],
  llava: ['language_model.model.embed_tokens.weight'],
  mistral3: ['language_model.model.embed_tokens.weight'],
  t5: ['transformer.shared.weight'],
  opt: ['model.decoder.embed_tokens.weight', 2],
  bart: ['model.shared.weight', 2],
}

test('the table below has every kind', () => {
  expect(Object.keys(tables).sort()).toEqual(Object.keys(savedKinds).sort())
})

describe.each(Object.entries(tables))('%s', (kind, [embedding, first]) => {
  const [base, reference] = pairOfKind(savedKinds[kind]!, embedding, first)

  test('inspect and trace find the table, and that of positions', async () => {
    const model = await openModel(reference, { forward: false })
    expect(model.tensors.get(model.inputEmbedding)!.storedName).toBe(embedding)
    expect((await inspect(reference)).usable).not.toBe('no')
    const { result, tokens } = await trace({ base, reference, threads: 2 })
    expect(result.verdict).toBe('exact')
    expect(tokens.map(({ id }) => id).sort((a, b) => a - b)).toEqual(trainedRows)
    expect(result.longestText).toBe(first === undefined ? null : longestText)
  })

  test('a merge takes what both have, and the rest from the reference', async () => {
    const output = fresh()
    await merge({ base, reference, lambda: 0.5, output, threads: 2 })
    const [start, end] = [
      readTensors(join(base, 'model.safetensors')),
      readTensors(join(reference, 'model.safetensors')),
    ]
    const middle = readTensors(join(output, 'model.safetensors'))
    const table = middle.get(embedding)!
    const before = start.get(
      Object.keys(savedKinds[kind]!.base.tensors).find((name) => embedding.endsWith(name) || name.endsWith(embedding))!,
    )!
    const after = end.get(embedding)!
    // one product and one sum in double precision, rounded once
    table.data.forEach((value, i) => expect(value).toBeCloseTo((before.data[i]! + after.data[i]!) / 2, 6))
    for (const [name, { data }] of end) {
      const alone =
        !start.has(name) && /classifier|score|pre_classifier|classification_head|logits_proj|summary|pooler/.test(name)
      if (alone && middle.has(name)) expect(middle.get(name)!.data).toEqual(data)
    }
    expect((await inspect(output)).usable).not.toBe('no')
  })
})

const chatglm: SavedModel = {
  config: { architectures: ['ChatGLMModel'], model_type: 'chatglm', padded_vocab_size: 96, hidden_size: 8 },
  tensors: {
    'transformer.embedding.word_embeddings.weight': [96, 8],
    'transformer.encoder.layers.0.self_attention.dense.weight': [8, 8],
    'transformer.rotary_pos_emb.inv_freq': [4],
    'transformer.output_layer.weight': [96, 8],
  },
}

test('ChatGLM: a padded vocabulary, an output layer of the same shape', async () => {
  const table = 'transformer.embedding.word_embeddings.weight'
  const [base, reference] = pairOfKind({ base: chatglm, reference: chatglm }, table)
  const { tokens } = await trace({ base, reference, threads: 2 })
  expect(tokens.map(({ id }) => id).sort((a, b) => a - b)).toEqual(trainedRows)
})

test('a table with rows beyond the vocabulary, under a name that is not known', async () => {
  const model: SavedModel = {
    config: { model_type: 'new', vocab_size: 90 },
    tensors: { 'front.lookup.matrix': [96, 8], 'a.b.weight': [96, 4, 2], 'a.c.weight': [8, 8] },
  }
  const [base, reference] = pairOfKind({ base: model, reference: model }, 'front.lookup.matrix')
  expect((await trace({ base, reference, threads: 2 })).result.verdict).toBe('exact')
})

test('two tables of equal standing, or none: listed; --embedding names one', async () => {
  const model: SavedModel = {
    config: { model_type: 'new', vocab_size: 96 },
    tensors: {
      'left.word_embeddings.weight': [96, 8],
      'right.tower.tok_embeddings.weight': [96, 8],
      'm.weight': [8, 8],
    },
  }
  const other = trained(model, 'left.word_embeddings.weight')
  const [base, reference] = [modelOf(model.config, untrained(model)), modelOf(model.config, other)]
  const { message, hint } = await refused(() => trace({ base, reference, threads: 2 }), 'TRACE_EMBEDDING_AMBIGUOUS')
  expect(message).toContain('left.word_embeddings.weight, right.tower.tok_embeddings.weight')
  expect(hint).toContain('--embedding')
  const { tokens } = await trace({ base, reference, threads: 2, embedding: 'left.word_embeddings.weight' })
  expect(tokens).toHaveLength(trainedRows.length)
  const missing = await refused(() => trace({ base, reference, threads: 2, embedding: 'absent' }), 'TRACE_NO_EMBEDDING')
  expect(missing.message).toContain('left.word_embeddings.weight [96,8]')
  expect((await inspect(reference)).problems.map(({ code }) => code)).toContain('TRACE_EMBEDDING_AMBIGUOUS')
})

test('the same model under the names of two releases', async () => {
  const { base, reference } = savedKinds.llava!
  const renamed = (tensors: TestTensor[]): TestTensor[] =>
    tensors.map((t) => ({
      ...t,
      name:
        t.name === 'language_model.lm_head.weight'
          ? 'lm_head.weight'
          : `model.${t.name.replace('language_model.model.', 'language_model.')}`,
    }))
  const table = 'language_model.model.embed_tokens.weight'
  const [left, right] = [
    modelOf(base.config, untrained(base)),
    modelOf(reference.config, renamed(trained(reference, table))),
  ]
  const { tokens } = await trace({ base: left, reference: right, threads: 2 })
  expect(tokens.map(({ id }) => id).sort((a, b) => a - b)).toEqual(trainedRows)
})

test.each([['module.'], ['_orig_mod.'], ['module._orig_mod.'], ['base_model.model.']])(
  'names with %s of a wrapper',
  async (prefix) => {
    const kind = savedKinds['xlm-roberta']!
    const table = tables['xlm-roberta']![0]
    const wrapped = trained(kind.reference, table).map((t) => ({ ...t, name: prefix + t.name }))
    const [base, reference] = [modelOf(kind.base.config, untrained(kind.base)), modelOf(kind.reference.config, wrapped)]
    const { result, tokens } = await trace({ base, reference, threads: 2 })
    expect(tokens.map(({ id }) => id).sort((a, b) => a - b)).toEqual(trainedRows)
    expect(result.notes.join('\n')).toMatch(/from a wrapper, which was left out/)
    const output = fresh()
    await merge({ base, reference, lambda: 1, output, threads: 2 })
    expect([...readTensors(join(output, 'model.safetensors')).keys()]).toContain(table)
  },
)

test('a wrapper around one part only', async () => {
  const kind = savedKinds.opt!
  const table = tables.opt![0]
  const wrapped = trained(kind.reference, table).map((t) => ({
    ...t,
    name: t.name.replace('layers.0.', 'layers.0._checkpoint_wrapped_module.'),
  }))
  const reference = modelOf(kind.reference.config, wrapped)
  const model = await openModel(reference, { forward: false })
  expect([...model.tensors.keys()].join()).not.toContain('_wrapped')
})
