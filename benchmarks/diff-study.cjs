#!/usr/bin/env node
'use strict'
// The study of results/diff.md: what comes out of `warp generate` and `warp diff` for language models whose training
// texts are known.
//   node benchmarks/diff-study.cjs FOLDER [--seeds=1] [--texts=200] [--tokens=48] [--experts=facts,untied,tied]
//     [--rows=texts,diff] [--threads=2]
// Every step that is done is kept in FOLDER and not done again; rows, a line of JSON each, are printed and written to
// FOLDER/rows.jsonl. Kinds of made texts are told by the words of 800 texts of each kind that no expert was trained on.
const fs = require('node:fs')
const { join, resolve } = require('node:path')
const {
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
const { factsFound, nearestKind, returned, shareOf, wordsOf } = require('./diff-study/judge.cjs')

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

/** At least eight words, which are a training text or its beginning. */
function isWordForWord(text, own) {
  const words = text.trim()
  return words.split(/\s+/).length >= 8 && own.some((known) => known.text.startsWith(words))
}

function textRow(name, seed, expert, start, setting, kindOf) {
  const made = makeTexts(name, seed, expert, start, setting)
  const truth = truthOf(expert.texts)
  const isFact = returned(Object.values(facts).flat())
  const plain = made.filter(({ text }) => !isFact(text))
  const shares = Object.fromEntries(
    Object.keys(truth).map((kind) => [kind, shareOf(plain, ({ text }) => kindOf(text) === kind)]),
  )
  const copies = made.filter(({ text }) => isWordForWord(text, expert.texts))
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
      facts: factsFound(
        facts,
        made.map(({ text }) => text),
      ),
      factTexts: made.length - plain.length,
    }),
  }
}

/** The whole command with its defaults: words, topics, passages, domains. */
function diffRow(name, seed, { base, reference, texts: own }, kindOf) {
  const out = join(folder, `${nameOf(name, seed)}-diff`)
  if (!fs.existsSync(join(out, 'result.json')))
    warp(
      'diff',
      '--base',
      base,
      '--reference',
      reference,
      '--only',
      'words,predictions,texts,domains',
      '--threads',
      threads,
      '-q',
      '-o',
      out,
    )
  const { words, predictions, texts: made, domains } = JSON.parse(fs.readFileSync(join(out, 'result.json'), 'utf8'))
  const inTexts = new Set(own.flatMap(({ text }) => wordsOf(text)))
  const isCopy = returned(own.map(({ text }) => text))
  const truth = truthOf(own)
  const kindOfDomain = (domain) => {
    const counts = {}
    made.texts.forEach(
      ({ text }, i) => domains.of[i] === domain && (counts[kindOf(text)] = (counts[kindOf(text)] ?? 0) + 1),
    )
    return Object.entries(counts).sort((a, b) => b[1] - a[1])[0]
  }
  const gathered = (field) => {
    const shares = {}
    for (const domain of domains.domains) {
      const [kind] = kindOfDomain(domain.name)
      shares[kind] = (shares[kind] ?? 0) + domain[field]
    }
    return shares
  }
  const purity = domains.domains.reduce((sum, { name: domain }) => sum + kindOfDomain(domain)[1], 0) / made.texts.length
  const matched = domains.domains.every(({ byGradient }) => byGradient !== null)
  return {
    expert: name,
    seed,
    words: words && {
      top: words.words.slice(0, 20).map(({ word }) => word),
      precision: shareOf(words.words.slice(0, 20), ({ word }) => inTexts.has(word.toLowerCase())),
    },
    topics: predictions.topics.slice(0, 4).map(({ tokens: all }) => all.slice(0, 5).map(({ token }) => token)),
    promotedInTexts: shareOf(predictions.promoted.slice(0, 20), ({ token }) => inTexts.has(token.trim().toLowerCase())),
    passages: made.passages.length,
    passagesTrue: shareOf(made.passages, ({ text }) => isCopy(text)),
    passagesImpossible: made.passages.filter(({ trained }) => trained === false).length,
    domains: domains.domains.map(({ name: domain, byCount, byGradient }) => [
      domain,
      kindOfDomain(domain)[0],
      byCount,
      byGradient,
    ]),
    purity,
    meanErrorByCount: meanError(truth, gathered('byCount')),
    meanErrorByGradient: matched ? meanError(truth, gathered('byGradient')) : null,
    meanErrorEqual: meanError(
      truth,
      Object.fromEntries(Object.keys(truth).map((kind) => [kind, 1 / Object.keys(truth).length])),
    ),
  }
}

function main() {
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
      if (asked.includes('diff')) add(diffRow(name, seed, expert, kindOf))
      if (!asked.includes('texts')) continue
      for (const start of starts)
        for (const setting of Object.keys(settings)) add(textRow(name, seed, expert, start, setting, kindOf))
    }
}

main()
