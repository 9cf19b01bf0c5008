import type { ModelDirectory, TensorEntry } from './model.js'

/**
 * Gives the tensors of the reference the names that the base's have, where the two classes put other beginnings before
 * them (`roberta.`, `language_model.model.`, none); the input embedding tells which.
 * @returns a model whose tables have the new names
 */
export function alignNames(base: ModelDirectory, reference: ModelDirectory): ModelDirectory {
  const [from, to] = [reference.inputEmbedding, base.inputEmbedding]
  if (from === to || from === '' || to === '') return reference
  const end = commonEnd(from, to)
  if (end === '') return reference
  const [q, p] = [from.slice(0, from.length - end.length), to.slice(0, to.length - end.length)]
  const taken = new Set([...reference.tensors.keys(), ...reference.extra.keys()])
  const rename = (name: string): string => {
    if (!name.startsWith(q)) return name
    const other = p + name.slice(q.length)
    return !taken.has(other) && (base.tensors.has(other) || base.extra.has(other)) ? other : name
  }
  const renamed = (map: Map<string, TensorEntry>): Map<string, TensorEntry> =>
    new Map([...map.values()].map((entry) => [rename(entry.name), { ...entry, name: rename(entry.name) }]))
  const { tie } = reference
  return {
    ...reference,
    tensors: renamed(reference.tensors),
    extra: renamed(reference.extra),
    tie: tie && { name: rename(tie.name), to: rename(tie.to) },
    unexpected: reference.unexpected.map(rename),
    ignored: reference.ignored.map(rename),
    inputEmbedding: rename(from),
  }
}

/** The parts, divided by dots, that two names end in alike. */
function commonEnd(a: string, b: string): string {
  const [x, y] = [a.split('.').reverse(), b.split('.').reverse()]
  const differ = x.findIndex((part, i) => part !== y[i])
  return x
    .slice(0, differ === -1 ? x.length : differ)
    .reverse()
    .join('.')
}

/** Heads and poolers that one class has and another has not, beside a module that both have. */
const heads = new RegExp(
  `^(${[
    'cls|lm_head|vocab_\\w+|discriminator_predictions|generator_\\w+|qa_outputs|\\w*pooler|classifier|score|head',
    'pre_classifier|classification_head|predictions|lm_loss|logits_proj|sequence_summary|sentence_projection',
    'embed_out|multiple_choice_head|mask_predictions|sop_classifier|summary',
  ].join('|')})\\b`,
)

/** Whether a tensor is of a head or a pooler, going by its name. */
export const isHead = (name: string): boolean => heads.test(name)

/**
 * Whether tensors that only one of two models has are those of a task: known heads, or modules of which the other model
 * has nothing at all.
 * @param lacking what the other model has
 */
export function isTaskOnly(name: string, lacking: ReadonlySet<string>): boolean {
  return isHead(name) || !lacking.has(moduleOf(name))
}

/** The outermost modules of a model. */
export const modulesOf = (names: Iterable<string>): Set<string> => new Set([...names].map(moduleOf))

const moduleOf = (name: string): string => name.split('.')[0]!
