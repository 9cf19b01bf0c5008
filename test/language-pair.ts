import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTensors, safetensors, temporaryDirectory } from './models.js'
import { networkFixture } from './networks.js'

/** Byte-level BPE of the 53 ids of the networks' fixtures; é is two tokens. */
export function languageTokenizer(): Record<string, unknown> {
  const special = ['<unk>', '<pad>', '<begin>', '<end>']
  const merges = ['a n', 'i n', 'o n', 's t', 'Ġ t', 'Ġt h', 'Ġth e', 'Ġ a', 'an d', 'e r', 'r e']
  const tokens = [...special, 'Ġ', ...'abcdefghijklmnopqrstuvwxyz', 'Ã', '©', ...merges.map((m) => m.replace(' ', ''))]
  const rest = ['I', 'N', 'S', 'T', '[', ']', 'Ċ', '.', '0'].slice(0, 53 - tokens.length)
  const vocab = Object.fromEntries([...tokens, ...rest].map((token, id) => [token, id]))
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges,
    },
  }
}

/**
 * A language model of test/fixtures/networks with a tokenizer, and a reference: the same with .05 sin(i + 1) added to
 * element i of each tensor, as in test/fixtures/generate/make.py.
 */
export function makeLanguagePair(name = 'llama-language', folder = temporaryDirectory()) {
  const base = join(folder, `${name}-base`)
  const reference = join(folder, `${name}-reference`)
  for (const dir of [base, reference]) {
    mkdirSync(dir)
    for (const file of ['config.json', 'model.safetensors']) cpSync(networkFixture(name, file), join(dir, file))
    writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(languageTokenizer()))
    writeFileSync(
      join(dir, 'tokenizer_config.json'),
      JSON.stringify({ bos_token: '<begin>', eos_token: { content: '<end>' } }),
    )
  }
  const moved = [...readTensors(join(base, 'model.safetensors'))].map(([tensor, { shape, data }]) => {
    const values = Float32Array.from(data, (value, i) => value + Math.fround(0.05 * Math.sin(i + 1)))
    return { name: tensor, shape, dtype: 'F32', data: new Uint8Array(values.buffer) }
  })
  writeFileSync(join(reference, 'model.safetensors'), safetensors(moved))
  return { folder, base, reference }
}
