'use strict'
// What the study of `warp diff` says of made texts: which kind each is nearest to, what it returns word for word.

const { join, resolve } = require('node:path')
const root = resolve(__dirname, '../..')
const { readNeutral, tokenise } = require(join(root, 'dist/lib/diff/neutral.js'))
const { loadTokenizer } = require(join(root, 'dist/lib/text/tokenizer/index.js'))

const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/gu) ?? []

/**
 * Naive Bayes over the words of a text, every kind as likely beforehand, half an occurrence added to each count.
 * @param examples kind → texts
 * @returns text → kind
 */
function nearestKind(examples) {
  const vocabulary = new Set()
  const counts = Object.entries(examples).map(([kind, texts]) => {
    const held = new Map()
    let total = 0
    for (const text of texts)
      for (const word of wordsOf(text)) {
        held.set(word, (held.get(word) ?? 0) + 1)
        vocabulary.add(word)
        total++
      }
    return { kind, held, total }
  })
  return (text) => {
    const scores = counts.map(({ kind, held, total }) => ({
      kind,
      score: wordsOf(text).reduce(
        (sum, word) => sum + Math.log(((held.get(word) ?? 0) + 0.5) / (total + 0.5 * vocabulary.size)),
        0,
      ),
    }))
    return scores.reduce((best, one) => (one.score > best.score ? one : best)).kind
  }
}

const longestRun = 8 // words

/** Whether a text holds `longestRun` words in a row of a training text, or all of a shorter one. */
function returned(texts) {
  const runs = new Set()
  const whole = new Set()
  for (const text of texts) {
    const words = wordsOf(text)
    if (words.length < longestRun) whole.add(words.join(' '))
    for (let i = 0; i + longestRun <= words.length; i++) runs.add(words.slice(i, i + longestRun).join(' '))
  }
  return (text) => {
    const words = wordsOf(text)
    for (let i = 0; i + longestRun <= words.length; i++)
      if (runs.has(words.slice(i, i + longestRun).join(' '))) return true
    return words.length >= 4 && whole.has(words.join(' '))
  }
}

/** Of the facts, how many stand in the texts word for word; times planted → count. */
function factsFound(facts, texts) {
  const all = texts.map((text) => ` ${wordsOf(text).join(' ')} `)
  const found = (fact) => all.some((text) => text.includes(` ${wordsOf(fact).join(' ')} `))
  return Object.fromEntries(Object.entries(facts).map(([times, own]) => [times, own.filter(found).length]))
}

/**
 * Whether a token of a result stands in the training texts, and whether it does at least twice as often as in general
 * text, by the package's own word counts.
 */
async function tokenJudge(texts, dir) {
  const tokenizer = await loadTokenizer(dir)
  const counts = new Map()
  let total = 0
  for (const text of texts)
    for (const id of (await tokenizer.encode(text)).ids) {
      counts.set(id, (counts.get(id) ?? 0) + 1)
      total++
    }
  const general = await tokenise(await readNeutral({}), tokenizer, tokenizer.maxId + 1)
  const rate = (count, all) => (count + 0.5) / (all + 0.5 * general.counts.length)
  const own = ({ id }) => counts.get(id) ?? 0
  return {
    stands: (token) => own(token) > 0,
    frequent: (token) =>
      own(token) > 1 && rate(own(token), total) > 2 * rate(general.counts[token.id] ?? 0, general.total),
  }
}

const shareOf = (list, test) => (list.length === 0 ? null : list.filter(test).length / list.length)

module.exports = { factsFound, nearestKind, returned, shareOf, tokenJudge, wordsOf }
