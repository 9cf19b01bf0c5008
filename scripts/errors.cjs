'use strict'
// Writes docs/errors.md from the places that raise errors: node scripts/errors.cjs
const fs = require('node:fs')
const path = require('node:path')
const { caught, endings, notes } = require('./error-notes.cjs')

const root = path.resolve(__dirname, '..')
const file = path.join(root, 'docs/errors.md')
const code = /^['"]([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)['"]$/

const sources = (folder, ending) =>
  fs
    .readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => path.join(folder, name))

/** Where a string literal, a template or a comment that begins at i ends; i + 1 for anything else. */
function skip(text, i) {
  const from = text[i]
  if (from === '/' && (text[i + 1] === '/' || text[i + 1] === '*')) {
    const end = text[i + 1] === '/' ? text.indexOf('\n', i) : text.indexOf('*/', i) + 2
    return end < i ? text.length : end
  }
  if (!`'"\``.includes(from)) return i + 1
  for (let j = i + 1; j < text.length; j++) {
    if (text[j] === '\\') j++
    else if (text[j] === from) return j + 1
    else if (from === '`' && text.startsWith('${', j)) j = closing(text, j + 1)
    else if (from !== '`' && text[j] === '\n') return i + 1
  }
  return text.length
}

/** The index of the bracket that closes the one at i. */
function closing(text, i) {
  let depth = 0
  for (let j = i; j < text.length; ) {
    if ('([{'.includes(text[j])) depth++
    if (')]}'.includes(text[j]) && --depth === 0) return j
    j = skip(text, j)
  }
  return text.length
}

/** The arguments between the brackets at `from` and `to`. */
function argumentsOf(text, from, to) {
  const parts = []
  let start = from + 1
  for (let j = start; j < to; ) {
    if (text[j] === ',') {
      parts.push(text.slice(start, j).trim())
      start = ++j
    } else j = '([{'.includes(text[j]) ? closing(text, j) + 1 : skip(text, j)
  }
  parts.push(text.slice(start, to).trim())
  return parts.filter(Boolean)
}

/** Calls of a source that have an error's code among their arguments. */
function* callsIn(text) {
  for (let i = 0; i < text.length; ) {
    const called = /[\w>]\s*$/.exec(text.slice(Math.max(0, i - 40), i))
    if ((text[i] === '(' || text[i] === '{') && called) {
      const name = /(\w+)\s*(?:<[^<>()]*>)?\s*$/.exec(text.slice(Math.max(0, i - 60), i))?.[1]
      const parts = argumentsOf(text, i, closing(text, i))
      const at = parts.findIndex((part) => code.test(part))
      if (at >= 0 && text[i] === '(') yield { name, code: code.exec(parts[at])[1], rest: parts.slice(at + 1) }
    }
    i = skip(text, i)
  }
}
/** The words of an expression that makes a message: what is only known when it is raised becomes `…`. */
function words(expression = '') {
  let said = ''
  for (let i = 0; i < expression.length; ) {
    const end = skip(expression, i)
    if (`'"\``.includes(expression[i]) && end > i + 1) {
      const literal = expression.slice(i + 1, end - 1)
      said += expression[i] === '`' ? holes(literal) : literal
    } else if (/[?:]/.test(expression[i]) && expression[i + 1] === ' ' && said) said += ' / '
    else if (/[A-Za-z]/.test(expression[i]) && !said.endsWith('…')) said += '…'
    i = end
  }
  const plain = said
    .replace(/\\(["'`])/g, '$1')
    .replace(/\s+/g, ' ')
    .replace(/…(?:[ /]*…)+/g, '…')
  return /[a-z]{3}/.test(plain) ? plain.trim() : ''
}

/** A template's words. */
function holes(template) {
  let said = ''
  for (let i = 0; i < template.length; i++) {
    if (!template.startsWith('${', i)) said += template[i]
    else {
      said += '…'
      i = closing(template, i + 1)
    }
  }
  return said
}

// where message and hint stand behind the code; calls that name others have their words side by side
const places = {
  inputError: [0, 2],
  usageError: [0, 2],
  resourceError: [0, 2],
  WarpError: [0, 2],
  errorAt: [1, 2],
  Error: [0, 1],
  resource: [1, 0],
}
// helpers that say for all who call them the same: what is added to the code, what is said, what is advised
const helpers = {
  assertInside: [
    ['', '…: is a link to …, outside the model directory', 'Copy the file into the directory if you trust it.'],
  ],
}
// calls whose strings in capitals are other things
const others = new Set(['getenv', 'value', 'on', 'folder', 'emplace', 'readJsonFile'])

/** An argument's words; those of a name are where the file gives it a value. */
function meaning(argument = '', source) {
  const name = /^(\w+)(?:\(.*\))?$/s.exec(argument)?.[1]
  const given = name && new RegExp(`\\b(?:const|function) ${name}\\b`).exec(source)
  if (words(argument) || !given) return words(argument)
  const [whole] = /^.*?\n(?=\n|\}|[a-z])/s.exec(source.slice(given.index)) ?? ['']
  return words(whole.replace(/^.*?=>?/s, ''))
}

/** Every source that may raise an error: its name and text. */
const everySource = () =>
  [...sources('lib', /\.ts$/), ...sources('bin', /\.ts$/), ...sources('native', /\.(cc|cu|h)$/)]
    .sort()
    .map((name) => [name, fs.readFileSync(path.join(root, name), 'utf8')])

/** Codes that are put together of the prefix of a kind of file and what is wrong with it. */
function composed(files) {
  const all = files.map(([, text]) => text).join('\n')
  const prefixes = (pattern) => [...all.matchAll(pattern)].map(([, prefix]) => prefix)
  const json = ['NOT_UTF8', 'NOT_JSON', 'DUPLICATE_KEY', 'INTEGER_TOO_LARGE']
  const file = ['UNREADABLE', ...json]
  const found = new Set()
  const add = (names, ends) => {
    for (const name of names) if (!caught.includes(name)) for (const end of ends) found.add(`${name}_${end}`)
  }
  add(prefixes(/parseStrictJson\(.*?prefix: '([A-Z_]+)'/g), json)
  add(prefixes(/await readJsonFile\(.*?'([A-Z_]+)'/g), file)
  add(prefixes(/readForm\([^']*?\{\s*prefix: '([A-Z_]+)'/gs), [...file, 'VERSION', 'FORM'])
  add(prefixes(/readForm\(join[^{]*\{\s*prefix: '([A-Z_]+)'/gs), [...file, 'VERSION', 'FORM'])
  add(prefixes(/readDocument\([^{]*\{\s*prefix: '([A-Z_]+)'/gs), [...file, 'VERSION', 'FORM', 'EDITED'])
  return found
}

/** Sources that name only the end of some codes. */
const shortened = /lib\/checkpoint\/(header|json)\.ts$/

/** By code: what is said, and what is advised, each way once. */
function codes() {
  const found = new Map()
  const add = (name, cause, remedy) => {
    const entry = found.get(name) ?? { causes: new Set(), remedies: new Set() }
    found.set(name, entry)
    // words that hold the code itself are a whole function's
    if (!cause.includes(`…${name}…`)) entry.causes.add(cause)
    if (!remedy.includes(`…${name}…`)) entry.remedies.add(remedy)
  }
  const files = everySource()
  for (const [name, source] of files) {
    for (const call of callsIn(source)) {
      if (others.has(call.name) || (shortened.test(name) && ['fail', 'error'].includes(call.name))) continue
      const [message, hint] = places[call.name] ?? []
      const plain = call.rest.filter((argument) => !/^[[{]/.test(argument)).map(words)
      const said = message === undefined ? plain.filter(Boolean).join(' · ') : meaning(call.rest[message], source)
      const advised = hint === undefined ? '' : meaning(call.rest[hint], source)
      for (const [ending, cause, remedy] of helpers[call.name] ?? [['', said, advised]])
        add(call.code + ending, cause, remedy)
    }
  }
  for (const name of composed(files)) {
    const ending = Object.keys(endings).find((end) => name.endsWith(`_${end}`))
    if (!found.has(name)) add(name, ...endings[ending])
  }
  for (const [name, [cause, remedy]] of Object.entries(notes))
    found.set(name, { causes: new Set([cause]), remedies: new Set([remedy]) })
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1))
}

const cell = (said) => [...said].filter(Boolean).join('<br>').replaceAll('|', '\\|').replaceAll('\n', ' ')

/** The whole document. */
function text() {
  const rows = codes().map(([name, { causes, remedies }]) => `| \`${name}\` | ${cell(causes)} | ${cell(remedies)} |`)
  return `# Error codes

Made by \`scripts/errors.cjs\` from the places that raise them and \`scripts/error-notes.cjs\`; do not edit. A code
stays; its words may change. \`…\` is what is known only then: the file, what was found. Each error says itself what to
try (\`hint\`) and carries \`details\` for programs (\`--json\`).

| Code | What it says | What to try |
|---|---|---|
${rows.join('\n')}
`
}

module.exports = { file, text, codes, composed, everySource }

if (require.main === module) fs.writeFileSync(file, text())
