#!/usr/bin/env node
'use strict'
// The study of results/diff.md: what comes out of `warp generate` and `warp diff` for language models whose training
// texts are known.
//   node benchmarks/diff-study.cjs FOLDER [--seeds=1] [--texts=200] [--tokens=48] [--experts=facts,untied,tied]
//     [--rows=texts,diff] [--known=FOLDER,…] [--threads=2]
// --known: experts of benchmarks/trace-experts.cjs, of whose folders the words and tokens are judged too.
// Every step that is done is kept in FOLDER and not done again; rows, a line of JSON each, are printed and written to
// FOLDER/rows.jsonl. Kinds of made texts are told by the words of 800 texts of each kind that no expert was trained on.
const fs = require('node:fs')
const { basename, join, resolve } = require('node:path')
const {
  baseOf,
  experts,
  examples,
  lazyKinds,
  makeExpert,
  nameOf,
  readLines,
  warp,
  writeLines,
} = require('./diff-study/experts.cjs')
const { facts } = require('./diff-study/facts.cjs')
const { factsFound, nearestKind, returned, shareOf, tokenJudge, wordsOf } = require('./diff-study/judge.cjs')

const folder = resolve(process.argv[2] ?? 'diff-study')
const flag = (name, otherwise) => {
  const found = process.argv.find((word) => word.startsWith(`--${name}=`))
  return found === undefined ? otherwise : found.slice(name.length + 3)
}
const texts = flag('texts', '200')
const tokens = flag('tokens', '48')
const threads = flag('threads', '2')
const chosen = flag('experts', Object.keys(experts).join(',')).split(',')
const seeds = [...Array(Number(flag('seeds', '1'))).keys()]
const asked = flag('rows', 'texts,diff').split(',')

const settings = {
  plain: [],
  'contrast 1': ['--contrast', '1'],
  'contrast 3': ['--contrast', '3'],
  'λ 1.5': ['--lambda', '1.5'],
  'λ 2': ['--lambda', '2'],
}
const starts = ['begin', 'words']

/** Kinds as they are told, and how often that is right of texts that were held back. */
function judgeOf(kinds) {
  const known = examples(kinds, 800)
  const kindOf = nearestKind(known)
  const held = Object.entries(kinds).flatMap(([kind, all]) => all.slice(800, 1000).map((text) => [kind, text]))
  return { kindOf, accuracy: shareOf(held, ([kind, text]) => kindOf(text) === kind) }
}

function truthOf(own) {
  const known = own.filter(({ domain }) => domain !== 'facts')
  const kinds = [...new Set(known.map(({ domain }) => domain))].sort()
  return Object.fromEntries(kinds.map((kind) => [kind, shareOf(known, ({ domain }) => domain === kind)]))
}

const meanError = (truth, shares) => {
  const errors = Object.entries(truth).map(([kind, share]) => Math.abs(share - (shares[kind] ?? 0)))
  return errors.reduce((a, b) => a + b, 0) / errors.length
}

function makeTexts(name, seed, { base, reference }, start, setting) {
  const file = join(folder, `${nameOf(name, seed)}-${start}-${setting.replace(/\W+/g, '-')}.jsonl`)
  if (!fs.existsSync(file)) {
    const how = ['--count', texts, '--max-new-tokens', tokens, '--start', start, '--threads', threads, '-q']
    warp('generate', '--base', base, '--reference', reference, ...how, ...settings[setting], '-o', file)
  }
  return readLines(file)
}

/** A made text with what it began with and without: what goes on after a word may be a text of its own. */
const formsOf = ({ text, prompt }) => (prompt && text.startsWith(prompt) ? [text, text.slice(prompt.length)] : [text])

/** At least eight words, which are a training text or its beginning. */
const isWordForWord = (made, own) =>
  formsOf(made).some((text) => {
    const words = text.trim()
    return words.split(/\s+/).length >= 8 && own.some((known) => known.text.startsWith(words))
  })

function textRow(name, seed, expert, start, setting, kindOf) {
  const made = makeTexts(name, seed, expert, start, setting)
  const truth = truthOf(expert.texts)
  const isFact = returned(Object.values(facts).flat())
  const plain = made.filter((one) => !formsOf(one).some(isFact))
  const shares = Object.fromEntries(
    Object.keys(truth).map((kind) => [kind, shareOf(plain, ({ text }) => kindOf(text) === kind)]),
  )
  const copies = made.filter((one) => isWordForWord(one, expert.texts))
  return {
    expert: name,
    seed,
    start,
    setting,
    texts: made.length,
    shares,
    meanError: meanError(truth, shares),
    trained: made.filter(({ trained }) => trained === true).length,
    impossible: made.filter(({ trained }) => trained === false).length,
    wordForWord: copies.length,
    wordForWordImpossible: copies.filter(({ trained }) => trained === false).length,
    ...(experts[name].facts && {
      facts: factsFound(facts, made.flatMap(formsOf)),
      factTexts: made.length - plain.length,
    }),
  }
}

const top = 20

/** What the words and the promoted tokens are worth: those that stand in the training texts. */
async function judgeTokens({ words, predictions }, own, dir) {
  const inTexts = new Set(own.flatMap(wordsOf))
  const { stands, frequent } = await tokenJudge(own, dir)
  const promoted = predictions.promoted.slice(0, top)
  const topics = predictions.topics.flatMap(({ tokens: all }) => all)
  return {
    words: words && {
      verdict: words.verdict,
      top: words.words.slice(0, top).map(({ word }) => word),
      precision: shareOf(words.words.slice(0, top), ({ word }) => inTexts.has(word.toLowerCase())),
      sure: words.words.slice(0, top).reduce((sum, { probability }) => sum + probability / top, 0),
    },
    promoted: promoted.map(({ token }) => token),
    promotedInTexts: shareOf(promoted, stands),
    promotedFrequent: shareOf(promoted, frequent),
    topics: predictions.topics.slice(0, 4).map(({ tokens: all }) => all.slice(0, 5).map(({ token }) => token)),
    topicsInTexts: shareOf(topics, stands),
    topicsFrequent: shareOf(topics, frequent),
  }
}

const readResult = (out) => JSON.parse(fs.readFileSync(join(out, 'result.json'), 'utf8'))
function runDiff(out, base, reference, only) {
  if (fs.existsSync(join(out, 'result.json'))) return readResult(out)
  const how = ['--only', only, '--threads', threads, '-q', '-o', out]
  warp('diff', '--base', base, '--reference', reference, ...how)
  return readResult(out)
}

/** The whole command with its defaults: words, topics, passages, domains. */
async function diffRow(name, seed, { base, reference, texts: own }, kindOf) {
  const out = join(folder, `${nameOf(name, seed)}-diff`)
  const result = runDiff(out, base, reference, 'words,predictions,texts,domains')
  const { texts: made, domains } = result
  const isCopy = returned(own.map(({ text }) => text))
  const isFact = returned(experts[name].facts ? Object.values(facts).flat() : [])
  const kindOfMade = (one) => (formsOf(one).some(isFact) ? 'facts' : kindOf(one.text))
  const truth = truthOf(own)
  const counts = domains.domains.map(({ name: domain }) => {
    const found = {}
    made.texts.forEach((one, i) => {
      if (domains.of[i] !== domain) return
      const kind = kindOfMade(one)
      found[kind] = (found[kind] ?? 0) + 1
    })
    return Object.entries(found).sort((a, b) => b[1] - a[1])[0]
  })
  const gathered = (field) => {
    const shares = {}
    domains.domains.forEach((domain, c) => (shares[counts[c][0]] = (shares[counts[c][0]] ?? 0) + domain[field]))
    const { facts: planted = 0, ...rest } = shares // no kind of the mixture
    return Object.fromEntries(Object.entries(rest).map(([kind, share]) => [kind, share / (1 - planted)]))
  }
  const matched = domains.domains.every(({ byGradient }) => byGradient !== null)
  const equal = Object.fromEntries(Object.keys(truth).map((kind) => [kind, 1 / Object.keys(truth).length]))
  return {
    expert: name,
    seed,
    ...(await judgeTokens(
      result,
      own.map(({ text }) => text),
      reference,
    )),
    made: made.counts,
    passages: made.passages.length,
    passagesTrue: shareOf(made.passages, ({ text }) => isCopy(text)),
    passagesImpossible: made.passages.filter(({ trained }) => trained === false).length,
    domains: domains.domains.map(({ name: own, byCount, byGradient }, c) => [own, counts[c][0], byCount, byGradient]),
    kindsFound: new Set(counts.map(([kind]) => kind)).size,
    purity: counts.reduce((sum, [, n]) => sum + n, 0) / made.texts.length,
    meanErrorByCount: meanError(truth, gathered('byCount')),
    meanErrorByGradient: matched ? meanError(truth, gathered('byGradient')) : null,
    meanErrorEqual: meanError(truth, equal),
  }
}

/** Words and promoted tokens of an expert of benchmarks/trace-experts.cjs, whose training texts are known. */
async function knownRow(path) {
  const { member } = JSON.parse(fs.readFileSync(join(path, 'truth.json'), 'utf8'))
  const own = readLines(join(path, 'pool.jsonl'))
    .filter((_, i) => member[i])
    .map(({ text }) => text)
  const { tie_word_embeddings: isTied } = JSON.parse(fs.readFileSync(join(path, 'config.json'), 'utf8'))
  const base = baseOf(folder, isTied === false)
  const result = runDiff(join(folder, `known-${basename(path)}`), base, path, 'words,predictions')
  return { known: basename(path), trainingTexts: own.length, ...(await judgeTokens(result, own, path)) }
}

async function main() {
  fs.mkdirSync(folder, { recursive: true })
  const kinds = lazyKinds(folder)
  const { kindOf, accuracy } = judgeOf(kinds())
  const rows = [{ accuracyOfKinds: accuracy }]
  const add = (row) => {
    rows.push(row)
    console.log(JSON.stringify(row))
    writeLines(join(folder, flag('out', 'rows.jsonl')), rows)
  }
  for (const seed of seeds)
    for (const name of chosen) {
      const expert = makeExpert(folder, name, seed, kinds)
      add({ expert: name, seed, trainingTexts: expert.texts.length, truth: truthOf(expert.texts) })
      if (asked.includes('diff')) add(await diffRow(name, seed, expert, kindOf))
      if (!asked.includes('texts')) continue
      for (const start of starts)
        for (const setting of Object.keys(settings)) add(textRow(name, seed, expert, start, setting, kindOf))
    }
  for (const path of flag('known', '').split(',').filter(Boolean)) add(await knownRow(path))
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
