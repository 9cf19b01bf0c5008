'use strict'
// How often the 90 % intervals of the trace hold the truth.
//   node benchmarks/trace-coverage.cjs EXPERTS DATA ROWS             (rows.jsonl; about an hour on two cores)
//   node benchmarks/trace-coverage.cjs --table ROWS… > table.md
// Each row is added to ROWS as soon as it is known; what a run that was stopped has written there is not made again.
// EXPERTS is a folder of what trace-experts.cjs makes: NAME-cN are classifiers (MiniLM-L6) on NAME's data, untied-NAME
// language models with an output layer of their own (base: EXPERTS/../diff/base-untied, or WARP_UNTIED_BASE), others
// tied ones (SmolLM2-135M). DATA has clinc_domains.jsonl and ag_news_test.csv. Each expert is traced with
// pools that hold all, half and none of its training texts; then training sets are drawn without training anything.
// Base models are looked for in WARP_MODELS, or ~/.cache/warp-models. Needs a build (npm run build).
const { spawnSync } = require('node:child_process')
const { appendFileSync, existsSync, readdirSync, readFileSync } = require('node:fs')
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

/** What stands in a file of rows already, by kind and by what was traced. */
const known = new Set()
const nameOf = ({ kind, expert, reference, inside, draws: many }) =>
  `${kind} ${expert ?? reference ?? `${inside} of ${many}`}`

function run(file, kind, name, script, args) {
  if (known.has(`${kind} ${name}`)) return
  const start = performance.now()
  const { status, stdout } = spawnSync(process.execPath, [join(__dirname, script), ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) process.exit(status ?? 1)
  // all rows of one expert or none
  const rows = stdout.trim().split('\n')
  appendFileSync(file, rows.map((line) => `${JSON.stringify({ kind, ...JSON.parse(line) })}\n`).join(''))
  console.error(`${kind}: ${name} ${Math.round((performance.now() - start) / 1000)} s`)
}

function study(experts, data, file) {
  if (existsSync(file)) for (const row of rowsOf(file)) known.add(nameOf(row))
  const names = readdirSync(experts).filter((name) => existsSync(join(experts, name, 'truth.json')))
  const isClassifier = (name) => /-c\d+$/.test(name)
  for (const one of names.filter((name) => !isClassifier(name))) {
    const untied = one.startsWith('untied-')
    const base = untied
      ? (process.env.WARP_UNTIED_BASE ?? join(experts, '..', 'diff', 'base-untied'))
      : join(models, 'smollm2-135m')
    const kind = untied ? `${one.split('-')[1]}, untied` : `${one.split('-')[0]}, tied`
    run(file, kind, one, 'trace-tied.cjs', [base, join(experts, one)])
  }
  const small = join(models, 'minilm-l6')
  for (const [name, [source, options]] of Object.entries(sources)) {
    const own = names.filter((one) => one.startsWith(`${name}-c`) && isClassifier(one))
    const common = [join(data, source), JSON.stringify(options)]
    for (const one of own) run(file, `${name}, classifiers`, one, 'trace.cjs', [small, ...common, join(experts, one)])
    for (const one of own.length > 0 ? draws[name] : [])
      run(file, `${name}, drawn`, `${one.inside} of ${one.draws}`, 'trace-draws.cjs', [
        ...[small, join(experts, own[0]), ...common],
        JSON.stringify({ name: `${name}, drawn`, ...one }),
      ])
  }
}

const rowsOf = (file) => readFileSync(file, 'utf8').trim().split('\n').filter(Boolean).map(JSON.parse)

/** Means of 1 for a hit and 0 for a miss, each with how many things were counted. */
function table(files) {
  const rows = files.flatMap(rowsOf)
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
else study(first, ...rest)
