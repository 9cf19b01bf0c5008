import { familyOf } from './families.js'

const causal =
  /^(gpt|llama|mistral|mixtral|qwen|gemma|phi|opt$|bloom|falcon|mpt$|smollm|stablelm|olmo|cohere|starcoder|codegen)/

/** Whether models of a `model_type` predict the next token where nothing else is said: a decoder without a head. */
export function predictsNext(modelType: string): boolean {
  return familyOf('', modelType)?.classes.language !== undefined || causal.test(modelType)
}

/** Whether models of a `model_type` learn language by filling in what was hidden. */
export const fillsIn = (modelType: string): boolean => /bert|electra|mpnet/.test(modelType)
