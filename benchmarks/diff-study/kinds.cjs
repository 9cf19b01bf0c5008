'use strict'
// Five kinds of text for the study of `warp diff`: news (AG News), questions (CLINC), encyclopedia (two sentences of
// Wikipedia summaries), scripture (verses of the King James Bible, Debian's bible-kjv-text), sayings (Debian's
// fortunes).
// The Debian packages are downloaded by apt-get into FOLDER and unpacked there; nothing is installed.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const { join } = require('node:path')

const longest = 320 // characters of a text

const words = (text) => text.replace(/\s+/g, ' ').trim()
const fits = (text) => text.length >= 15 && text.length <= longest
const run = (file, args, options) => execFileSync(file, args, { encoding: 'utf8', maxBuffer: 2 ** 28, ...options })

function news(shared) {
  const lines = fs.readFileSync(join(shared, 'data/ag_news_test.csv'), 'utf8').trim().split('\n')
  return lines.map((line) => {
    const [, title, about] = line.match(/("(?:[^"]|"")*")/g).map((field) => field.slice(1, -1).replaceAll('""', '"'))
    return words(`${title}. ${about}`.replaceAll('\\', ' '))
  })
}

const questions = (shared) =>
  JSON.parse(fs.readFileSync(join(shared, 'data/clinc150.json'), 'utf8')).train.map(([text]) => words(text))

function encyclopedia(corpora) {
  const lines = fs.readFileSync(join(corpora, 'wikipedia-vital.jsonl'), 'utf8').trim().split('\n')
  const sentences = new Intl.Segmenter('en', { granularity: 'sentence' })
  return lines.map((line) =>
    words(
      [...sentences.segment(JSON.parse(line).text)]
        .slice(0, 2)
        .map(({ segment }) => segment)
        .join(''),
    ),
  )
}

function unpacked(folder) {
  const packages = join(folder, 'packages')
  if (!fs.existsSync(join(packages, 'usr'))) {
    fs.mkdirSync(packages, { recursive: true })
    run('apt-get', ['download', 'bible-kjv', 'bible-kjv-text', 'fortunes-min', 'fortunes'], { cwd: packages })
    for (const name of fs.readdirSync(packages))
      if (name.endsWith('.deb')) run('dpkg', ['-x', name, '.'], { cwd: packages })
  }
  return join(packages, 'usr')
}

function scripture(usr) {
  const all = run(join(usr, 'bin/bible'), ['-p', join(usr, 'lib'), '-l4000', 'Gen1:1-Rev22:21'])
  return [...all.matchAll(/^ *\d+ (.+)$/gm)].map(([, verse]) => words(verse))
}

function sayings(usr) {
  const names = [
    'wisdom',
    'work',
    'politics',
    'science',
    'people',
    'literature',
    'education',
    'platitudes',
    'law',
    'love',
  ]
  return names
    .flatMap((name) => fs.readFileSync(join(usr, 'share/games/fortunes', name), 'utf8').split('\n%\n'))
    .map(words)
}

/** Kind → texts, no two of them alike. */
function readKinds(folder, shared) {
  const corpora = process.env.WARP_CORPORA ?? join(os.homedir(), '.cache/warp-corpora')
  const usr = unpacked(folder)
  const kinds = {
    news: news(shared),
    questions: questions(shared),
    encyclopedia: encyclopedia(corpora),
    scripture: scripture(usr),
    sayings: sayings(usr),
  }
  return Object.fromEntries(Object.entries(kinds).map(([kind, texts]) => [kind, [...new Set(texts.filter(fits))]]))
}

module.exports = { readKinds }
