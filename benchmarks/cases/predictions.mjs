// The pass of `warp diff`'s predictions and lens over neutral texts with SmolLM2-135M, both models together, against
// one forward pass with losses of the same texts (half of what scoring both ends takes), in turn in one process:
// seconds, and seconds of processors, which say more where others use the machine too.
import path from 'node:path'
import { median, models, need, root, round, run } from '../common.mjs'

export default async function ({ rounds, texts = '60', threads = '2' }) {
  const model = path.join(models, 'smollm2-135m')
  need(model, path.join(root, 'dist/bin/warp.js'))
  const worker = path.join(root, 'benchmarks/workers/predictions.mjs')
  const { turns, tokens, peakBytes } = JSON.parse(run(process.execPath, [worker, model, texts, threads, rounds]).stdout)
  const seconds = (name) => round(median(turns.map((turn) => turn[name])))
  return {
    texts: Number(texts),
    tokens,
    threads: Number(threads),
    seconds: { compare: seconds('compare'), pass: seconds('pass') },
    peakBytes,
    ratios: {
      passes: round(median(turns.map(({ compare, pass }) => compare / pass))),
      cpu: round(median(turns.map(({ cpu }) => cpu.compare / cpu.pass))),
    },
  }
}
