import { inputError } from '../errors.js'
import { differenceOf } from '../models/compare.js'
import { classifierOf, requiredTensors } from '../models/facts.js'
import { objectiveOf } from '../models/families.js'
import type { GeneratedTensor } from '../native/types.js'
import type { Architecture } from './config.js'
import { openReference } from './adapt.js'
import { isHead, isTaskOnly, modulesOf } from './align.js'
import { listed, openModel, type ModelDirectory, type OpenOptions, type TensorEntry } from './model.js'
import { growVocabulary } from './grow.js'
import { headNames } from './names.js'
import { compareTokenizers, type TokenizerChoice } from './tokenizers.js'

/** The head given to a base model that has none: zeros, or normal weights and zero biases as `transformers` draws. */
export type BaseHead = 'zeros' | { seed: number }

/** A base model and the model fine-tuned from it, checked to be of one kind and size. */
export interface ModelPair {
  base: ModelDirectory
  reference: ModelDirectory
  /** tensors of the reference that the base gets from `baseHead`, [] when the base has its own head */
  generated: GeneratedTensor[]
  /** canonical names of all tensors that take part, sorted; each is in both models or in `generated` */
  tensorNames: string[]
  notes: string[]
}

export interface PairOptions extends OpenOptions {
  baseHead?: BaseHead
  /** a reference without a classification head will do: layers alone are wanted */
  headless?: boolean
  /** the tokenizer asked for by name: those that differ are then noted, not refused */
  tokenizer?: TokenizerChoice
}

/**
 * Opens two model directories and checks that the one can be fine-tuned from the other: architecture, sizes,
 * vocabulary, tokenizer, the same tensors in the same shapes. Element types may differ.
 *
 * @throws WarpError (input) BASE_HEAD_MISSING, REFERENCE_HEAD_MISSING, LANGUAGE_MODEL_MISSING, PAIR_ARCHITECTURE,
 *   PAIR_VOCABULARY, PAIR_SIZES, PAIR_CONFIG, PAIR_LABELS, PAIR_TENSORS, PAIR_TENSOR_SHAPE, PAIR_TOKENIZER, and all of
 *   `openModel`
 */
export async function openPair(baseDir: string, referenceDir: string, options: PairOptions = {}): Promise<ModelPair> {
  const base = await openModel(baseDir, options)
  return pairOf(base, await openReference(referenceDir, base, options), options)
}

/** `openPair` for models that are open. */
export async function pairOf(
  opened: ModelDirectory,
  reference: ModelDirectory,
  options: PairOptions = {},
): Promise<ModelPair> {
  const { forward = true, baseHead, headless, objective } = options
  const notes = [...opened.notes, ...reference.notes]
  const base = await growVocabulary(opened, reference, notes)
  compareArchitectures(base, reference, forward, notes)
  if (forward && objective === 'language') for (const model of [reference, base]) checkLanguage(model, model === base)
  if (forward && objective !== 'language' && !reference.hasHead && !headless) {
    throw inputError(
      'REFERENCE_HEAD_MISSING',
      `${reference.dir}: ${reference.architectureName} has no classification head; expected ` +
        `${reference.family?.classes.classify}`,
      { file: reference.dir, found: reference.architectureName },
      'Give the fine-tuned classifier as the reference.',
    )
  }
  const head = headNames(reference.architectureName, reference.family, reference.tensors.keys())
  const missing = baseHead ? head : head.filter((name) => !base.tensors.has(name))
  if (missing.length > 0 && !baseHead && forward) {
    throw inputError(
      'BASE_HEAD_MISSING',
      `${base.dir}: ${base.architectureName || 'the base'} has no classification head (${missing.join(', ')}), ` +
        `but the reference has one with ${reference.architecture.labels.length} classes`,
      { file: base.dir, tensor: missing[0], found: base.architectureName, expected: reference.architectureName },
      'Say what the head started from: --base-head zeros, or --base-head seed:N if it was drawn at random.',
    )
  }
  const generated = baseHead ? generateHead(missing, reference, baseHead) : []
  if (baseHead && missing.length > 0) {
    const from = baseHead === 'zeros' ? 'zeros' : `seed ${baseHead.seed}`
    const own = missing.filter((name) => base.tensors.has(name))
    notes.push(
      `${base.dir}: head generated from ${from}: ${missing.join(', ')}` +
        (own.length ? `; the stored ${own.join(', ')} set aside` : ''),
    )
  }
  if (forward && generated.length === 0) compareLabels(base, reference, notes)
  const tensorNames = compareTensors(base, reference, new Set(generated.map((t) => t.name)), forward, notes)
  if (base === opened) await compareTokenizers(base.dir, reference.dir, notes, options.tokenizer)
  return { base, reference, generated, tensorNames, notes }
}

/** A language model, or as its base a model without any head. */
function checkLanguage({ dir, architectureName, family }: ModelDirectory, base: boolean): void {
  const own = objectiveOf(architectureName)
  if (own === 'language' || (base && own === undefined && family?.classes.language)) return
  throw inputError(
    'LANGUAGE_MODEL_MISSING',
    `${dir}: ${architectureName} is no language model; expected ` +
      (family?.classes.language ?? 'the language model of another family'),
    { file: dir, found: architectureName, expected: family?.classes.language ?? null },
    'Give language models, or score the pair as classifiers.',
  )
}

function compareArchitectures(
  base: ModelDirectory,
  reference: ModelDirectory,
  forward: boolean,
  notes: string[],
): void {
  const a = base.architecture
  const b = reference.architecture
  const file = reference.dir
  if (a.kind !== b.kind || a.modelType !== b.modelType) {
    throw inputError(
      'PAIR_ARCHITECTURE',
      `the base is ${a.modelType || '?'} (${base.dir}), the reference ${b.modelType || '?'}; expected one architecture`,
      { file, found: b.modelType, expected: a.modelType },
      'Give the base model that the reference was fine-tuned from.',
    )
  }
  const check = (code: string, fields: (keyof Architecture)[]): void => {
    const wrong = fields.filter((f) => a[f] !== b[f])
    if (wrong.length === 0) return
    const text = wrong.map((f) => `${f} ${String(a[f])} and ${String(b[f])}`).join(', ')
    throw inputError(
      code,
      `base and reference differ: ${text}`,
      { file, field: wrong[0], found: b[wrong[0]!], expected: a[wrong[0]!] },
      code === 'PAIR_VOCABULARY'
        ? 'Embeddings of different vocabularies cannot be compared row by row; use the base with the same tokenizer.'
        : 'Give the base model that the reference was fine-tuned from.',
    )
  }
  check('PAIR_SIZES', ['hiddenSize', 'layers', 'heads', 'intermediateSize', 'typeVocabularySize'])
  if (base.blueprint && reference.blueprint) check('PAIR_SIZES', ['kvHeads', 'headSize'])
  if (base.family?.positionTable ?? forward) check('PAIR_SIZES', ['maxPositions'])
  else if (a.maxPositions !== b.maxPositions)
    notes.push(
      `longest text of the base ${a.maxPositions} tokens, of the reference ${b.maxPositions}; no weight depends on it`,
    )
  if (forward) check('PAIR_VOCABULARY', ['vocabularySize'])
  if (!base.blueprint || !reference.blueprint) {
    check('PAIR_CONFIG', ['layerNormEpsilon', 'activation'])
    return
  }
  const found = differenceOf(base.blueprint, reference.blueprint, base.hasHead && reference.hasHead)
  if (!found) return
  const [left, right] = found.values.map((value) => (value === undefined ? 'nothing' : JSON.stringify(value)))
  throw inputError(
    'PAIR_CONFIG',
    `base and reference compute differently: ${found.place}: ${found.field} ${left} and ${right}`,
    { file, field: found.field, found: found.values[1], expected: found.values[0] },
    'Give the base model that the reference was fine-tuned from.',
  )
}

function compareLabels(base: ModelDirectory, reference: ModelDirectory, notes: string[]): void {
  const a = base.architecture.labels
  const b = reference.architecture.labels
  if (a.length !== b.length) {
    throw inputError(
      'PAIR_LABELS',
      `the base has ${a.length} labels, the reference ${b.length}; expected heads of one size`,
      { file: base.dir, found: a, expected: b },
      'If the base was trained for another task, replace its head: --base-head zeros.',
    )
  }
  if (a.join('\n') !== b.join('\n'))
    notes.push(`${base.dir}: labels are named ${a.join(', ')}; those of the reference were used: ${b.join(', ')}`)
}

function compareTensors(
  base: ModelDirectory,
  reference: ModelDirectory,
  generated: Set<string>,
  forward: boolean,
  notes: string[],
): string[] {
  const a = base.tensors
  const b = reference.tensors
  const onlyBase = [...a.keys()].filter((name) => !b.has(name))
  const onlyReference = [...b.keys()].filter((name) => !a.has(name) && !generated.has(name))
  for (const [all, has, lacks] of [
    [onlyBase, base, reference],
    [onlyReference, reference, base],
  ] as const) {
    const modules = modulesOf(lacks.tensors.keys())
    // what is scored has been settled when the model was opened; a merge takes the rest from the reference
    const names = forward ? all : all.filter((name) => !isTaskOnly(name, modules))
    if (names.length > 0) {
      const { blueprint } = has
      const head = blueprint ? requiredTensors(classifierOf(blueprint, 1, 0)) : []
      const left = head.some(({ name, group }) => name === names[0] && group === 'head')
      const pooler = left ? ` (classes such as ${blueprint?.family.classes.base[1]} leave it out)` : ''
      throw inputError(
        'PAIR_TENSORS',
        `${listed(names)} of ${has.dir} missing in ${lacks.dir}${pooler}; expected the same tensors`,
        { file: lacks.dir, tensor: names[0], found: names.slice(0, 20) },
        'Give the base model that the reference was fine-tuned from.',
      )
    }
    if (all.length === 0) continue
    notes.push(`${listed(all)} only in ${has.dir}: ${has === base ? 'left out' : 'taken from there as they are'}`)
  }
  const common = [...b.keys()].filter((name) => a.has(name) || generated.has(name)).sort()
  const resized = common.filter((name) => !forward && !generated.has(name) && isOtherHead(a.get(name)!, b.get(name)!))
  if (resized.length > 0)
    notes.push(`${listed(resized)} of other shapes in ${base.dir}: taken from ${reference.dir} as they are`)
  const taking = common.filter((name) => !resized.includes(name))
  for (const name of taking) {
    if (generated.has(name)) continue
    compareShapes(a.get(name)!, b.get(name)!, base, reference)
  }
  return taking
}

/** Two heads under one name that were trained for other tasks. */
function isOtherHead(a: TensorEntry, b: TensorEntry): boolean {
  return isHead(a.name) && !sameShape(a, b)
}

const sameShape = (a: TensorEntry, b: TensorEntry): boolean =>
  a.shape.length === b.shape.length && a.shape.every((size, i) => size === b.shape[i])

function compareShapes(a: TensorEntry, b: TensorEntry, base: ModelDirectory, reference: ModelDirectory): void {
  if (sameShape(a, b)) return
  const table = a.name === base.inputEmbedding && a.shape[0] !== b.shape[0]
  throw inputError(
    table ? 'PAIR_VOCABULARY' : 'PAIR_TENSOR_SHAPE',
    `tensor ${a.name} is [${a.shape}] in the base and [${b.shape}] in the reference; expected one shape`,
    { file: reference.dir, tensor: a.name, found: b.shape, expected: a.shape },
    'Give the base model that the reference was fine-tuned from.',
  )
}

function generateHead(names: string[], reference: ModelDirectory, from: BaseHead): GeneratedTensor[] {
  const range = reference.config.initializer_range
  const deviation = typeof range === 'number' ? range : 0.02
  return names.map((name) => {
    const shape = [...reference.tensors.get(name)!.shape]
    return from === 'zeros' || shape.length === 1
      ? { name, dtype: 'F32', shape, fill: 'zeros' }
      : { name, dtype: 'F32', shape, fill: 'normal', seed: from.seed, deviation }
  })
}
