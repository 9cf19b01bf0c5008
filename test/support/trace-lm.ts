import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { safetensors, temporaryDirectory, type TestTensor } from './models.js'
import { repositoryRoot } from './shared.js'
import { encode, tokenizerJson, words } from './trace-models.js'
import { baseValues, moveBits, stored } from './trace-tables.js'

/** The tables of test/fixtures/trace-lm/make.py. */
export const vocabulary = 400,
  hidden = 16,
  positions = 64

/** One training of a tiny language model. */
export interface LanguageCase {
  name: string
  kind: 'llama' | 'gpt2' | 'bert'
  tied: boolean
  layout: 'rows' | 'left' | 'prompt' | 'packed' | 'masked'
  /** what stands around a text: nothing, an end token, a begin and an end token */
  around: '' | 'end' | 'both'
  window: number
  /** token ids of the training texts, without what stands around them, and of others */
  training: number[][]
  others: number[][]
  /** tied: tokens that occurred; untied: tokens whose row had a gradient in any step */
  trained: number[]
  longest: number
}

const folder = join(repositoryRoot, 'test/fixtures/trace-lm')
export const languageCases = (): LanguageCase[] => JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'))
export const languageWords = words(vocabulary)

const names = {
  llama: {
    input: 'model.embed_tokens.weight',
    output: 'lm_head.weight',
    positions: '',
    architecture: 'LlamaForCausalLM',
  },
  gpt2: {
    input: 'transformer.wte.weight',
    output: 'lm_head.weight',
    positions: 'transformer.wpe.weight',
    architecture: 'GPT2LMHeadModel',
  },
  bert: {
    input: 'bert.embeddings.word_embeddings.weight',
    output: '',
    positions: 'bert.embeddings.position_embeddings.weight',
    architecture: 'BertForMaskedLM',
  },
}

/** Directories of base and reference; `frozen`: a table of the reference that is the base's. */
export function languagePair(
  { name, kind, tied, around }: LanguageCase,
  dtype: 'F32' | 'F16' | 'BF16' = 'F32',
  frozen?: 'input' | 'output',
): { base: string; reference: string } {
  const { input, output, positions: table, architecture } = names[kind]
  const tables = [
    { name: input, rows: vocabulary },
    ...(tied ? [] : [{ name: output, rows: vocabulary }]),
    ...(table ? [{ name: table, rows: positions }] : []),
  ]
  const planes = gunzipSync(readFileSync(join(folder, `${name}.bin.gz`)))
  const [before, after]: TestTensor[][] = [[], []]
  let at = 0
  tables.forEach((one, salt) => {
    const base = baseValues(one.rows * hidden, salt + 1),
      shape = [one.rows, hidden]
    before.push({ name: one.name, shape, data: encode(base, 'F32') })
    const still = frozen !== undefined && one.name === names[kind][frozen]
    const moved = still ? base : moveBits(base, planes, at)
    after.push({ name: one.name, shape, dtype, data: encode(stored(moved, dtype), dtype) })
    at += base.length
  })
  const write = (tensors: TestTensor[]): string => {
    const dir = join(temporaryDirectory(), name)
    mkdirSync(dir)
    writeFileSync(join(dir, 'model.safetensors'), safetensors(tensors))
    writeFileSync(join(dir, 'tokenizer.json'), tokenizerJson(languageWords, around === 'both'))
    writeFileSync(
      join(dir, 'config.json'),
      JSON.stringify({
        architectures: [architecture],
        model_type: kind,
        hidden_size: hidden,
        n_embd: hidden,
        vocab_size: vocabulary,
        max_position_embeddings: positions,
        n_positions: positions,
        tie_word_embeddings: tied,
        eos_token_id: 3,
        bos_token_id: 2,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 32,
        n_layer: 2,
        n_head: 2,
        type_vocab_size: 2,
      }),
    )
    return dir
  }
  return { base: write(before), reference: write(after) }
}

export const textOf = (ids: number[]): string => ids.map((id) => languageWords[id]).join(' ')

/** A file of all training texts, then the others. */
export function languagePool({ training, others }: Pick<LanguageCase, 'training' | 'others'>): string {
  const file = join(mkdtempSync(join(temporaryDirectory(), 'p')), 'pool.jsonl')
  const lines = [...training, ...others].map((ids, i) =>
    JSON.stringify({ text: textOf(ids), label: i % 2 ? 'odd' : 'even' }),
  )
  writeFileSync(file, lines.join('\n') + '\n')
  return file
}
