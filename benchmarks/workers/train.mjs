// One side, one round of the cases train and language: node train.mjs BASE TEXTS_JSONL THREADS FOLDER [OBJECTIVE BATCH]
// → {steps: seconds of each, bytes: the largest resident set}. One epoch of batches of 32, AdamW, dropout at the rates
// of the configuration.
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'

const { train } = createRequire(import.meta.url)('../../dist/lib/train/index.js')
const [base, data, threads, folder, objective = 'classify', batch = '32'] = process.argv.slice(2)
const steps = []
let last
const onProgress = ({ phase, done, unit }) => {
  if (phase !== 'train') return
  const now = performance.now()
  if (unit === 'steps' && last !== undefined) steps.push((now - last) / 1000)
  if (unit === 'steps' || (done === 0 && last === undefined)) last = now
}
const { output } = await train({
  base,
  data: [data],
  output: folder,
  objective,
  epochs: 1,
  batch: Number(batch),
  learningRate: 1e-4,
  threads: Number(threads),
  force: true,
  onProgress,
})
rmSync(output, { recursive: true })
console.log(JSON.stringify({ steps, bytes: 1024 * process.resourceUsage().maxRSS }))
