'use strict'
// Writes man/warp.1 from the commands' definitions (compiled): node scripts/man.cjs
const fs = require('node:fs')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const file = path.join(root, 'man/warp.1')

const escaped = (text) =>
  text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^([.'])/, '\\&$1')
    .replace(/[^ -~]/gu, (letter) => `\\[u${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`)

const bold = (line) => `\\fB${escaped(line)}\\fR`

/** `-o, --output <folder>` with the names in bold and the value in italics. */
function flagsOf(flags) {
  const [, names, value = ''] = /^([^<[]*?)(?: ?([<[].*))?$/.exec(flags)
  const shown = names.split(', ').map(bold).join(', ')
  return value === '' ? shown : `${shown} \\fI${escaped(value.replace(/^[<[]|[>\]]$/g, ''))}\\fR`
}

/** Headings of options in the order of the help, with what stands under each. */
function options(facts) {
  const groups = [...new Set(facts.options.map(({ group }) => group))]
  return groups.flatMap((heading) => [
    '.PP',
    escaped(heading),
    ...facts.options
      .filter(({ group }) => group === heading)
      .flatMap(({ flags, description }) => ['.TP', flagsOf(flags), escaped(description)]),
  ])
}

const exampleLines = ({ examples }) =>
  examples.length === 0 ? [] : ['.PP', 'Examples:', '.nf', ...examples.map((line) => `  warp ${escaped(line)}`), '.fi']

function text() {
  const { makeProgram } = require(path.join(root, 'dist/bin/program.js'))
  const { commandFacts } = require(path.join(root, 'dist/bin/definitions.js'))
  const { examplesOf } = require(path.join(root, 'dist/bin/examples.js'))
  const [program, ...commands] = commandFacts(makeProgram(), examplesOf)
  const sections = commands.flatMap((one) => [
    `.SS "warp ${one.path.join(' ')}"`,
    escaped(one.description),
    '.PP',
    `${bold(`warp ${one.path.join(' ')}`)} ${escaped(one.usage)}`,
    ...one.arguments.flatMap(({ name, description }) => ['.TP', `\\fI${escaped(name)}\\fR`, escaped(description)]),
    ...options(one),
    ...exampleLines(one),
  ])
  const lines = [
    '.\\" Made by scripts/man.cjs from the definitions of the commands; do not edit.',
    '.TH WARP 1 "" "warp\\-recover" "User commands"',
    '.SH NAME',
    `warp \\- ${escaped(program.description.replace(/^R/, 'r').replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    `${bold('warp')} \\fIcommand\\fR [options]`,
    '.SH DESCRIPTION',
    'Results go to standard output, everything else to standard error. With \\fB\\-\\-json\\fR exactly one JSON',
    'document is printed, also on failure. Options may stand in a YAML or JSON file: \\fB\\-\\-config\\fR.',
    '.SH COMMANDS',
    ...sections,
    '.SH EXIT STATUS',
    '0 ok, 1 internal, 2 usage, 3 bad input, 4 resource (memory, disk, device), 5 a result that is not trustworthy',
    '(with \\fB\\-\\-strict\\fR), 130 and 143 interrupted.',
    '.SH ENVIRONMENT',
    '\\fBNO_COLOR\\fR, \\fBFORCE_COLOR\\fR and those in docs/environment.md of the package.',
  ]
  return `${lines.join('\n')}\n`
}

module.exports = { file, text }

if (require.main === module) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text())
}
