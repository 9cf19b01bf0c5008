// The pass of the trace over texts against the tokenizer alone, warm, of the same records in memory, with and without a
// callback; from the file; the longest stall of the event loop. --ag=DIR and --clinc=DIR: experts whose embeddings were
// trained on these data (results/trace.md says how), fine-tuned from MiniLM-L6.
import path from 'node:path'
import { models, need, root, run, shared } from '../common.mjs'

const sets = {
  ag: ['ag_news_test.csv', { columns: ['label', 'title', 'description'], text: ['title', 'description'] }],
  clinc: ['clinc_domains.jsonl', {}],
}

export default async function ({ rounds, ...given }) {
  const base = path.join(models, 'minilm-l6'),
    chosen = Object.keys(sets).filter((name) => given[name])
  if (!chosen.length) throw new Error('give --ag=DIR, --clinc=DIR or both')
  return Object.fromEntries(
    chosen.map((name) => {
      const [file, options] = sets[name],
        data = path.join(shared, 'data', file)
      need(base, data, given[name], path.join(root, 'dist/lib/index.js'))
      const worker = path.join(root, 'benchmarks/workers/texts.mjs')
      return [
        name,
        JSON.parse(
          run(process.execPath, [worker, base, given[name], data, JSON.stringify(options), String(rounds)]).stdout,
        ),
      ]
    }),
  )
}
