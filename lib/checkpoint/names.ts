import { inputError } from '../errors.js'
import type { Family } from '../models/architecture.js'

/** What of a tensor its place in the model depends on. */
export interface NamedShape {
  name: string
  shape: readonly number[]
}

/**
 * Canonical names of stored tensors: those of `transformers`, without the prefix that a class with a head puts before
 * its inner model, and old names written as today's. Where no family is known a leading `model.`, `transformer.` or
 * `<model_type>.` is dropped, so that a bare base and a fine-tuned model with a head agree, unless that would give two
 * tensors one name.
 *
 * @returns stored name → canonical name
 * @throws WarpError TENSOR_NAME_TWICE when two stored names of a known family mean the same tensor
 */
export function canonicalNames(
  stored: readonly string[],
  family: Family | undefined,
  modelType: string,
  file: string,
): Map<string, string> {
  if (!family) {
    const prefixes = ['model.', 'transformer.', ...(modelType ? [`${modelType}.`] : [])]
    const result = new Map(stored.map((name) => [name, withoutPrefix(name, prefixes)]))
    return new Set(result.values()).size === stored.length ? result : new Map(stored.map((name) => [name, name]))
  }
  const { prefix, rename = (name: string) => name } = family
  const result = new Map<string, string>()
  const owner = new Map<string, string>()
  for (const name of stored) {
    const canonical = rename(withoutPrefix(name, [prefix]))
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

/** The tensors of the classification head that fine-tuning starts anew. */
export function headNames(architectureName: string, family: Family | undefined, names: Iterable<string>): string[] {
  if (!architectureName.endsWith('ForSequenceClassification')) return []
  const pattern = family?.fresh ?? /^(classifier|score|pre_classifier|classification_head)\./
  return [...names].filter((name) => pattern.test(name))
}

/** Number of layers that the names speak of. */
export function layersInNames({ layerPrefix }: Family, names: Iterable<string>): number {
  let count = 0
  for (const name of names) {
    const found = name.startsWith(layerPrefix) ? /^(\d+)\./.exec(name.slice(layerPrefix.length)) : null
    if (found) count = Math.max(count, Number(found[1]) + 1)
  }
  return count
}
