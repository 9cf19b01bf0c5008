// What tests of training share: a small model directory with a tokenizer, texts whose class is written in them.
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fixtureModel, temporaryDirectory } from './models.js'
import { wordPieceOf } from './tokenizer-json.js'

const words = Array.from({ length: 116 }, (_, i) => `w${i}`)

const tokenizer = wordPieceOf(['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...words])

/** The random-weight fixture with a tokenizer of words w0 … w115. */
export function trainableModel(kind: 'bert' | 'gpt2' = 'bert'): string {
  const dir = temporaryDirectory()
  cpSync(fixtureModel(join(kind, 'base')), dir, { recursive: true })
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer))
  return dir
}

/** Texts of domain d draw half of their words from w(20d) … w(20d + 19); `each` of every domain, no two the same. */
export function domainTexts(domains: string[], each: number): { text: string; label: string }[] {
  let state = 1
  const below = (n: number): number => (state = (state * 48271) % 2147483647) % n
  return domains.flatMap((label, d) =>
    Array.from({ length: each }, (_, i) => ({
      text: [
        `w${100 + (i % 16)}`,
        ...Array.from({ length: 4 + below(8) }, () => words[below(2) ? 20 * d + below(20) : below(116)]),
      ].join(' '),
      label,
    })),
  )
}

/** The same as a JSONL file. */
export function domainFile(domains: string[], each: number): string {
  const file = join(temporaryDirectory(), 'texts.jsonl')
  writeFileSync(
    file,
    domainTexts(domains, each)
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  )
  return file
}
