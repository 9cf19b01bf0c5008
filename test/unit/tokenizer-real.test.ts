import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { loadTokenizer, type TokenBatch } from '../../lib/text/tokenizer/index.js'
import { openReference } from '../../lib/text/tokenizer/reference.js'
import { Cursor } from '../../lib/text/tokenizer/cursor.js'
import { inputError } from '../../lib/errors.js'
import { whenPresent } from '../support/shared.js'

// Real and rebuilt tokenizer.json files × 3 000 real and 400 hard texts against Python:
// test/fixtures/tokenizers/make-real.py writes them, with the hashes of what Python gives, into a folder outside the
// repository.
const folder = process.env.WARP_TOKENIZERS ?? join(homedir(), '.cache', 'warp-tokenizers')
const file = join(folder, 'expected.json')

interface Expected {
  texts: string[]
  tokenizers: Record<string, { full: string; cut: string }>
}
const { texts, tokenizers } = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as Expected)
  : { texts: [], tokenizers: {} }

/** milliseconds that one tokenizer may take on a busy machine */
const patience = 300_000

const fnv = (numbers: Iterable<number>): number => {
  let hash = 2166136261
  for (const number of numbers) hash = Math.imul(hash ^ number, 16777619)
  return hash >>> 0
}

/** The texts whose encodings have other hashes. */
function wrong({ ids, typeIds, offsets }: TokenBatch, begin: number, hashes: string): string[] {
  return Array.from({ length: offsets.length - 1 }, (_, i) => i)
    .filter((i) => {
      const [from, to] = [offsets[i], offsets[i + 1]]
      const hash = fnv([...ids.subarray(from, to), ...typeIds.subarray(from, to)])
        .toString(16)
        .padStart(8, '0')
      return hash !== hashes.slice(8 * (begin + i), 8 * (begin + i + 1))
    })
    .map((i) => texts[begin + i])
}

const batch = 256
type Encode = (texts: string[], options: { maxLength?: number }) => Promise<TokenBatch> | TokenBatch

async function compare(encode: Encode, { full, cut }: Expected['tokenizers'][string]): Promise<void> {
  const different: string[] = []
  for (let begin = 0; begin < texts.length; begin += batch) {
    const some = texts.slice(begin, begin + batch)
    different.push(
      ...wrong(await encode(some, {}), begin, full),
      ...wrong(await encode(some, { maxLength: 16 }), begin, cut),
    )
  }
  expect(different).toEqual([])
}

whenPresent(file)('there are at least 25 tokenizers, 3 000 real and 400 hard texts', () => {
  expect(Object.keys(tokenizers).length).toBeGreaterThanOrEqual(25)
  expect(texts.length).toBe(3400)
})

for (const [name, expected] of Object.entries(tokenizers)) {
  whenPresent(file)(
    `${name}: ids, segments and truncation as in Python`,
    async () => {
      const tokenizer = await loadTokenizer(join(folder, name))
      await compare((some, options) => tokenizer.encodeBatch(some, options), expected)
      if (tokenizer.reader === 'tokenizers') return
      // what this package reads itself, the other reads as well
      const json = readFileSync(join(folder, name, 'tokenizer.json'), 'utf8')
      const other = await openReference(new Cursor(name, '', JSON.parse(json)), json, inputError('X', '', {}, ''))
      await compare((some, options) => other.encodeBatch(some, options), expected)
    },
    patience,
  )
}
