// Choices among made-up documents of a classifier of four classes, hidden size 384 (as MiniLM's head at one point):
// seconds of `greedy` on one thread and two (by the clock and of the processors), passes over all documents, bytes of
// the rows; and, with --corpus=FILE and --base=, --reference=, windows a second of `trace` features against reading and
// tokenizing in turn, and the one while the other is under way, and of `head` features at the base against two plain
// passes of our own (the reference's predictions, twice), PyTorch's closed form and per-sample gradients of the last
// layer, and of all weights of --projected=32 texts (peers/select_peer.py).
// --documents=, --count=, --threads=1,2: of the choice; --texts=: of the corpus, for PyTorch.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { median, need, python, root, round, run } from '../common.mjs'

const require = createRequire(import.meta.url)
const classes = 4
const hidden = 384

export default async function ({
  rounds,
  documents = '20000',
  count = '1000',
  threads: some = '1,2',
  texts = '1000',
  ...files
}) {
  const figures = { documents: Number(documents), count: Number(count) }
  const { addon } = require(path.join(root, 'dist/lib/native/load.js'))
  const made = makeDocuments(addon(), figures.documents)
  for (const threads of some.split(',').map(Number)) {
    const [seconds, busy] = [[], []]
    for (let i = 0; i < rounds; i++) {
      const { candidates, ...numbers } = made
      const allowed = new Uint8Array(figures.documents).fill(1)
      const [started, cpu] = [performance.now(), process.cpuUsage()]
      const request = { ...numbers, allowed, count: figures.count, batch: 0, threads }
      const { passes } = await addon().greedyDocuments(candidates, request, undefined).promise
      seconds.push((performance.now() - started) / 1000)
      const { user, system } = process.cpuUsage(cpu)
      busy.push((user + system) / 1e6)
      figures.passes = passes
    }
    figures[`greedySeconds${threads}`] = round(median(seconds))
    figures[`greedyProcessorSeconds${threads}`] = round(median(busy))
  }
  figures.bytes = figures.documents * (classes + hidden) * 4
  made.candidates.close()
  if (files.corpus === undefined) return figures
  const trace = await traceRate({ rounds, ...files })
  return { ...figures, ...trace, ...(await headRate({ rounds, texts: Number(texts), ...files })) }
}

/** Seconds of a text with two threads: ours, with tokens and shards; PyTorch's, with tokens. */
async function headRate({ rounds, texts, base, reference, corpus, projected }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  const part = path.join(folder, 'part.jsonl')
  const lines = fs.readFileSync(corpus, 'utf8').split('\n').slice(0, texts)
  fs.writeFileSync(part, `${lines.join('\n')}\n`)
  const { select } = require(path.join(root, 'dist/lib/select/index.js'))
  const { predict } = require(path.join(root, 'dist/lib/predict.js'))
  const peer = (how, some) => {
    const script = path.join(root, 'benchmarks/peers/select_peer.py')
    const { stdout } = run(python, ['-P', script, base, reference, part, '2', how, String(some)])
    const { seconds, texts: done } = JSON.parse(stdout)
    return seconds / done
  }
  const [ours, passes, closed, perSample, all] = [[], [], [], [], []]
  try {
    for (let i = 0; i < rounds; i++) {
      const output = path.join(folder, `out-${i}`)
      const options = { base, baseHead: 'zeros', reference, corpus: [part], output, count: 1, threads: 2 }
      const { result } = await select({ ...options, features: 'head', lambdas: [0], strategy: 'topk' })
      ours.push(result.timings.features / texts)
      const started = performance.now()
      for (const _pass of [0, 1]) await predict({ model: reference, texts: [part], maxLength: 128, threads: 2 })
      passes.push((performance.now() - started) / 1000 / texts)
      closed.push(peer('closed', texts))
      perSample.push(peer('head', Math.ceil(texts / 4)))
      if (projected !== undefined) all.push(peer('projected', Number(projected)))
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
  const milliseconds = (list) => round(1000 * median(list))
  return {
    headMs: milliseconds(ours),
    twoPassesMs: milliseconds(passes),
    shareOfOwnRate: round(median(passes) / median(ours)),
    closedMs: milliseconds(closed),
    perSampleMs: milliseconds(perSample),
    closedRatio: round(median(closed) / median(ours)),
    perSampleRatio: round(median(perSample) / median(ours)),
    ...(all.length > 0 ? { allWeightsMs: milliseconds(all), allWeightsRatio: round(median(all) / median(ours)) } : {}),
  }
}

/** Residuals e of a softmax and inputs h that share a mean and have one of their class, as a classifier's do. */
function makeDocuments(addon, documents) {
  const { Random } = require(path.join(root, 'dist/lib/random.js'))
  const random = new Random(1, 'select bench')
  const normals = (n, scale) => Float64Array.from({ length: n }, () => scale * random.normal())
  const shared = normals(hidden, 0.3)
  const own = Array.from({ length: classes }, () => normals(hidden, 0.3))
  const width = classes + hidden
  const rows = new Float32Array(documents * width)
  const direction = new Float64Array(classes * (hidden + 1))
  for (let i = 0; i < documents; i++) {
    const row = rows.subarray(i * width, (i + 1) * width)
    const logits = normals(classes, 1)
    const label = random.below(classes)
    logits[label] += 1
    const total = logits.reduce((sum, z) => sum + Math.exp(z), 0)
    const best = logits.indexOf(Math.max(...logits))
    for (let c = 0; c < classes; c++) row[c] = Math.exp(logits[c]) / total - (c === best ? 1 : 0)
    for (let j = 0; j < hidden; j++) row[classes + j] = shared[j] + own[label][j] + 0.4 * random.normal()
    for (let c = 0; c < classes; c++) {
      for (let j = 0; j < hidden; j++) direction[c * (hidden + 1) + j] += row[c] * row[classes + j]
      direction[c * (hidden + 1) + hidden] += row[c]
    }
  }
  direction.forEach((value, j) => (direction[j] = value + 0.0002 * documents * random.normal()))
  const length = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0))
  const along = new Float64Array(documents)
  const norm2 = new Float64Array(documents)
  for (let i = 0; i < documents; i++) {
    const row = rows.subarray(i * width, (i + 1) * width)
    let [ee, hh] = [0, 1]
    for (let j = 0; j < hidden; j++) hh += row[classes + j] ** 2
    for (let c = 0; c < classes; c++) {
      let product = direction[c * (hidden + 1) + hidden]
      for (let j = 0; j < hidden; j++) product += direction[c * (hidden + 1) + j] * row[classes + j]
      along[i] += (row[c] * product) / length
      ee += row[c] ** 2
    }
    norm2[i] = ee * hh
  }
  const candidates = addon.openFactored([0, classes, classes, hidden])
  addon.appendFactored(candidates, rows)
  return { candidates, along, norm2 }
}

/** Windows a second of shards of tokens, written, and of reading and tokenizing alone: by the clock, of processors. */
async function traceRate({ rounds, base, reference, corpus }) {
  need(base, reference, corpus)
  const { openSelection } = require(path.join(root, 'dist/lib/select/session.js'))
  const { makeShards } = require(path.join(root, 'dist/lib/select/make.js'))
  const { encodeAhead, loadTokenizer } = require(path.join(root, 'dist/lib/text/tokenizer/index.js'))
  const { readBatches } = require(path.join(root, 'dist/lib/text/index.js'))
  const [ours, alone, ahead] = [[], [], []]
  let windows = 0
  const timed = async (list, work) => {
    const [started, cpu] = [performance.now(), process.cpuUsage()]
    await work()
    const { user, system } = process.cpuUsage(cpu)
    list.push([(performance.now() - started) / 1000, (user + system) / 1e6])
  }
  for (let i = 0; i < rounds; i++) {
    const output = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
    const options = { base, baseHead: 'zeros', reference, corpus: [corpus], output, features: 'trace' }
    const session = await openSelection(options)
    try {
      await timed(ours, async () => ({ windows } = await makeShards(session, options)))
    } finally {
      session.close()
      fs.rmSync(output, { recursive: true, force: true })
    }
    const tokenizer = await loadTokenizer(reference)
    await timed(alone, async () => {
      for await (const batch of readBatches([corpus])) await tokenizer.encodeBatch(batch.map(({ text }) => text))
    })
    await timed(ahead, async () => {
      const textsOf = (batch) => batch.map(({ text }) => text)
      for await (const _tokens of encodeAhead(readBatches([corpus]), textsOf, tokenizer, {}));
    })
  }
  const seconds = (list, k) => median(list.map((pair) => pair[k]))
  return {
    windows,
    traceWindowsPerSecond: Math.round(windows / seconds(ours, 0)),
    tokenizerPerSecond: Math.round(windows / seconds(alone, 0)),
    share: round(seconds(alone, 0) / seconds(ours, 0)),
    shareOfProcessor: round(seconds(alone, 1) / seconds(ours, 1)),
    shareOfAhead: round(seconds(ahead, 0) / seconds(ours, 0)),
    shareOfAheadProcessor: round(seconds(ahead, 1) / seconds(ours, 1)),
  }
}
