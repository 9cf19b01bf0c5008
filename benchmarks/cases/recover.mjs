// Footprint of AG News probes on MiniLM-L6 and its expert, K points of the linear path, against PyTorch doing the
// same: its best (`fast`) on the same probes, the authors' recipe on fewer, scaled to as many.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { median, models, need, python, root, round, run, shared, warp } from '../common.mjs'

export default async function ({
  rounds,
  'per-domain': perDomain = '25',
  points = '15',
  'recipe-probes': recipeProbes = '4',
}) {
  const peer = path.join(shared, 'peers/warp_torch.py')
  const [base, expert, data] = [
    path.join(models, 'minilm-l6'),
    path.join(models, 'expert-ag'),
    path.join(shared, 'data/ag_news_test.csv'),
  ]
  need(peer, base, expert, data, path.join(root, 'dist/bin/warp.js'))
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  const probes = path.join(folder, 'probes.jsonl')
  const rows = texts(data, Number(perDomain))
  fs.writeFileSync(probes, rows.map((row) => JSON.stringify(row) + '\n').join(''))

  const ours = (threads) => {
    const args = [
      'recover',
      '--base',
      base,
      '--base-head',
      'zeros',
      '--reference',
      expert,
      '--probes',
      probes,
      '--points',
      points,
      '--threads',
      threads,
      '--json',
      '-q',
    ]
    return JSON.parse(warp(args).stdout)
  }
  const torch = (mode, limit) => {
    const args = [
      peer,
      '--base',
      base,
      '--base-head',
      'zeros',
      '--reference',
      expert,
      '--probes',
      probes,
      '--out',
      path.join(folder, 'm.npy'),
      '--points',
      points,
      '--mode',
      mode,
      '--limit',
      String(limit),
      '--device',
      'cpu',
    ]
    const { stderr } = run(python, args, { OMP_NUM_THREADS: '2', MKL_NUM_THREADS: '2' })
    const { merge_s: merge, score_s: score } = JSON.parse(stderr.trim().split('\n').at(-1))
    return merge + score
  }
  const rate = (threads) =>
    JSON.parse(
      run(process.execPath, [
        '-e',
        `console.log(require(${JSON.stringify(path.join(root, 'dist/lib/native/load.js'))}` +
          `).addon().measureProduct(288, 768, 768, 40, ${threads}))`,
      ]).stdout,
    )

  const seen = { one: [], two: [], fast: [], recipe: [], rate1: [], rate2: [], share1: [], share2: [] }
  let last
  for (let i = 0; i < rounds; i++) {
    for (const threads of [1, 2]) {
      const before = rate(threads)
      const result = ours(String(threads))
      const roof = (before + rate(threads)) / 2
      seen[`rate${threads}`].push(roof)
      seen[`share${threads}`].push(result.flops / result.timings.score / roof)
      seen[threads === 1 ? 'one' : 'two'].push(result.timings.score)
      last = result
    }
    seen.fast.push(torch('fast', 0))
    if (Number(recipeProbes) > 0) seen.recipe.push((torch('recipe', recipeProbes) * rows.length) / Number(recipeProbes))
  }
  fs.rmSync(folder, { recursive: true })
  const ratio = (a, b) => (a.length ? round(median(a.map((value, i) => value / b[i]))) : null)
  return {
    probes: rows.length,
    points: Number(points),
    teraFlop: round(last.flops / 1e12),
    device: last.tool.device,
    seconds: {
      oneThread: round(median(seen.one)),
      twoThreads: round(median(seen.two)),
      torchFast: round(median(seen.fast)),
      torchRecipeScaled: seen.recipe.length ? round(median(seen.recipe)) : null,
    },
    ratios: {
      torchFast: ratio(seen.fast, seen.two),
      torchRecipe: ratio(seen.recipe, seen.two),
      oneToTwoThreads: ratio(seen.one, seen.two),
    },
    product: {
      gflopsOneThread: round(median(seen.rate1) / 1e9),
      gflopsTwoThreads: round(median(seen.rate2) / 1e9),
      shareReachedOneThread: round(median(seen.share1)),
      shareReachedTwoThreads: round(median(seen.share2)),
    },
    memory: { peakBytes: last.peakMemoryBytes, plannedBytes: last.plannedMemoryBytes },
  }
}

// The first texts of each class, label 0 … 3; one row a line in this file.
function texts(file, perDomain) {
  const left = [perDomain, perDomain, perDomain, perDomain]
  const unquote = (field) => field.slice(1, -1).replaceAll('""', '"')
  return fs
    .readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .flatMap((line) => {
      const [label, title, description] = line.match(/"(?:[^"]|"")*"/g).map(unquote)
      return left[Number(label) - 1]-- > 0 ? [{ text: `${title} ${description}`, label: Number(label) - 1 }] : []
    })
}
