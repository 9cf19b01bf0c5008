'use strict'
// How often the 90 % intervals of the trace hold the truth.
//   node benchmarks/trace-coverage.cjs EXPERTS DATA > rows.jsonl      (an hour or two on two cores)
//   node benchmarks/trace-coverage.cjs --table rows.jsonl… > table.md
// EXPERTS is a folder of what trace-experts.cjs makes: NAME-cN are classifiers (MiniLM-L6) on NAME's data, others
// language models (SmolLM2-135M, tied). DATA has clinc_domains.jsonl and ag_news_test.csv. Each expert is traced with
// pools that hold all, half and none of its training texts; then training sets are drawn without training anything.
// Base models are looked for in WARP_MODELS, or ~/.cache/warp-models. Needs a build (npm run build).
const { spawnSync } = require('node:child_process')
const { existsSync, readdirSync, readFileSync } = require('node:fs')
const os = require('node:os')
const { join } = require('node:path')

const models = process.env.WARP_MODELS ?? join(os.homedir(), '.cache/warp-models')
const news = { columns: ['label', 'title', 'body'], text: ['title', 'body'] }
news.labelMap = { 1: 'World', 2: 'Sports', 3: 'Business', 4: 'Sci/Tech' }
const sources = { clinc: ['clinc_domains.jsonl', {}], ag: ['ag_news_test.csv', news] }
/** As in the second table of results/trace.md. */
const draws = {
  clinc: [0, 0.5, 1].map((inside) => ({ draws: 30, texts: 1000, inside })),
  ag: [0, 0.5, 1].map((inside) => ({ draws: 20, texts: 800, inside })),
}

function run(kind, script, args) {
  const { status, stdout } = spawnSync(process.execPath, [join(__dirname, script), ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) process.exit(status ?? 1)
  for (const line of stdout.trim().split('\n')) console.log(JSON.stringify({ kind, ...JSON.parse(line) }))
}

function study(experts, data) {
  const names = readdirSync(experts).filter((name) => existsSync(join(experts, name, 'truth.json')))
  const small = join(models, 'minilm-l6')
  for (const [name, [file, options]] of Object.entries(sources)) {
    const own = names.filter((one) => one.startsWith(`${name}-c`)).map((one) => join(experts, one))
    if (own.length === 0) continue
    const common = [join(data, file), JSON.stringify(options)]
    run(`${name}, classifiers`, 'trace.cjs', [small, ...common, ...own])
    const cases = draws[name].map((one) => JSON.stringify({ name: `${name}, drawn`, ...one }))
    run(`${name}, drawn`, 'trace-draws.cjs', [small, own[0], ...common, ...cases])
  }
  for (const one of names.filter((name) => !/-c\d+$/.test(name) && !name.startsWith('untied')))
    run(`${one.split('-')[0]}, tied`, 'trace-tied.cjs', [join(models, 'smollm2-135m'), join(experts, one)])
}

/** Means of 1 for a hit and 0 for a miss, each with how many things were counted. */
function table(files) {
  const rows = files.flatMap((file) => readFileSync(file, 'utf8').trim().split('\n').map(JSON.parse))
  const groups = new Map()
  for (const row of rows) {
    const pool = row.pool === undefined || typeof row.pool === 'number' ? (row.inside ?? 0) : row.pool
    const key = `${row.kind} | ${{ 0: 'none', 0.5: 'half', 1: 'all' }[pool] ?? pool}`
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  const mean = (list, value) => {
    const weights = list.map(({ draws: many = 1 }) => many)
    return list.reduce((sum, row, i) => sum + weights[i] * value(row), 0) / weights.reduce((a, b) => a + b, 0)
  }
  const number = (row) => {
    if (row.sizeCovered !== undefined) return row.sizeCovered
    const [low, high] = row.interval
    return Number(row.trainingTexts >= low && (high === null || row.trainingTexts <= high))
  }
  const open = (list) => list.some(({ interval }) => interval?.[1] === null)
  const lines = [...groups].map(([key, list]) => {
    const cells = [
      list.reduce((sum, { draws: many = 1 }) => sum + many, 0),
      mean(list, ({ mae }) => mae).toFixed(4),
      mean(list, (row) => row.expectedMae ?? row.expected).toFixed(4),
      mean(list, ({ covered }) => covered).toFixed(2),
      mean(list, number).toFixed(2) + (open(list) ? ' (lower bound)' : ''),
      mean(list, (row) => row.ratio ?? row.estimate / row.trainingTexts).toFixed(3),
    ]
    return `| ${key} | ${cells.join(' | ')} |`
  })
  const head =
    'experts | training texts in the pool | sets | MAE | expected | shares covered | number covered | estimate / truth'
  console.log([`| ${head} |`, `|${'---|'.repeat(8)}`, ...lines].join('\n'))
}

const [first, ...rest] = process.argv.slice(2)
if (first === '--table') table(rest)
else study(first, rest[0])
