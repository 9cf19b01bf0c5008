import { inputError } from '../errors.js'
import type { Architecture, ArchitectureKind } from './config.js'

/** What of a tensor its place in the model depends on. */
export interface NamedShape {
  name: string
  shape: readonly number[]
}

/**
 * Canonical names of stored tensors: those of `transformers`, without the prefix that a class with a head puts before
 * its inner model (`bert.`, `transformer.`), and with `LayerNorm.gamma/beta` written as `weight/bias`. For
 * architectures other than BERT and GPT-2 a leading `model.`, `transformer.` or `<model_type>.` is dropped, so that a
 * bare base and a fine-tuned model with a head agree, unless that would give two tensors one name.
 *
 * @returns stored name → canonical name
 * @throws WarpError TENSOR_NAME_TWICE when two stored names of a BERT or GPT-2 model mean the same tensor
 */
export function canonicalNames(
  stored: readonly string[],
  kind: ArchitectureKind,
  modelType: string,
  file: string,
): Map<string, string> {
  if (kind === 'other') {
    const prefixes = ['model.', 'transformer.', ...(modelType ? [`${modelType}.`] : [])]
    const result = new Map(stored.map((name) => [name, withoutPrefix(name, prefixes)]))
    return new Set(result.values()).size === stored.length ? result : new Map(stored.map((name) => [name, name]))
  }
  const prefix = kind === 'bert' ? 'bert.' : 'transformer.'
  const result = new Map<string, string>()
  const owner = new Map<string, string>()
  for (const name of stored) {
    const canonical = withoutPrefix(name, [prefix])
      .replace(/LayerNorm\.gamma$/, 'LayerNorm.weight')
      .replace(/LayerNorm\.beta$/, 'LayerNorm.bias')
    const first = owner.get(canonical)
    if (first !== undefined) {
      throw inputError(
        'TENSOR_NAME_TWICE',
        `${file}: tensors ${JSON.stringify(first)} and ${JSON.stringify(name)} are both ${canonical}`,
        { file, tensor: canonical, found: [first, name], expected: 'one tensor' },
        'Remove the outdated one from the checkpoint.',
      )
    }
    owner.set(canonical, name)
    result.set(name, canonical)
  }
  return result
}

function withoutPrefix(name: string, prefixes: string[]): string {
  const prefix = prefixes.find((p) => name.startsWith(p) && name.length > p.length)
  return prefix ? name.slice(prefix.length) : name
}

/** Buffers that checkpoints carry although the network computes them: positions, causal masks, rotary frequencies. */
export function isBuffer({ name, shape }: NamedShape): boolean {
  if (/(^|\.)(position_ids|token_type_ids|masked_bias|rotary_emb\.inv_freq)$/.test(name)) return true
  return /(^|\.)(attn|attention)\.bias$/.test(name) && shape.length === 4
}

/** The tensors of the classification head. */
export function headNames(architectureName: string, kind: ArchitectureKind, names: Iterable<string>): string[] {
  if (!architectureName.endsWith('ForSequenceClassification')) return []
  const pattern =
    kind === 'bert'
      ? /^classifier\.(weight|bias)$/
      : kind === 'gpt2'
        ? /^score\.weight$/
        : /^(classifier|score|pre_classifier|classification_head)\./
  return [...names].filter((name) => pattern.test(name))
}

/** The table that turns token ids into vectors, '' when none of the usual names is there. */
export function inputEmbedding(kind: ArchitectureKind, names: ReadonlySet<string>): string {
  if (kind === 'bert') return 'embeddings.word_embeddings.weight'
  if (kind === 'gpt2') return 'wte.weight'
  const usual = [
    'embed_tokens.weight',
    'embeddings.word_embeddings.weight',
    'word_embeddings.weight',
    'wte.weight',
    'embed_in.weight',
    'shared.weight',
    'tok_embeddings.weight',
    'language_model.embed_tokens.weight',
    'decoder.embed_tokens.weight',
    'encoder.embed_tokens.weight',
    'embedding.weight',
    'embeddings.weight',
  ]
  return usual.find((name) => names.has(name)) ?? ''
}

/** A tensor that the forward pass reads; `codes` are the errors for each dimension that is not as expected. */
export interface RequiredTensor extends NamedShape {
  codes: readonly string[]
}

/** Every tensor of the encoder or decoder itself, without pooler and head. */
export function bodyTensors(a: Architecture): RequiredTensor[] {
  return a.kind === 'bert' ? bertBody(a) : gpt2Body(a)
}

// The word table settles the hidden size, so that any other tensor of another width is itself wrong.
const SHAPE = 'TENSOR_SHAPE'
const INNER = 'CONFIG_INTERMEDIATE_SIZE'

function tensor(name: string, shape: number[], codes: string[] = shape.map(() => SHAPE)): RequiredTensor {
  return { name, shape, codes }
}

function dense(name: string, out: number, input: number, codes?: string[]): RequiredTensor[] {
  return [tensor(`${name}.weight`, [out, input], codes), tensor(`${name}.bias`, [out], codes?.slice(0, 1))]
}

function norm(name: string, h: number): RequiredTensor[] {
  return [tensor(`${name}.weight`, [h]), tensor(`${name}.bias`, [h])]
}

function bertBody({
  hiddenSize: h,
  intermediateSize: f,
  layers,
  vocabularySize,
  maxPositions,
  typeVocabularySize,
}: Architecture): RequiredTensor[] {
  const list = [
    tensor('embeddings.word_embeddings.weight', [vocabularySize, h], ['CONFIG_VOCABULARY', 'CONFIG_HIDDEN_SIZE']),
    tensor('embeddings.position_embeddings.weight', [maxPositions, h], ['CONFIG_POSITIONS', SHAPE]),
    tensor('embeddings.token_type_embeddings.weight', [typeVocabularySize, h], ['CONFIG_TYPE_VOCABULARY', SHAPE]),
    ...norm('embeddings.LayerNorm', h),
  ]
  for (let i = 0; i < layers; i++) {
    const p = `encoder.layer.${i}`
    for (const part of ['query', 'key', 'value']) list.push(...dense(`${p}.attention.self.${part}`, h, h))
    list.push(
      ...dense(`${p}.attention.output.dense`, h, h),
      ...norm(`${p}.attention.output.LayerNorm`, h),
      ...dense(`${p}.intermediate.dense`, f, h, [INNER, SHAPE]),
      ...dense(`${p}.output.dense`, h, f, [SHAPE, INNER]),
      ...norm(`${p}.output.LayerNorm`, h),
    )
  }
  return list
}

/** GPT-2 keeps its matrices as [input, output]. */
function gpt2Body({
  hiddenSize: h,
  intermediateSize: f,
  layers,
  vocabularySize,
  maxPositions,
}: Architecture): RequiredTensor[] {
  const list = [
    tensor('wte.weight', [vocabularySize, h], ['CONFIG_VOCABULARY', 'CONFIG_HIDDEN_SIZE']),
    tensor('wpe.weight', [maxPositions, h], ['CONFIG_POSITIONS', SHAPE]),
  ]
  const conv = (name: string, input: number, out: number, codes?: string[]): RequiredTensor[] => [
    tensor(`${name}.weight`, [input, out], codes),
    tensor(`${name}.bias`, [out], codes?.slice(1)),
  ]
  for (let i = 0; i < layers; i++) {
    const p = `h.${i}`
    list.push(
      ...norm(`${p}.ln_1`, h),
      ...conv(`${p}.attn.c_attn`, h, 3 * h),
      ...conv(`${p}.attn.c_proj`, h, h),
      ...norm(`${p}.ln_2`, h),
      ...conv(`${p}.mlp.c_fc`, h, f, [SHAPE, INNER]),
      ...conv(`${p}.mlp.c_proj`, f, h, [INNER, SHAPE]),
    )
  }
  return [...list, ...norm('ln_f', h)]
}

export function poolerTensors({ hiddenSize: h }: Architecture): RequiredTensor[] {
  return dense('pooler.dense', h, h)
}

/** Weights of a head with `classes` outputs: BERT's has a bias, GPT-2's has none. */
export function headTensors({ kind, hiddenSize: h }: Architecture, classes: number): RequiredTensor[] {
  return kind === 'bert' ? dense('classifier', classes, h) : [tensor('score.weight', [classes, h])]
}

/** Number of transformer layers that the names speak of. */
export function layersInNames(kind: ArchitectureKind, names: Iterable<string>): number {
  const pattern = kind === 'bert' ? /^encoder\.layer\.(\d+)\./ : /^h\.(\d+)\./
  let count = 0
  for (const name of names) {
    const found = pattern.exec(name)
    if (found) count = Math.max(count, Number(found[1]) + 1)
  }
  return count
}
