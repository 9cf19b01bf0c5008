'use strict'
// Writes docs/commands.md from the commands' own help (compiled): node scripts/commands.cjs
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const file = path.join(root, 'docs/commands.md')

/** What `warp … --help` prints, without a terminal's colours and width. */
function help(...command) {
  const args = [path.join(root, 'dist/bin/warp.js'), ...command, '--help']
  const env = { ...process.env, NO_COLOR: '1', COLUMNS: '100' }
  return execFileSync(process.execPath, args, { encoding: 'utf8', env }).trimEnd()
}

/** Names under `Commands:` of a help text. */
function commandsIn(text) {
  const [, list = ''] = text.split('\nExamples:\n')[0].split('Commands:\n')
  const names = [...list.matchAll(/^ {2}([a-z][\w-]*)/gm)].map(([, name]) => name)
  return names.filter((name) => name !== 'help')
}

/** The whole document. */
function text() {
  const parts = []
  for (const name of commandsIn(help())) {
    const own = help(name)
    parts.push([[name], own], ...commandsIn(own).map((below) => [[name, below], help(name, below)]))
  }
  const sections = parts.map(([command, own]) => `## warp ${command.join(' ')}\n\n\`\`\`text\n${own}\n\`\`\`\n`)
  return `# Commands

Made by \`scripts/commands.cjs\` from what \`--help\` prints; do not edit.

Results go to stdout, everything else to stderr; \`--json\` prints exactly one JSON document, also on failure; its form
is in the package's \`schemas\` by its key \`schema\` (\`warp.recover/1\`: recover.1.json; a failure: error.json). Exit
codes: 0 ok, 1 internal, 2 usage, 3 bad input, 4 resource (memory, disk, device), 5 a result that is not trustworthy
(with \`--strict\`), 130 and 143 interrupted.

${sections.join('\n')}`
}

module.exports = { file, text }

if (require.main === module) fs.writeFileSync(file, text())
