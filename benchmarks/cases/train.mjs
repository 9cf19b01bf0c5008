// Steps of training on AG News texts with MiniLM-L6, batches of 32, against PyTorch doing the same (peers/train.py),
// with 1 and 2 threads: seconds of a step, peak memory of both processes. Once on the texts as they are (30 to 100
// tokens), once on mixed lengths (a third of them titles alone, a third three texts in one), where padding costs more.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { median, models, need, python, root, round, run, shared } from '../common.mjs'

const warmUp = 1 // step of each run that does not count

async function readTexts(file, count) {
  const { readRecords } = createRequire(import.meta.url)(path.join(root, 'dist/lib/index.js'))
  const rows = []
  for await (const { text, label } of readRecords([file], {
    columns: ['label', 'title', 'description'],
    text: ['title', 'description'],
  }))
    rows.push({ text, label })
  return Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)])
}

const mixed = (rows) =>
  rows.map(({ text, label }, i) => ({
    text:
      i % 3 === 0
        ? text
        : i % 3 === 1
          ? text.split(' ').slice(0, 8).join(' ')
          : [0, 1, 2].map((k) => rows[(i + k) % rows.length].text).join(' '),
    label,
  }))

export default async function ({ rounds, texts = '160', threads = '1,2', sets = 'plain,mixed' }) {
  const [base, data] = [path.join(models, 'minilm-l6'), path.join(shared, 'data/ag_news_test.csv')]
  need(base, data, path.join(root, 'dist/bin/warp.js'))
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  const plain = await readTexts(data, Number(texts))
  const compare = (rows, count) => {
    const file = path.join(folder, 'texts.jsonl')
    fs.writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const sides = {
      warp: () =>
        run(process.execPath, [
          path.join(root, 'benchmarks/workers/train.mjs'),
          base,
          file,
          count,
          path.join(folder, 'out'),
        ]),
      // without its own folder in the path: tokenize.py there is not the standard library's
      torch: () =>
        run(python, ['-P', path.join(root, 'benchmarks/peers/train.py'), base, file, count], {
          OMP_NUM_THREADS: count,
          MKL_NUM_THREADS: count,
        }),
    }
    const seen = { warp: [], torch: [] }
    for (let i = 0; i < rounds; i++) {
      for (const [name, side] of Object.entries(sides)) {
        const { steps, bytes } = JSON.parse(side().stdout)
        const counted = steps.slice(warmUp)
        seen[name].push({ perStep: counted.reduce((sum, one) => sum + one, 0) / counted.length, bytes })
      }
    }
    const of = (name, key) => round(median(seen[name].map((one) => one[key])))
    return {
      secondsPerStep: { warp: of('warp', 'perStep'), torch: of('torch', 'perStep') },
      peakBytes: { warp: of('warp', 'bytes'), torch: of('torch', 'bytes') },
      ratios: {
        speed: round(median(seen.warp.map((one, i) => seen.torch[i].perStep / one.perStep))),
        memory: round(of('torch', 'bytes') / of('warp', 'bytes')),
      },
    }
  }
  const figures = {}
  for (const set of sets.split(',')) {
    for (const count of threads.split(','))
      figures[`${set}, ${count} threads`] = compare(set === 'plain' ? plain : mixed(plain), count)
  }
  fs.rmSync(folder, { recursive: true })
  return { texts: Number(texts), steps: Math.ceil(Number(texts) / 32) - warmUp, ...figures }
}
