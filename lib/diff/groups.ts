/** Where a tensor stands in its model, by its name alone: any architecture. */

export type Kind = 'embedding' | 'layer' | 'pooler' | 'head' | 'rest'

export interface Place {
  kind: Kind
  /** `embedding`, `layer 3`, `encoder layer 3`, `head` … */
  group: string
  /** number of the layer; −1 outside of layers */
  layer: number
  /** what the tensor is within its layer, or its whole name */
  part: string
}

const head =
  /^(classifier|score|lm_head|cls|qa_outputs|embed_out|pre_classifier|classification_head|vocab_[a-z]+|generator_\w+)\b/
const tables =
  'embeddings?|embeddings_project|word_embeddings|wte|wpe|embed_in|embed_tokens|embed_positions|' +
  'tok_embeddings|shared|relative_attention_bias'
const embedding = new RegExp(`(^|[.])(${tables})([.]|$)`)

/** @param table the input embedding table, by name */
export function placeOf(name: string, table: string): Place {
  const layer = /^((?:.*?\.)?)([a-z_]+)\.(\d+)\.(.+)$/i.exec(name)
  if (layer) {
    const [, before, , number, part] = layer
    const stack = /(^|\.)(encoder|decoder|vision_model|text_model|language_model)\./.exec(before)?.[2]
    const of = stack && stack !== 'encoder' ? `${stack} ` : ''
    return { kind: 'layer', group: `${of}layer ${number}`, layer: Number(number), part: withoutEnding(part) }
  }
  const outside = (kind: Kind): Place => ({ kind, group: kind, layer: -1, part: withoutEnding(name) })
  if (head.test(name)) return outside('head')
  if (/^pooler\b/.test(name)) return outside('pooler')
  if (name === table || embedding.test(name)) return outside('embedding')
  return outside('rest')
}

const withoutEnding = (part: string): string => part.replace(/\.weight$/, '')

const order: Kind[] = ['embedding', 'layer', 'rest', 'pooler', 'head']

/** By depth: the embedding first, the head last. */
export function byDepth(a: Place, b: Place): number {
  return order.indexOf(a.kind) - order.indexOf(b.kind) || stackOf(a).localeCompare(stackOf(b)) || a.layer - b.layer
}

const stackOf = ({ group }: Place): string => group.replace(/\d+$/, '')

/** `0–3, 5`: numbers, whole ranges shortened. */
export function ranges(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b)
  const parts: string[] = []
  for (let i = 0; i < sorted.length; i++) {
    const first = sorted[i]
    while (sorted[i + 1] === sorted[i] + 1) i++
    parts.push(first === sorted[i] ? String(first) : `${first}–${sorted[i]}`)
  }
  return parts.join(', ')
}
