import type { JsonObject } from '../checkpoint/json.js'
import { inputError } from '../errors.js'
import { classesOf, type Family, type Objective } from './architecture.js'
import { bert } from './bert.js'
import { distilbert } from './distilbert.js'
import { electra } from './electra.js'
import { gemma, gemma2, gemma3 } from './gemma.js'
import { gpt2 } from './gpt2.js'
import { gptNeox } from './gpt-neox.js'
import { llama, mistral } from './llama.js'
import { modernbert } from './modernbert.js'
import { olmo2 } from './olmo2.js'
import { phi3 } from './phi3.js'
import { qwen2, qwen3 } from './qwen.js'
import { camembert, roberta, xlmRoberta } from './roberta.js'

/** Every architecture that can be computed. To add one: its file, its line here, its fixture. */
export const families: readonly Family[] = [
  bert,
  roberta,
  xlmRoberta,
  camembert,
  distilbert,
  electra,
  modernbert,
  gpt2,
  gptNeox,
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  gemma3,
  olmo2,
  phi3,
]

const byClass = new Map(families.flatMap((family) => classesOf(family).map((name) => [name, family] as const)))
const byType = new Map(families.map((family) => [family.name, family]))

/** The family of a class name, else of a `model_type`; undefined where none is known. */
export function familyOf(className: string, modelType: string): Family | undefined {
  return byClass.get(className) ?? byType.get(modelType)
}

/** The family whose class this is, among those whose `model_type` agrees. */
export const familyOfClass = (className: string): Family | undefined => byClass.get(className)

/** What a class is trained for; undefined for a base without a head that is computed. */
export function objectiveOf(className: string): Objective | undefined {
  const classes = byClass.get(className)?.classes
  return className === classes?.classify ? 'classify' : className === classes?.language ? 'language' : undefined
}

/** @returns the error for a class that cannot be computed: its name, what there is, what still works */
export function unsupportedArchitecture(className: string, file: string): Error {
  return inputError(
    'ARCHITECTURE_UNSUPPORTED',
    `${file}: architecture ${className} cannot be computed; expected a class of ` +
      families.map(({ name }) => name).join(', '),
    { file, found: className, expected: families.flatMap(classesOf) },
    '`warp trace`, `warp merge` and `warp inspect` work with any architecture.',
  )
}

/** Rows of the position table without a text: RoBERTa and kin count from behind the padding id, OPT, BART from two. */
export function firstPosition(modelType: string, config: JsonObject): number {
  if (/^(xlm-)?roberta|^camembert|^xmod|^longformer|^mpnet|^data2vec-text|^m?luke|^ibert|^esm$/.test(modelType))
    return (Number(config.pad_token_id) || 0) + 1
  return /^(opt|m?bart|plbart)$/.test(modelType) ? 2 : 0
}
