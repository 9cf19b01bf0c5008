// The lab on CLINC with MiniLM-L6, in three parts (--part=scale, footprints or fit; default all): eight trials with two
// workers against one; the footprints' share of a trial of nine epochs; cross-validation of 40 trials of 10 domains.
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { inFolder, median, models, need, root, round, shared, warp } from '../common.mjs'

const lab = createRequire(import.meta.url)(path.join(root, 'dist/lib/lab/index.js'))

export default async function ({ rounds, part }) {
  const parts = { scale, footprints, fit }
  const chosen = part ? [part] : Object.keys(parts)
  const figures = {}
  for (const name of chosen) figures[name] = await parts[name](rounds)
  return figures
}

function plan(folder, ...options) {
  const [base, data] = [path.join(models, 'minilm-l6'), path.join(shared, 'data/clinc_domains.jsonl')]
  need(base, data)
  warp(['lab', 'plan', '--base', base, '--data', data, '--learning-rate', '1e-4', '-o', folder, '-q', ...options])
  return folder
}

/** Seconds of eight trials of 256 texts, one thread each. */
function scale(rounds) {
  const seconds = { 1: [], 2: [] }
  for (let i = 0; i < rounds; i++) {
    for (const workers of ['1', '2']) {
      inFolder((folder) => {
        plan(folder, '--trials', '8', '--texts', '256', '--epochs', '1', '--probes-per-domain', '20')
        seconds[workers].push(
          JSON.parse(warp(['lab', 'run', folder, '--workers', workers, '--threads', '1', '--json', '-q']).stdout)
            .seconds,
        )
      })
    }
  }
  const ratio = median(seconds[1].map((one, i) => one / seconds[2][i]))
  return { trials: 8, seconds: { one: round(median(seconds[1])), two: round(median(seconds[2])) }, ratio: round(ratio) }
}

/** Seconds of one trial of 800 texts with all threads, 600 probes on five points of one path. */
function footprints(rounds) {
  const trials = Array.from({ length: rounds }, () =>
    inFolder((folder) => {
      plan(folder, '--trials', '1', '--texts', '800', '--epochs', '9')
      const { estimate } = JSON.parse(fs.readFileSync(path.join(folder, 'plan.json')))
      warp(['lab', 'run', folder, '--workers', '1', '-q'])
      const { timings } = JSON.parse(fs.readFileSync(path.join(folder, 'trials/0000/trial.json')))
      return {
        ...timings,
        added: timings.footprint / timings.train,
        estimated: estimate.seconds / (timings.train + timings.footprint),
      }
    }),
  )
  const of = (key) => round(median(trials.map((one) => one[key])))
  return {
    seconds: { train: of('train'), footprint: of('footprint') },
    added: of('added'),
    estimatedToActual: of('estimated'),
  }
}

/** Seconds of ten folds with the sweep inside each, on made-up trials of 15 points along one path. */
async function fit(rounds) {
  const [D, K] = [10, 15]
  const numbers = (n, of) => Array.from({ length: n }, of)
  const mixtures = lab.sampleMixtures({ sampler: 'paper', domains: D, trials: 40, seed: 1 })
  const noise = () => 0.1 * Math.random()
  const trials = mixtures.map((truth, index) => ({
    schema: 'warp.trial/1',
    index,
    seed: 0,
    domains: numbers(D, (_, d) => `domain ${d}`),
    counts: numbers(D, () => 1),
    truth,
    recipe: {},
    timings: {},
    membership: null,
    paths: [
      {
        path: 'linear',
        scope: 'head',
        lambdas: numbers(K, (_, k) => (k + 1) / (K + 1)),
        probes: numbers(D, () => 60),
        largest: numbers(K, () => 2),
        mean: truth.map((share) => numbers(K, () => share + noise())),
        deviation: truth.map(() => numbers(K, () => 1)),
        loss: truth.map((share) => numbers(K + 2, () => 2 - share)),
        mixtures: { 'gradient-matching': truth, projection: truth },
      },
    ],
  }))
  const seconds = []
  for (let i = 0; i < rounds; i++) {
    const start = performance.now()
    await lab.reportTable(trials, { folds: 10 })
    seconds.push((performance.now() - start) / 1000)
  }
  return { trials: 40, folds: 10, domains: D, points: K, seconds: round(median(seconds)) }
}
