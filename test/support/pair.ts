import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fixtureModel, temporaryDirectory } from './models.js'
import { bytePairOf, wordPieceOf } from './tokenizer-json.js'

/** A complete tiny pair: the committed random-weight fixtures with a tokenizer of their 120 ids, and probes. */
export interface TestPair {
  folder: string
  base: string
  reference: string
  /** JSON Lines, `perDomain` texts of each label */
  probes: string
}

/** The fixtures' labels. */
export const pairLabels = ['animals', 'plants', 'stones']

const words: Record<string, string[]> = {
  animals: ['bird', 'cat', 'cow', 'dog', 'fish', 'fox', 'goat', 'hen', 'horse', 'mouse', 'owl', 'wolf'],
  plants: ['ash', 'bean', 'elm', 'fern', 'herb', 'ivy', 'leaf', 'moss', 'oak', 'pine', 'rose', 'tree'],
  stones: ['agate', 'basalt', 'chalk', 'clay', 'flint', 'gneiss', 'jade', 'marble', 'onyx', 'opal', 'quartz', 'slate'],
}
const others = ['a', 'and', 'big', 'by', 'in', 'is', 'of', 'old', 'on', 'red', 'small', 'the', 'under', 'with']
const letters = [...'abcdefghijklmnopqrstuvwxyz']

/** WordPiece over the words of `pairText`, and letters. */
export function wordPieceTokenizer(): Record<string, unknown> {
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
  const tokens = [...new Set([...special, ...Object.values(words).flat(), ...others, ...letters])]
  return wordPieceOf(tokens, { special, decoder: null })
}

/** Byte-level BPE of letters, spaces and some pairs of them. */
export function bytePairTokenizer(): Record<string, unknown> {
  const special = ['<pad>', '<end>']
  const merges = ['a n', 'i n', 'o n', 's t', 'o l', 'r e', 'Ġ a', 'Ġ o', 'Ġ s', 't h', 'Ġ th', 'Ġth e', 'an d', 'e r']
  const tokens = [...special, 'Ġ', ...letters, ...merges.map((pair) => pair.replace(' ', ''))]
  return bytePairOf(tokens, merges, { special })
}

/** The text `index` of a label: 4 to 12 words, every third of them the label's own. */
export function pairText(label: string, index: number): string {
  let state = (index + 1) * 2654435761 + pairLabels.indexOf(label) * 40503
  const draw = (list: string[]) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return list[Math.floor((state / 2 ** 32) * list.length)]
  }
  return Array.from({ length: 4 + (index % 9) }, (_, i) => draw(i % 3 === 2 ? words[label] : others)).join(' ')
}

/** Lines `{"text", "label"}`, labels taking turns. */
export function pairProbes(perDomain: number): string {
  return Array.from({ length: perDomain }, (_, i) =>
    pairLabels.map((label) => `${JSON.stringify({ text: pairText(label, i), label })}\n`).join(''),
  ).join('')
}

/** Writes the pair into a temporary directory. */
export function makePair(kind: 'bert' | 'gpt2' = 'bert', { perDomain = 32 }: { perDomain?: number } = {}): TestPair {
  const folder = temporaryDirectory()
  const pair = {
    folder,
    base: join(folder, 'base'),
    reference: join(folder, 'reference'),
    probes: join(folder, 'probes.jsonl'),
  }
  const tokenizer = JSON.stringify(kind === 'bert' ? wordPieceTokenizer() : bytePairTokenizer())
  for (const role of ['base', 'reference'] as const) {
    mkdirSync(pair[role])
    for (const name of ['config.json', 'model.safetensors'])
      copyFileSync(join(fixtureModel(`${kind}/${role}`), name), join(pair[role], name))
    writeFileSync(join(pair[role], 'tokenizer.json'), tokenizer)
  }
  writeFileSync(pair.probes, pairProbes(perDomain))
  return pair
}
