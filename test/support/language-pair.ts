import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTensors, safetensors, temporaryDirectory } from './models.js'
import { networkFixture } from './networks.js'
import { bytePairOf } from './tokenizer-json.js'

/** Byte-level BPE of the 53 ids of the networks' fixtures; é is two tokens. */
export function languageTokenizer(): Record<string, unknown> {
  const special = ['<unk>', '<pad>', '<begin>', '<end>']
  const merges = ['a n', 'i n', 'o n', 's t', 'Ġ t', 'Ġt h', 'Ġth e', 'Ġ a', 'an d', 'e r', 'r e']
  const tokens = [...special, 'Ġ', ...'abcdefghijklmnopqrstuvwxyz', 'Ã', '©', ...merges.map((m) => m.replace(' ', ''))]
  const rest = ['I', 'N', 'S', 'T', '[', ']', 'Ċ', '.', '0'].slice(0, 53 - tokens.length)
  const decoder = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true }
  return bytePairOf([...tokens, ...rest], merges, { special, decoder })
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
