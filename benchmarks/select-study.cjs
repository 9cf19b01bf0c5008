#!/usr/bin/env node
// The study of results/select.md: which features and strategies find documents that teach a base what an expert knows.
//   node benchmarks/select-study.cjs FOLDER [--data=ag|clinc|language] [--seeds=1] [--expert=3200] [--count=1000]
//     [--passages=0] [--tests=2000] [--epochs=3] [--threads=2] [--random=1] [--only=ROW;ROW]; passages 0: all;
//     random: draws
// An expert for AG News or CLINC's ten domains on MiniLM-L6; the corpus is Wikipedia's vital articles in passages of
// two sentences: no news, no questions. `language`: --expert=MODEL is SmolLM2-135M trained on texts of its pool.jsonl
// that truth.json names (trace-experts.cjs language); the corpus is as many (--passages) other news, questions and
// passages. Every step that is done is kept in FOLDER and not done again. Prints a line of JSON for each row and writes
// rows.jsonl.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const { join, resolve } = require('node:path')

const root = resolve(__dirname, '..')
const { Random } = require(join(root, 'dist/lib/random.js'))
const { passagesOf } = require(join(root, 'scripts/examples.cjs'))

const folder = resolve(process.argv[2] ?? 'select-study')
const flag = (name, otherwise) => {
  const found = process.argv.find((word) => word.startsWith(`--${name}=`))
  return found === undefined ? otherwise : found.slice(name.length + 3)
}
const data = flag('data', 'ag')
const seeds = Number(flag('seeds', '1'))
const expertTexts = flag('expert', '3200')
const count = Number(flag('count', '1000'))
const passages = Number(flag('passages', '0'))
const tests = Number(flag('tests', '2000'))
const only = flag('only', '').split(';').filter(Boolean)
const threads = flag('threads', '2')
const draws = flag('random', '1')
const shared = process.env.WARP_SHARED ?? join(root, '../shared')
const language = data === 'language'
const models = process.env.WARP_MODELS ?? join(os.homedir(), '.cache/warp-models')
const base = join(models, language ? 'smollm2-135m' : 'minilm-l6')
const corpora = process.env.WARP_CORPORA ?? join(os.homedir(), '.cache/warp-corpora')
const recipe = language
  ? ['--epochs', flag('epochs', '1'), '--learning-rate', '5e-5', '--batch', '8', '--weight-decay', '0.01']
  : ['--epochs', flag('epochs', '3'), '--learning-rate', '5e-5', '--batch', '32', '--max-length', '128']

const trace = ['--features', 'trace']
const head = ['--features', 'head', '--lambdas', '0']
const three = ['--features', 'head', '--lambdas', '0.1,0.5,0.9']
const top = ['--features', 'top', '--lambdas', '0.5']
const soft = ['--labels', 'soft']
const halfWay = ['--features', 'head', '--lambdas', '0.5']
const languageRows = [
  ['head half way, greedy', [...halfWay, '--strategy', 'greedy'], []],
  ['head half way, topk', [...halfWay, '--strategy', 'topk'], []],
]
// name, how documents are selected, how they are trained on; the first rows are those that the default is decided by
const rows = [
  ['trace, balanced, soft labels', [...trace, '--strategy', 'topk', '--balance'], soft],
  ['random, balanced, soft labels', [...head, '--strategy', 'random', '--balance'], soft],
  ['trace, balanced', [...trace, '--strategy', 'topk', '--balance'], []],
  ['random, balanced', [...head, '--strategy', 'random', '--balance'], []],
  ['head at the base, greedy', [...head, '--strategy', 'greedy'], []],
  ['a third by trace, random, balanced, soft labels', share('random', '--balance'), soft],
  ['a third by trace, head at the base, greedy, soft labels', share('greedy'), soft],
  ['head at the base, topk, balanced', [...head, '--strategy', 'topk', '--balance'], []],
  ['head at three points, greedy', [...three, '--strategy', 'greedy'], []],
  ['head at three points, greedy, soft labels', [...three, '--strategy', 'greedy'], soft],
  ['a third by trace, head at the base, greedy', share('greedy'), []],
  ['trace', [...trace, '--strategy', 'topk'], []],
  ['loss-min, balanced', [...head, '--strategy', 'loss-min', '--balance'], []],
  ['top half way, greedy', [...top, '--strategy', 'greedy'], []],
  ['trace, soft labels', [...trace, '--strategy', 'topk'], soft],
  ['head at the base, matching', [...head, '--strategy', 'matching'], []],
  ['trace, greedy', [...trace, '--strategy', 'greedy'], []],
  ['trace, greedy, balanced', [...trace, '--strategy', 'greedy', '--balance'], []],
  ['top half way, topk, balanced', [...top, '--strategy', 'topk', '--balance'], []],
  ...[0.5, 1].flatMap((q) => [
    [`head at three points, greedy, q = ${q}`, [...three, '--strategy', 'greedy', ...by(q)], []],
    [`head at three points, greedy, q = ${q}, soft labels`, [...three, '--strategy', 'greedy', ...by(q)], soft],
  ]),
  ...[0, 0.5, 1].map((q) => [
    `head at three points, topk, balanced, q = ${q}`,
    [...three, '--strategy', 'topk', '--balance', ...by(q)],
    [],
  ]),
]

main()

function share(strategy, ...more) {
  return [...head, '--strategy', strategy, '--trace-share', '0.33', ...more]
}

function by(q) {
  return ['--precondition', String(q)]
}

function main() {
  fs.mkdirSync(folder, { recursive: true })
  makeData()
  const expert = language ? expertTexts : join(folder, 'expert')
  if (!language && !fs.existsSync(join(expert, 'warp.train.json')))
    warp('train', '--base', base, '--data', at('expert.jsonl'), '-o', expert, ...recipe, '--threads', threads)
  const shown = fs.existsSync(at('rows.jsonl'))
    ? fs
        .readFileSync(at('rows.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : []
  for (const [name, how, trained] of language ? languageRows : rows) {
    if (only.length > 0 ? !only.includes(name) : shown.some(({ row }) => row === name)) continue
    const out = at(`picked-${how[1]}-${how[2] === '--lambdas' ? how[3] : ''}`)
    const newHead = language ? [] : ['--base-head', 'zeros']
    const pair = ['--base', base, ...newHead, '--reference', expert, '--corpus', at('corpus.jsonl')]
    warp('select', ...pair, '--count', String(count), '-o', out, ...how, '--threads', threads, '--force-selection')
    const first = !shown.some(({ row }) => row.startsWith('true'))
    const compared = first ? ['--random', draws, '--true', at('true.jsonl')] : ['--random', '0']
    const asked = ['--test', at('test.jsonl'), '--seeds', String(seeds), ...compared, ...trained, ...recipe]
    const result = JSON.parse(warp('select', 'evaluate', out, ...asked, '--threads', threads, '--json', '--force'))
    const counts = countLabels(join(out, 'selection.jsonl'))
    for (const row of result.rows) {
      if (!first && row.name !== 'selected') continue
      const softly = row.name === 'random' && trained === soft ? ', soft labels' : ''
      const line = row.name === 'selected' ? { row: name, ...row, counts } : { row: row.name + softly, ...row }
      shown.push(line)
      fs.appendFileSync(at('rows.jsonl'), `${JSON.stringify(line)}\n`)
      process.stdout.write(`${JSON.stringify({ row: line.row, value: row.value, agreement: row.agreement })}\n`)
    }
  }
}

function countLabels(file) {
  const counts = {}
  for (const line of fs.readFileSync(file, 'utf8').trim().split('\n')) {
    const { label } = JSON.parse(line)
    counts[label] = (counts[label] ?? 0) + 1
  }
  return counts
}

function at(name) {
  return join(folder, name)
}

function warp(...args) {
  process.stderr.write(`warp ${args.slice(0, 2).join(' ')} …\n`)
  return execFileSync(process.execPath, [join(root, 'dist/bin/warp.js'), ...args, '-q'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function makeData() {
  if (fs.existsSync(at('corpus.jsonl'))) return
  if (language) return makeLanguageData()
  const all = data === 'clinc' ? clinc() : news()
  const order = Array.from(new Random(0, 'select study').permutation(all.length), (i) => all[i])
  write('expert.jsonl', order.slice(0, Number(expertTexts)))
  write('true.jsonl', order.slice(0, count))
  write('test.jsonl', order.slice(Number(expertTexts), Number(expertTexts) + tests))
  write('corpus.jsonl', wikipedia())
}

function write(name, list) {
  fs.writeFileSync(at(name), list.map((one) => `${JSON.stringify(one)}\n`).join(''))
}

function makeLanguageData() {
  const { member } = JSON.parse(fs.readFileSync(join(expertTexts, 'truth.json'), 'utf8'))
  const pool = fs.readFileSync(join(expertTexts, 'pool.jsonl'), 'utf8').trim().split('\n').map(JSON.parse)
  const others = pool.filter((_, i) => !member[i])
  const questions = new Random(0, 'questions').shuffle(clinc()).slice(0, passages)
  const mixed = [
    ...others.slice(tests, tests + passages).map(({ text }) => ({ text, label: 'news' })),
    ...questions.map(({ text }) => ({ text, label: 'questions' })),
    ...wikipedia().map(({ text }) => ({ text, label: 'encyclopedia' })),
  ]
  write('true.jsonl', pool.filter((_, i) => member[i]).slice(0, count))
  write('test.jsonl', others.slice(0, tests))
  write('corpus.jsonl', new Random(0, 'mixed').shuffle(mixed))
}

function news() {
  const names = ['World', 'Sports', 'Business', 'Sci/Tech']
  const lines = parseCsv(fs.readFileSync(join(shared, 'data/ag_news_test.csv'), 'utf8'))
  return lines.map(([label, title, text]) => ({ text: `${title} ${text}`, label: names[Number(label) - 1] }))
}

function clinc() {
  const lines = fs.readFileSync(join(shared, 'data/clinc_domains.jsonl'), 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line)).map(({ text, label }) => ({ text, label }))
}

function wikipedia() {
  const articles = fs.readFileSync(join(corpora, 'wikipedia-vital.jsonl'), 'utf8').trim().split('\n').map(JSON.parse)
  return passagesOf(articles, passages)
}

/** Rows of a CSV file whose fields are all quoted. */
function parseCsv(text) {
  return text
    .trim()
    .split('\n')
    .map((line) =>
      line
        .slice(1, -1)
        .split('","')
        .map((field) => field.replaceAll('""', '"')),
    )
}
