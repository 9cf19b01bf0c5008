import type { FileHandle } from 'node:fs/promises'
import { inputError } from '../errors.js'
import type { Family } from '../models/architecture.js'
import type { ModelConfig } from './config.js'
import { readExactly, withFile } from './files.js'
import type { TensorEntry } from './model.js'

/** One table under two names: `name` is the output layer, `to` the input embedding it is the same as. */
export interface Tie {
  name: string
  to: string
}

const output = /(^|\.)(lm_head|head|embed_out|output|output_layer|decoder)\.weight$/
/** Whether a tensor's name is that of an output layer. */
export const isOutput = (name: string, family: Family | undefined): boolean =>
  output.test(name) || family?.output.includes(name) === true

const languageModel = /(LMHeadModel|DoubleHeadsModel|ForCausalLM|ForMaskedLM|ForPreTraining|ForConditionalGeneration)$/

/**
 * Settles whether the output layer of a language model is its input embedding table: by the files where both tables
 * are stored (bytes are compared), else by `tie_word_embeddings`.
 *
 * @returns the tie, or undefined where there is none
 * @throws WarpError TIED_FLAG_CONTRADICTS when the configuration says otherwise than the files
 */
export async function resolveTie(
  { config, file, family, architectureName }: ModelConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
  embedding: string,
  paths: readonly string[],
): Promise<Tie | undefined> {
  const table = tensors.get(embedding)
  if (!table || !languageModel.test(architectureName)) return undefined
  const flag = typeof config.tie_word_embeddings === 'boolean' ? config.tie_word_embeddings : family?.tied || undefined
  const usual = family?.output[0] ?? 'lm_head.weight'
  const stored = [...tensors.values()].find(
    (t) => t.name !== embedding && isOutput(t.name, family) && t.shape.join() === table.shape.join(),
  )
  const contradicts = (what: string, expected: boolean): Error =>
    inputError(
      'TIED_FLAG_CONTRADICTS',
      `${file}: tie_word_embeddings is ${flag}, but ${what}`,
      { file, tensor: stored?.name ?? usual, found: flag, expected },
      `Set "tie_word_embeddings": ${expected} in config.json if the weights are right.`,
    )
  if (!stored) {
    if (flag === false && family) throw contradicts('the files hold no output table', true)
    if (flag === false) return undefined // under a name that is not known here
    return { name: usual, to: embedding }
  }
  if (flag === false) return undefined
  if (await sameBytes(table, stored, paths)) return { name: stored.name, to: embedding }
  if (flag) throw contradicts(`${stored.name} differs from ${embedding}`, false)
  return undefined
}

/** Whether two stored tensors have the same type and bytes, read in pieces of 1 MiB up to the first difference. */
export async function sameBytes(a: TensorEntry, b: TensorEntry, paths: readonly string[]): Promise<boolean> {
  if (a.dtype !== b.dtype || a.length !== b.length) return false
  const pathA = paths[a.file]!
  const pathB = paths[b.file]!
  const read = (handle: FileHandle, path: string, t: TensorEntry, at: number): Promise<Buffer> =>
    readExactly(handle, path, t.offset + at, Math.min(1 << 20, t.length - at))
  return withFile(pathA, (fileA) =>
    withFile(pathB, async (fileB) => {
      for (let at = 0; at < a.length; at += 1 << 20) {
        if (!(await read(fileA, pathA, a, at)).equals(await read(fileB, pathB, b, at))) return false
      }
      return true
    }),
  )
}
