// SmolLM2-135M on AG News texts as a language model: forward passes with losses and training steps (batches of 16)
// against PyTorch (peers/language.py), scores by tangent against its forward derivatives of each text, and our own
// derivatives in multiples of our forward pass: scores and gradients of domains, both through all layers. What a point
// of the path costs is the difference of three points and one.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { inFolder, median, models, need, python, root, round, run, shared } from '../common.mjs'

async function readTexts(file, count) {
  const { readRecords } = createRequire(import.meta.url)(path.join(root, 'dist/lib/index.js'))
  const texts = []
  for await (const { text } of readRecords([file], {
    columns: ['label', 'title', 'description'],
    text: ['description'],
  }))
    texts.push(text)
  return Array.from({ length: count }, (_, i) => texts[Math.floor((i * texts.length) / count)])
}

export default async function ({ rounds, texts = '48', threads = '2', batches = '1,4,12' }) {
  const [model, data] = [path.join(models, 'smollm2-135m'), path.join(shared, 'data/ag_news_test.csv')]
  need(model, data, path.join(root, 'dist/bin/warp.js'))
  const rows = await readTexts(data, Number(texts))
  return inFolder((folder) => {
    const file = path.join(folder, 'texts.jsonl')
    fs.writeFileSync(file, rows.map((text) => `${JSON.stringify({ text, domain: 'news' })}\n`).join(''))
    const worker = (name) => path.join(root, 'benchmarks/workers', `${name}.mjs`)
    const own = (name, ...args) =>
      JSON.parse(run(process.execPath, [worker(name), model, file, threads, ...args]).stdout)
    const peer = [path.join(root, 'benchmarks/peers/language.py'), model, file, threads, batches]
    const turns = Array.from({ length: rounds }, () => ({
      passes: own('language'),
      training: own('train', path.join(folder, 'out'), 'language', '16'),
      torch: JSON.parse(run(python, ['-P', ...peer], { OMP_NUM_THREADS: threads, MKL_NUM_THREADS: threads }).stdout),
    }))
    const of = (what) => round(median(turns.map(what)))
    const step = ({ training }) => median(training.steps.slice(1))
    return {
      texts: Number(texts),
      threads,
      tokens: turns[0].passes.tokens,
      seconds: {
        forward: { warp: of(({ passes }) => passes.forward), torch: of(({ torch }) => torch.forward) },
        step: { warp: of(step), torch: of(({ torch }) => torch.step) },
        scores: { warp: of(({ passes }) => passes.scores), torch: of(({ torch }) => torch.scores) },
        gradients: of(({ passes }) => passes.gradients),
      },
      trainingBytes: { warp: of(({ training }) => training.bytes), torch: of(({ torch }) => torch.bytes) },
      ratios: {
        forward: of(({ passes, torch }) => torch.forward / passes.forward),
        step: of((turn) => turn.torch.step / step(turn)),
        scores: of(({ passes, torch }) => torch.scores / passes.scores),
        scoresInPasses: of(({ passes }) => passes.scores / passes.forward),
        gradientsInPasses: of(({ passes }) => passes.gradients / passes.forward),
      },
    }
  })
}
