// Footprint of AG News probes on MiniLM-L6 and its expert, K points of the linear path, against PyTorch doing the
// same: its best (`fast`) on the same probes, the authors' recipe on fewer, scaled to as many.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { median, models, need, python, root, round, run, shared, warp } from '../common.mjs'
import { peer } from './products.mjs'

// Of the libraries' products: that of the model's largest matrices, for a tile of texts.
const shape = { rows: 288, outputs: 1536, inputs: 384 }
const libraries = { mkl: 'torch', openBlas: 'numpy', oneDnn: 'onednn' }

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
    const { stdout, seconds } = warp(args)
    return { ...JSON.parse(stdout), seconds }
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

  const seen = { one: [], two: [], fast: [], recipe: [], rate1: [], rate2: [], share1: [], share2: [], beside: [] }
  const others = Object.fromEntries([1, 2].map((threads) => [threads, { mkl: [], openBlas: [], oneDnn: [] }]))
  let last
  for (let i = 0; i < rounds; i++) {
    for (const threads of [1, 2]) {
      const before = rate(threads)
      const result = ours(String(threads))
      const roof = (before + rate(threads)) / 2
      seen[`rate${threads}`].push(roof)
      seen[`share${threads}`].push(result.flops / result.timings.score / roof)
      seen[threads === 1 ? 'one' : 'two'].push(result.timings.score)
      if (threads === 2) seen.beside.push(result.seconds / result.timings.score - 1)
      await measureLibraries(isaOf(result), threads, others[threads])
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
    processor: os.cpus()[0].model,
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
      besideScoring: round(median(seen.beside)),
    },
    product: {
      gflopsOneThread: round(median(seen.rate1) / 1e9),
      gflopsTwoThreads: round(median(seen.rate2) / 1e9),
      shareReachedOneThread: round(median(seen.share1)),
      shareReachedTwoThreads: round(median(seen.share2)),
      librariesOneThread: medians(others[1]),
      librariesTwoThreads: medians(others[2]),
    },
    memory: { peakBytes: last.peakMemoryBytes, plannedBytes: last.plannedMemoryBytes },
  }
}

const isaOf = ({ tool }) => tool.device.match(/avx512|avx2/)?.[0] ?? 'portable'
const medians = (rates) => Object.fromEntries(Object.entries(rates).map(([name, all]) => [name, round(median(all))]))

// GFLOP/s of each library, behind those that `rates` holds.
async function measureLibraries(isa, threads, rates) {
  const { rows, outputs, inputs } = shape
  const side = peer(isa, String(threads))
  for (const [name, library] of Object.entries(libraries)) {
    const seconds = Number(await side.ask(`linear ${library} ${rows} ${outputs} ${inputs} 0.2`))
    rates[name].push((2 * rows * outputs * inputs) / seconds / 1e9)
  }
  side.end()
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
