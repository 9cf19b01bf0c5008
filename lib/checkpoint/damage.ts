import { inputError } from '../errors.js'
import type { JsonObject } from './json.js'
import { listed, type StoredModel, type TensorEntry } from './model.js'

/**
 * Refuses what was saved half-way: an adapter that was not merged, placeholders of a model whose parts lie elsewhere.
 * @throws WarpError (input) ADAPTER_NOT_MERGED, WEIGHTS_PLACEHOLDERS, WEIGHTS_FLAT
 */
export function refuseDamaged({ dir, all }: StoredModel): void {
  const names = (test: (t: TensorEntry) => boolean): string[] =>
    [...all.values()].filter(test).map(({ storedName }) => storedName)
  const adapted = names(({ name }) => /(^|\.)(lora_|base_layer\.|modules_to_save\.)/.test(name))
  if (adapted.length > 0) {
    throw inputError(
      'ADAPTER_NOT_MERGED',
      `${dir}: ${listed(adapted)} of an adapter stand beside the base's weights, which have not changed`,
      { file: dir, tensor: adapted[0], found: adapted.slice(0, 20) },
      'Merge with peft (merge_and_unload) before save_pretrained, or give the folder of the adapter itself.',
    )
  }
  const flat = names(({ name }) => /(^|\.)_?flat_param/.test(name))
  if (flat.length > 0) {
    throw inputError(
      'WEIGHTS_FLAT',
      `${dir}: ${listed(flat)} hold many weights in one, as FSDP keeps them while it trains`,
      { file: dir, tensor: flat[0] },
      'Save with a full state dict (FullStateDictConfig), or run `accelerate merge-weights`.',
    )
  }
  const empty = names(({ shape, dtype }) => shape.length === 1 && shape[0] === 0 && /^B?F\d/.test(dtype))
  if (empty.length > 0) {
    throw inputError(
      'WEIGHTS_PLACEHOLDERS',
      `${dir}: ${listed(empty)} have no elements: placeholders that DeepSpeed ZeRO-3 leaves where it does not gather`,
      { file: dir, tensor: empty[0], found: empty.slice(0, 20) },
      'Run zero_to_fp32.py of the checkpoint, or train with stage3_gather_16bit_weights_on_model_save.',
    )
  }
}

/** @returns the error for a folder of training state without weights of a model; undefined where there is none */
export function trainingState(dir: string, names: readonly string[]): Error | undefined {
  const found = names.find((name) => /^(__\d+_\d+\.distcp|\.metadata|pytorch_model_fsdp(_\d+)?(\.bin)?)$/.test(name))
  if (found) {
    return inputError(
      'WEIGHTS_FSDP',
      `${dir}: sharded training state of FSDP (${found}), no model`,
      { file: dir, found },
      'Run `accelerate merge-weights` on it, or save with a full state dict.',
    )
  }
  const zero = names.find((name) => /^(zero_to_fp32\.py|global_step\d+|zero_pp_rank_.*\.pt)$/.test(name))
  if (!zero) return undefined
  return inputError(
    'WEIGHTS_DEEPSPEED',
    `${dir}: training state of DeepSpeed (${zero}), no model`,
    { file: dir, found: zero },
    'Run zero_to_fp32.py, which lies beside it, with --safe_serialization.',
  )
}

/** What bitsandbytes, GPTQ, AWQ, compressed-tensors and others keep beside or instead of a weight. */
const beside = new RegExp(
  `^(.+)\\.(?:${[
    'weight_(?:scale|scale_inv|zero_point|packed|shape|g_idx|format)|SCB|qweight|qzeros|g_idx|W_q',
    'weight\\.(?:absmax|(?:nested_)?quant_\\w+.*|_\\w+)',
  ].join('|')})$`,
)
const eight = /^F8_(E4M3|E5M2)$/

/**
 * Tensors that are codes of a quantisation, or belong to one. Eight-bit floats are weights as long as nothing scales
 * them; whole numbers are codes where the configuration speaks of a quantisation.
 */
export function quantisedTensors(all: ReadonlyMap<string, TensorEntry>, method: string | undefined): Set<string> {
  const found = new Set<string>()
  for (const { name, dtype, shape } of all.values()) {
    const module = beside.exec(name)?.[1]
    if (module !== undefined) {
      found.add(name)
      if (all.has(`${module}.weight`)) found.add(`${module}.weight`)
    }
    const codes = method !== undefined && shape.length >= 2 && (eight.test(dtype) || /^[IU](8|32)$/.test(dtype))
    if (codes || (dtype === 'U8' && /_(blocks|scales)$/.test(name))) found.add(name)
    if (!eight.test(dtype) && /^F(8_|6_|4$)/.test(dtype)) found.add(name)
  }
  return found
}

/** The name of a quantisation in a configuration. */
export function quantisation(config: JsonObject): string | undefined {
  const found = config.quantization_config ?? config.compression_config
  if (found === undefined || found === null) return undefined
  if (typeof found !== 'object' || Array.isArray(found)) return String(found)
  return String(found.quant_method ?? found.format ?? 'unknown')
}

export function quantisedError(dir: string, tensor: string, method: string | undefined): Error {
  return inputError(
    'QUANTISED',
    `${dir}: the checkpoint is quantised (${method ? `${method}, ` : ''}tensor ${tensor}); expected F64, F32, F16 or ` +
      'BF16 weights',
    { file: dir, tensor, found: method ?? null, expected: ['F64', 'F32', 'F16', 'BF16'] },
    'Use the unquantised model it was made from.',
  )
}
