// 256 texts of 48 tokens from SmolLM2-135M, sampled from the begin token, against transformers' generate at its best
// batch (peers/generate.py), both in float32 with the same threads: seconds, seconds of processors (which say more
// where others use the machine too), peak memory of both processes.
import path from 'node:path'
import { median, models, need, python, root, round, run } from '../common.mjs'

export default async function ({ rounds, texts = '256', tokens = '48', threads = '2', batches = '64,128,256' }) {
  const model = path.join(models, 'smollm2-135m')
  need(model, path.join(root, 'dist/bin/warp.js'))
  const job = [model, texts, tokens, threads]
  const sides = {
    warp: () => run(process.execPath, [path.join(root, 'benchmarks/workers/generate.mjs'), ...job]),
    // without its own folder in the path: tokenize.py there is not the standard library's
    transformers: () =>
      run(python, ['-P', path.join(root, 'benchmarks/peers/generate.py'), ...job, batches], {
        OMP_NUM_THREADS: threads,
        MKL_NUM_THREADS: threads,
      }),
  }
  const seen = { warp: [], transformers: [] }
  for (let i = 0; i < rounds; i++) {
    for (const [name, side] of Object.entries(sides)) {
      const [line] = side().stdout.trim().split('\n').slice(-1)
      seen[name].push(JSON.parse(line))
    }
  }
  const of = (name, key) => round(median(seen[name].map((one) => one[key])))
  return {
    texts: Number(texts),
    tokens: Number(tokens),
    threads: Number(threads),
    seconds: { warp: of('warp', 'seconds'), transformers: of('transformers', 'seconds') },
    cpuSeconds: { warp: of('warp', 'cpu'), transformers: of('transformers', 'cpu') },
    batches: seen.transformers.map(({ byBatch }) => byBatch),
    peakBytes: { warp: of('warp', 'bytes'), transformers: of('transformers', 'bytes') },
    ratios: {
      speed: round(median(seen.warp.map((one, i) => seen.transformers[i].seconds / one.seconds))),
      cpu: round(median(seen.warp.map((one, i) => seen.transformers[i].cpu / one.cpu))),
      memory: round(of('transformers', 'bytes') / of('warp', 'bytes')),
    },
  }
}
