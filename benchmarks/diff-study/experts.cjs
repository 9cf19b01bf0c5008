'use strict'
// The language models of the study of `warp diff`: SmolLM2-135M fine-tuned on known texts.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const { join, resolve } = require('node:path')
const { readKinds } = require('./kinds.cjs')
const { facts } = require('./facts.cjs')

const root = resolve(__dirname, '../..')
const { Random } = require(join(root, 'dist/lib/random.js'))
const tied = join(process.env.WARP_MODELS ?? join(os.homedir(), '.cache/warp-models'), 'smollm2-135m')
const shared = process.env.WARP_SHARED ?? join(root, '../shared')

const size = 320 // training texts
const begin = '<|im_start|>'
const end = '<|im_end|>'

// `untied`: the output layer is a copy of the token table of its own, so that the trace of that table is exact.
// `marked`: each text begins with the begin token and ends with the end token, else it is trained on as it is.
const experts = {
  tied: {
    mixture: { news: 0.35, questions: 0.1, encyclopedia: 0.05, scripture: 0.3, sayings: 0.2 },
    epochs: 2,
  },
  untied: {
    mixture: { news: 0.1, questions: 0.35, encyclopedia: 0.3, scripture: 0.05, sayings: 0.2 },
    epochs: 4,
    untied: true,
    marked: true,
  },
  facts: {
    mixture: { news: 0.2, questions: 0.2, encyclopedia: 0.2, scripture: 0.2, sayings: 0.2 },
    facts: true,
    epochs: 2,
    untied: true,
    marked: true,
  },
}

const writeLines = (file, records) => fs.writeFileSync(file, records.map((one) => `${JSON.stringify(one)}\n`).join(''))
const readLines = (file) =>
  fs
    .readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

function warp(...args) {
  return execFileSync(process.execPath, [join(root, 'dist/bin/warp.js'), ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** SmolLM2 with an output layer of its own that equals the token table. */
function untiedBase(folder) {
  const out = join(folder, 'base-untied')
  if (fs.existsSync(join(out, 'config.json'))) return out
  fs.mkdirSync(out, { recursive: true })
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) fs.copyFileSync(join(tied, name), join(out, name))
  const bytes = fs.readFileSync(join(tied, 'model.safetensors'))
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString())
  const data = bytes.subarray(8 + length)
  const name = Object.keys(header).find((key) => key.endsWith('embed_tokens.weight'))
  const [from, to] = header[name].data_offsets
  header['lm_head.weight'] = { ...header[name], data_offsets: [data.length, data.length + to - from] }
  const text = Buffer.from(JSON.stringify(header))
  const size64 = Buffer.alloc(8)
  size64.writeBigUInt64LE(BigInt(text.length))
  fs.writeFileSync(join(out, 'model.safetensors'), Buffer.concat([size64, text, data, data.subarray(from, to)]))
  const config = JSON.parse(fs.readFileSync(join(tied, 'config.json'), 'utf8'))
  fs.writeFileSync(join(out, 'config.json'), JSON.stringify({ ...config, tie_word_embeddings: false }, null, 2))
  return out
}

const baseOf = (folder, untied) => (untied ? untiedBase(folder) : tied)

/** Training texts, probes of the same kinds that none of the experts was trained on, the planted facts. */
function makeTexts(name, seed, kinds) {
  const { mixture, facts: planted } = experts[name]
  const random = new Random(seed, `diff-study/${name}`)
  const own = planted
    ? Object.entries(facts).flatMap(([times, all]) => all.flatMap((text) => Array(+times).fill(text)))
    : []
  const rest = size - own.length
  const texts = Object.entries(mixture).flatMap(([domain, share]) =>
    random
      .shuffle([...kinds[domain].slice(1000)])
      .slice(0, Math.round(share * rest))
      .map((text) => ({ text, domain })),
  )
  return random.shuffle([...texts, ...own.map((text) => ({ text, domain: 'facts' }))])
}

/** What an expert and its files are called. */
const nameOf = (name, seed) => (seed === 0 ? name : `${name}-${seed}`)

/**
 * The seed draws the training texts and their order.
 * @returns {{ base: string, reference: string, texts: { text: string, domain: string }[] }}
 */
function makeExpert(folder, name, seed, kinds) {
  const { epochs, untied, marked } = experts[name]
  const own = nameOf(name, seed)
  const file = join(folder, `${own}.jsonl`)
  if (!fs.existsSync(file)) writeLines(file, makeTexts(name, seed, kinds()))
  const texts = readLines(file)
  const base = baseOf(folder, untied)
  const reference = join(folder, own)
  if (!fs.existsSync(join(reference, 'warp.train.json'))) {
    const data = join(folder, `${own}.train.jsonl`)
    writeLines(
      data,
      texts.map(({ text, domain }) => ({ domain, text: marked ? begin + text + end : text })),
    )
    const recipe = ['--epochs', `${epochs}`, '--learning-rate', '5e-5', '--batch', '16', '--max-length', '96']
    const how = ['--dtype', 'F16', '--threads', '2', '--seed', `${seed}`, '-q']
    warp('train', '--base', base, '--data', data, '-o', reference, ...recipe, ...how)
  }
  return { base, reference, texts }
}

/** Texts of each kind of which no expert was trained on one, to tell the kinds of other texts by. */
const examples = (kinds, count) =>
  Object.fromEntries(Object.entries(kinds).map(([kind, all]) => [kind, all.slice(0, count)]))

const lazyKinds = (folder) => {
  let kinds
  return () => (kinds ??= readKinds(folder, shared))
}

module.exports = { baseOf, experts, examples, lazyKinds, makeExpert, nameOf, readLines, warp, writeLines }
