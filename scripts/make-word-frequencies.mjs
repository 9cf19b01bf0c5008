// Makes assets/words/english.txt.gz from wikipedia-vital.jsonl (../shared/corpora/fetch): how often each word stands in
// English summaries of Wikipedia articles. Development only.
//   node scripts/make-word-frequencies.mjs wikipedia-vital.jsonl
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'

const require = createRequire(import.meta.url)
const { WordCounts } = require('../dist/lib/diff/neutral.js')
const counts = new WordCounts()
for (const line of readFileSync(process.argv[2], 'utf8').split('\n')) if (line) counts.add(JSON.parse(line).text)
const kept = [...counts.words].filter(([, count]) => count > 1)
kept.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
const lines = [
  `${counts.texts} texts, ${counts.words.size - kept.length} words once`,
  ...kept.map(([word, count]) => `${word} ${count}`),
]
writeFileSync('assets/words/english.txt.gz', gzipSync(`${lines.join('\n')}\n`, { level: 9 }))
process.stdout.write(`${kept.length} of ${counts.words.size} words of ${counts.texts} texts\n`)
